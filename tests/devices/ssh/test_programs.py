"""Programs on a board: their words, what they write, their ends, and that none is left running."""

import os
import secrets
from pathlib import Path

import pytest

from devices._errors import DeviceError, DeviceTimeoutError
from devices.ssh import Ssh
from tests.fakes.processes import ended
from tests.fakes.sshd import Sshd

_WORDS = ["a b", "$(id)", "`id`", "; exit 7", "-n", "é", "'\"", "", "\\", "a\nb", "%s%%", "!!", "x" * 5000]


def test_a_program_gets_its_words_and_its_environment_as_they_are(board: Ssh) -> None:
    script = board.push(
        b'#!/bin/sh\nfor word in "$GREETING" "$@"; do printf "%s|" "$word"; done\n', executable=True
    )
    done = board.run([script, *_WORDS], timeout_s=10, environment={"GREETING": "$HOME; id"})
    assert done.stdout.decode() == "|".join(["$HOME; id", *_WORDS, ""])
    assert (done.exit_status, done.stderr) == (0, b"")


@pytest.mark.parametrize("status", [0, 1, 125, 127, 254, 255])
def test_every_exit_status_comes_back(board: Ssh, status: int) -> None:
    assert board.run(["sh", "-c", f"exit {status}"], timeout_s=10).exit_status == status


def test_a_signal_comes_back_as_a_shell_reports_it(board: Ssh) -> None:
    assert board.run(["sh", "-c", "kill -TERM $$"], timeout_s=10).exit_status == 143
    assert board.run(["no-such-program"], timeout_s=10).exit_status == 127


def test_what_a_program_writes_is_binary_and_both_outputs_are_apart(board: Ssh) -> None:
    content = bytes(range(256)) * 100 + b"\r\n no end"
    path = board.push(content)
    done = board.run(["sh", "-c", 'cat "$0"; cat "$0" >&2', path], timeout_s=10)
    assert (done.stdout, done.stderr) == (content, content)


def test_a_program_has_an_empty_standard_input(board: Ssh) -> None:
    assert board.run(["cat"], timeout_s=10).stdout == b""


def test_what_a_start_up_file_prints_is_not_the_programs(shared_sshd: Sshd, board: Ssh) -> None:
    start_up = shared_sshd.folder / ".bashrc"
    start_up.write_text("echo welcome; echo to this board >&2\n")
    try:
        done = board.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=10)
        with board.converse(["echo", "hello"]) as program:
            assert program.read(100, timeout_s=10) == b"hello\n"
    finally:
        start_up.unlink()
    assert (done.stdout, done.stderr, done.exit_status) == (b"out\n", b"err\n", 3)


def test_a_program_that_takes_too_long_is_killed_with_all_that_it_started(board: Ssh) -> None:
    mark = secrets.token_hex(8)
    script = f"trap '' TERM HUP; sh -c 'sleep 1000; : {mark}' & sleep 1000; : {mark}"
    with pytest.raises(DeviceTimeoutError, match=r"took longer than 0.3 s"):
        board.run(["sh", "-c", script], timeout_s=0.3)
    assert ended(mark)


def test_what_a_program_leaves_in_the_background_ends_with_it(board: Ssh) -> None:
    mark = secrets.token_hex(8)
    script = f"sh -c 'sleep 1000; : {mark}' >/dev/null 2>&1 & echo started"
    assert board.run(["sh", "-c", script], timeout_s=10).stdout == b"started\n"
    assert ended(mark)


def test_output_without_end_is_refused_and_its_program_ended(board: Ssh) -> None:
    mark = secrets.token_hex(8)
    with pytest.raises(DeviceError, match="more than 16 MiB; it was ended"):
        board.run(["sh", "-c", f"cat /dev/zero; : {mark}"], timeout_s=20)
    assert ended(mark)


def test_a_shell_that_is_killed_with_its_program_is_named(board: Ssh) -> None:
    with pytest.raises(DeviceError, match="killed together with its shell; free memory"):
        board.run(["sh", "-c", "kill -9 0"], timeout_s=10)
    assert board.run(["true"], timeout_s=10).exit_status == 0


@pytest.mark.parametrize("name", ["", "A B", "A;id", "1A", "A\n", "LD-X", "x" * 100])
def test_an_impossible_variable_is_refused(board: Ssh, name: str) -> None:
    with pytest.raises(DeviceError, match="no name of an environment variable"):
        board.run(["true"], timeout_s=10, environment={name: "1"})


@pytest.mark.parametrize(
    ("argv", "said"), [([], "no program to run"), (["a\0b"], "leave it out"), (["x" * 200_000], "as a file")]
)
def test_what_no_program_can_be_given_is_refused(board: Ssh, argv: list[str], said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        board.run(argv, timeout_s=10)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_program_runs_on_the_processors_that_were_chosen(shared_sshd: Sshd, board: Ssh) -> None:
    allowed = board.run(["grep", "Cpus_allowed_list", "/proc/self/status"], timeout_s=10).stdout
    assert allowed.split()[1].decode() == _listed(board.state().affinity)


def test_nothing_but_pushed_files_is_left_on_the_board(shared_sshd: Sshd, board: Ssh) -> None:
    path = Path(board.push(b"stays"))
    with board.scratch() as folder:
        board.run(["sh", "-c", f"echo 1 > {folder}/result"], timeout_s=10)
    board.run(["true"], timeout_s=10)
    left = shared_sshd.ours()
    assert path.name in left
    assert all(len(name) == 64 for name in left)


def _listed(numbers: tuple[int, ...]) -> str:
    return f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
