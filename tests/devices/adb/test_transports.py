"""What every transport promises: on the fake device and the real daemon, directly and through adb."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devices import _adb
from devices._adb.transport import Transport, quoted
from devices._device import Completed
from devices._errors import DeviceError, DeviceTimeoutError
from tests.fakes.adb_daemon import adb_server, real_daemon
from tests.fakes.adb_device import FakeAdbDevice
from tests.fakes.processes import ended

WAYS = ["fake, directly", "fake, through adb", "real, directly", "real, through adb"]


@pytest.fixture(scope="module", params=WAYS)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    device, way = str(request.param).split(", ")
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        if device == "real":
            reached = stack.enter_context(real_daemon("open", home)).address
        else:
            reached = f"127.0.0.1:{stack.enter_context(FakeAdbDevice(home)).port}"
        if way == "directly":
            patch.setenv("HOME", str(home))
            yield f"tcp:{reached}"
            return
        server = stack.enter_context(adb_server(home))
        for name, value in server.environment.items():
            patch.setenv(name, value)
        server.connect(reached)
        yield reached


@pytest.fixture
def transport(address: str) -> Iterator[Transport]:
    with _adb.connect(address) as transport:
        yield transport


@pytest.mark.parametrize("status", [0, 1, 7, 126, 255])
def test_the_exit_status_is_the_programs_own(transport: Transport, status: int) -> None:
    assert transport.shell(f"exit {status}", timeout_s=10).exit_status == status
    assert transport.shell(f"(exit {status})", timeout_s=10).exit_status == status


def test_a_program_ended_by_a_signal_is_no_success(transport: Transport) -> None:
    assert transport.shell("sh -c 'kill -9 $$'", timeout_s=10).exit_status == 137


def test_both_outputs_come_apart_and_as_they_were_written(transport: Transport) -> None:
    done = transport.shell(r"printf '\000\377\r\n out'; printf '\001\376\r\n err' >&2", timeout_s=10)
    assert done.stdout == b"\x00\xff\r\n out"
    assert done.stderr == b"\x01\xfe\r\n err"


def test_a_program_that_writes_nothing_gives_nothing(transport: Transport) -> None:
    assert transport.shell("true", timeout_s=10) == Completed(b"", b"", 0)


def test_a_command_that_is_no_sentence_of_the_shell_fails_and_says_so(transport: Transport) -> None:
    done = transport.shell("echo 'unfinished", timeout_s=10)
    assert done.exit_status != 0
    assert done.stderr


def test_standard_input_is_empty_and_never_waited_for(transport: Transport) -> None:
    assert transport.shell("cat; echo end", timeout_s=10).stdout == b"end\n"


def test_words_arrive_as_they_are(transport: Transport) -> None:
    words = [
        "",
        " ",
        "a b",
        "'",
        '"',
        "$(id)",
        "`id`",
        ";id",
        "*",
        "\\",
        "-n",
        "é",
        "\n",
        "#",
        "~",
        "x" * 5000,
    ]
    done = transport.shell(quoted(["printf", r"%s\0", *words]), timeout_s=10)
    assert done.stdout.decode().split("\0")[:-1] == words


def test_a_command_too_long_for_adb_is_refused_and_does_no_harm(transport: Transport) -> None:
    for n in (65_001, 2_000_000):
        with pytest.raises(DeviceError) as caught:
            transport.shell(quoted(["echo", "x" * n]), timeout_s=10)
        assert len(str(caught.value)) < 300
    assert transport.shell("echo still there", timeout_s=10).stdout == b"still there\n"


@pytest.mark.parametrize("n_bytes", [0, 1, 65_535, 65_536, 65_537, 983_040, 3_000_001])
def test_what_was_pushed_is_there_and_comes_back(transport: Transport, tmp_path: Path, n_bytes: int) -> None:
    content = os.urandom(n_bytes)
    path = str(tmp_path / "a folder" / "it's")
    transport.push(content, path, timeout_s=30)
    said = transport.shell(quoted(["sha256sum", path]), timeout_s=10).stdout
    assert said.lstrip(b"\\")[:64].decode() == hashlib.sha256(content).hexdigest()
    assert transport.pull(path, max_bytes=n_bytes, timeout_s=30) == content


def test_a_pushed_program_runs_and_a_pushed_file_does_not(transport: Transport, tmp_path: Path) -> None:
    program = b"#!/bin/sh\necho it runs\n"
    transport.push(program, f"{tmp_path}/program", mode=0o700, timeout_s=10)
    transport.push(program, f"{tmp_path}/file", timeout_s=10)
    assert transport.shell(f"{tmp_path}/program", timeout_s=10).stdout == b"it runs\n"
    assert transport.shell(f"{tmp_path}/file", timeout_s=10).exit_status == 126


def test_a_push_replaces_what_is_there_whole(transport: Transport, tmp_path: Path) -> None:
    for content in (b"long" * 100_000, b"short", b""):
        transport.push(content, f"{tmp_path}/file", timeout_s=10)
        assert (tmp_path / "file").read_bytes() == content


def test_a_file_that_is_not_there_is_an_error_that_names_it(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"does not read .*/absent: .*No such file"):
        transport.pull(f"{tmp_path}/absent", max_bytes=10, timeout_s=10)
    assert transport.shell("true", timeout_s=10).exit_status == 0


def test_a_file_larger_than_allowed_is_not_taken(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1_000_000))
    with pytest.raises(DeviceError, match="larger than 999999 bytes"):
        transport.pull(f"{tmp_path}/large", max_bytes=999_999, timeout_s=10)
    assert transport.shell("true", timeout_s=10).exit_status == 0


def test_what_takes_too_long_is_killed_with_all_that_it_started(transport: Transport, tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    start_s = time.monotonic()
    with pytest.raises(DeviceTimeoutError, match=r"longer than 0\.5 s"):
        transport.shell(
            f"trap '' HUP TERM INT; (while :; do echo >> {beats}; sleep 0.05; done) & wait", timeout_s=0.5
        )
    assert time.monotonic() - start_s < 0.5 + 2.0
    assert beats.stat().st_size
    assert ended(str(beats))
    assert transport.shell("echo next", timeout_s=10).stdout == b"next\n"


def test_a_connection_can_be_made_anew_at_any_time(transport: Transport) -> None:
    transport.reconnect()
    assert transport.shell("echo again", timeout_s=10).stdout == b"again\n"
    transport.close()
    transport.close()


def test_many_commands_leave_nothing_open(transport: Transport) -> None:
    n_before = len(os.listdir("/proc/self/fd"))
    for i in range(60):
        assert transport.shell(f"echo {i}", timeout_s=10).stdout == b"%d\n" % i
    assert len(os.listdir("/proc/self/fd")) <= n_before + 2
