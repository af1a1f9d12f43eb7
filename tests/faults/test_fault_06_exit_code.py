"""Fault 6, the transport's part: no exit code is no success; whether 0 is one, others decide."""

from pathlib import Path

import pytest

from devices._device import Completed
from devices._errors import DeviceLostError
from tests.fakes.adb_device import FakeAdbDevice, connected


def test_a_shell_that_ends_without_an_exit_code_is_a_lost_phone(tmp_path: Path) -> None:
    with connected(FakeAdbDevice(tmp_path)) as (device, transport):
        device.faults.has_no_exit_code = True
        with pytest.raises(DeviceLostError, match="without an exit status"):
            transport.shell("echo all went well", timeout_s=5)


def test_what_looks_like_an_exit_code_in_the_output_is_output(tmp_path: Path) -> None:
    looks_like_one = b"\x03\x01\x00\x00\x00\x00"
    device = FakeAdbDevice(tmp_path, answer=lambda _: (looks_like_one, looks_like_one, 9))
    with connected(device) as (_, transport):
        assert transport.shell("anything", timeout_s=5) == Completed(looks_like_one, looks_like_one, 9)


def test_both_outputs_of_a_crash_that_exits_with_0_reach_whoever_decides(tmp_path: Path) -> None:
    device = FakeAdbDevice(tmp_path, answer=lambda _: (b"", b"Segmentation fault\n", 0))
    with connected(device) as (_, transport):
        assert transport.shell("anything", timeout_s=5) == Completed(b"", b"Segmentation fault\n", 0)
