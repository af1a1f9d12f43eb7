"""Fault 4: what hangs on a board, or holds on to life there, is given up and ended."""

import secrets
import time
from collections.abc import Iterator

import pytest

import devices
from devices._errors import DeviceTimeoutError
from devices._ssh.connection import Connection
from devices.ssh import Ssh
from tests.fakes.processes import ended
from tests.fakes.sshd import Sshd


@pytest.fixture
def device(sshd: Sshd) -> Iterator[Ssh]:
    with devices.connect("ssh:board") as device:
        assert isinstance(device, Ssh)
        yield device


@pytest.mark.slow
def test_a_program_that_ignores_every_signal_is_killed_in_time(sshd: Sshd, device: Ssh) -> None:
    mark = secrets.token_hex(8)
    script = f"trap '' TERM HUP INT PIPE; while :; do sleep 1000; : {mark}; done"
    start_s = time.monotonic()
    with pytest.raises(DeviceTimeoutError):
        device.run(["sh", "-c", script], timeout_s=0.5)
    assert time.monotonic() - start_s < 2.5
    assert ended(mark)
    assert sshd.ours() == []


def test_a_shell_that_hangs_is_given_up_and_the_next_question_answered(sshd: Sshd) -> None:
    connection = Connection("board")
    with pytest.raises(DeviceTimeoutError, match=r"board did not answer within 0.2 s"):
        connection.ask("sleep 1000", timeout_s=0.2)
    assert connection.ask("echo here").stdout == b"here\n"
    connection.close()
