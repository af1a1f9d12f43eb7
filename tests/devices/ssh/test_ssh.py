"""A Linux board: a real sshd on loopback; see tests/fakes/sshd.py."""

from collections.abc import Iterator

import pytest

import devices
from devices import RemoteHost
from tests.fakes.sshd import Sshd


@pytest.fixture
def board(sshd: Sshd) -> Iterator[RemoteHost]:
    with devices.connect("ssh:board?cores=all") as device:
        assert isinstance(device, RemoteHost)
        yield device


def test_a_program_gets_its_words_as_they_are_and_its_status_comes_back(board: RemoteHost) -> None:
    script = board.push(b'#!/bin/sh\nprintf "%s|" "$GREETING" "$@"; exit 255\n', executable=True)
    done = board.run([script, "a b", "$(id)", "'\\\n!"], timeout_s=10, environment={"GREETING": "$HOME"})
    assert (done.stdout, done.stderr, done.exit_status) == (b"$HOME|a b|$(id)|'\\\n!|", b"", 255)


def test_a_conversation_answers_until_its_input_ends(board: RemoteHost) -> None:
    echo = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"
    with board.converse([board.python(), "-c", echo]) as program:
        for word in (b"one\n", b"two\n"):
            program.write(word)
            assert program.read(100, timeout_s=10) == word.upper()
