"""Fault 1: a board that is lost at any moment is lost in one line, quickly, and can be found again."""

import secrets
import threading
import time
from collections.abc import Iterator

import pytest

import devices
from devices._errors import DeviceLostError
from devices.ssh import Ssh
from tests.fakes.processes import ended, running
from tests.fakes.sshd import Sshd
from tests.fakes.waiting import wait_for


@pytest.fixture
def device(sshd: Sshd) -> Iterator[Ssh]:
    with devices.connect("ssh:board") as device:
        assert isinstance(device, Ssh)
        yield device


def test_a_conversation_that_breaks_is_lost_at_once_and_a_new_one_can_begin(sshd: Sshd, device: Ssh) -> None:
    with device.converse(["cat"]) as program:
        sshd.cut()
        start_s = time.monotonic()
        assert program.read(100, timeout_s=10) == b""
        with pytest.raises(DeviceLostError):
            program.write(b"x" * 1_000_000)
        assert time.monotonic() - start_s < 5.0
    with device.converse(["cat"]) as program:
        program.write(b"found again\n")
        assert program.read(100, timeout_s=10) == b"found again\n"


def test_a_program_that_the_connection_left_is_ended_before_it_runs_once_more(
    sshd: Sshd, device: Ssh
) -> None:
    mark, first = secrets.token_hex(8), sshd.folder / "first"
    script = f"[ -e {first} ] && exec echo second; : > {first}; trap '' HUP TERM; sleep 1000; : {mark}"

    def cut_when_it_runs() -> None:
        wait_for(first.exists, lambda: "it does not run")
        sshd.cut()

    cutter = threading.Thread(target=cut_when_it_runs)
    cutter.start()
    done = device.run(["sh", "-c", script], timeout_s=20)
    cutter.join()
    assert (done.stdout, done.exit_status) == (b"second\n", 0)
    assert ended(mark)


@pytest.mark.slow
def test_a_board_that_does_not_come_back_is_lost_within_seconds(sshd: Sshd, device: Ssh) -> None:
    sshd.stop_for_good()
    start_s = time.monotonic()
    with pytest.raises(DeviceLostError, match="takes no SSH connections"):
        device.state()
    with pytest.raises(DeviceLostError, match="takes no SSH connections"), device.converse(["cat"]):
        pass
    assert time.monotonic() - start_s < 10.0
    sshd.start()
    assert device.run(["echo", "back"], timeout_s=10).stdout == b"back\n"


@pytest.mark.slow
def test_a_board_that_falls_silent_is_lost_though_nothing_closes_the_connection(
    sshd: Sshd, device: Ssh
) -> None:
    """As where a cable is pulled: what ran there is ended by the next connection."""
    mark = secrets.token_hex(8)
    with device.converse(["sh", "-c", f"trap '' HUP TERM; sleep 1000; : {mark}"]) as program:
        wait_for(lambda: running(mark), lambda: "it does not run")
        with sshd.silent():
            start_s = time.monotonic()
            assert program.read(100, timeout_s=60) == b""
            assert time.monotonic() - start_s < 30.0
        assert running(mark)
    assert ended(mark)
    with devices.connect("ssh:board"):
        assert sshd.ours() == []
