"""Fault 4: commands that never end. The host gives up in time, and nothing is left running on the phone."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from devices._adb.direct import TcpCarrier
from devices._adb.keys import Key
from devices._adb.link import Deadline
from devices._adb.session import Session
from devices._errors import DeviceError, DeviceTimeoutError
from tests.fakes.adb_daemon import shells
from tests.fakes.adb_device import FakeAdbDevice, connected
from tests.fakes.processes import ended, running

#: Ignores what can be ignored, and has children.
_STUBBORN = "trap '' HUP TERM INT; (while :; do echo | tee -a {beats}; sleep 0.02; done) & wait"


def test_a_process_is_known_by_its_command_line(tmp_path: Path) -> None:
    command = ["sh", "-c", f": {tmp_path}; echo begun; sleep 1000"]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            assert process.pid in running(str(tmp_path))  # and, for a moment, what it forked for sleep
            assert not ended(str(tmp_path), within_s=0)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert ended(str(tmp_path))


@pytest.mark.parametrize("shell", shells())
def test_a_command_that_ignores_every_signal_is_killed(tmp_path: Path, shell: str) -> None:
    beats = tmp_path / "beats"
    with connected(FakeAdbDevice(tmp_path, shell=shell)) as (_device, transport):
        start_s = time.monotonic()
        with pytest.raises(DeviceTimeoutError, match=r"took longer than 0\.3 s"):
            transport.shell(_STUBBORN.format(beats=beats), timeout_s=0.3)
        assert time.monotonic() - start_s <= 0.3 + 2.0
        assert ended(str(beats))
        assert transport.shell("exit 3", timeout_s=5).exit_status == 3


def test_what_the_user_interrupts_is_killed(tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    with connected(FakeAdbDevice(tmp_path)) as (_, transport):
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with pytest.raises(KeyboardInterrupt):
                transport.shell(_STUBBORN.format(beats=beats), timeout_s=20)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert ended(str(beats))
        assert transport.shell("exit 3", timeout_s=5).exit_status == 3


def test_a_phone_that_says_nothing_at_all_is_given_up_in_time(tmp_path: Path) -> None:
    with connected(FakeAdbDevice(tmp_path)) as (device, transport):
        device.faults.is_silent = True
        start_s = time.monotonic()
        with pytest.raises(DeviceTimeoutError):
            transport.shell("true", timeout_s=0.3)
        with pytest.raises(DeviceTimeoutError):
            transport.push(b"x", f"{tmp_path}/x", timeout_s=0.3)
        assert time.monotonic() - start_s <= 0.6 + 2.0


def test_a_phone_that_says_nothing_cannot_be_connected_to(tmp_path: Path) -> None:
    with FakeAdbDevice(tmp_path) as device:
        device.faults.is_silent = True
        session = Session(TcpCarrier("127.0.0.1", device.port), lambda: Key(tmp_path))
        start_s = time.monotonic()
        with pytest.raises(DeviceError, match="does not answer"):
            session.connect(Deadline(0.3))
        assert time.monotonic() - start_s <= 0.3 + 2.0


def test_what_could_not_be_killed_at_once_is_killed_at_the_next_connection(tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    with connected(FakeAdbDevice(tmp_path)) as (device, transport):
        device.faults.refuses = ("shell,v2,raw:if",)  # the command that kills
        with pytest.raises(DeviceTimeoutError):
            transport.shell(_STUBBORN.format(beats=beats), timeout_s=0.3)
        assert running(str(beats))
        device.faults.refuses = ()
        transport.reconnect()
        assert ended(str(beats))


def test_only_our_own_process_is_killed(tmp_path: Path) -> None:
    """A process that has got the number of ours since, or only looks like it, is left alone."""
    with connected(FakeAdbDevice(tmp_path)) as (device, transport):
        with pytest.raises(DeviceTimeoutError):
            transport.shell("sleep 30", timeout_s=0.2)
        killer = device.services[-1]
        bystander = transport.shell("setsid sleep 30 >/dev/null 2>&1 & echo $!", timeout_s=5).stdout.decode()
        pid = bystander.strip()
        words = killer.replace("shell,v2,raw:", "").split()
        ours = next(word for word in words if word.startswith("/proc/")).split("/")[2]
        assert transport.shell(" ".join(words).replace(ours, pid), timeout_s=5).exit_status == 0
        assert transport.shell(f"kill -0 {pid} && kill -9 {pid}", timeout_s=5).exit_status == 0
