"""Fault 25, the device's part: clocks that jump. No duration of ours comes from one that can be set."""

import re
from pathlib import Path

import pytest

import devices
from devices._device import DeviceState
from tests.fakes.played_phone import PlayedPhone


def test_a_residency_that_went_back_gives_no_mean_clock(phone: PlayedPhone) -> None:
    device = phone.device()
    before = device.state()
    phone.write("sys/devices/system/cpu/cpu6/cpufreq/stats/time_in_state", "500000 10\n2802000 20\n")
    assert device.state().mean_clock_mhz(before) is None


def test_a_pause_passes_no_time_but_what_it_was_told(phone: PlayedPhone) -> None:
    device = phone.device()
    for seconds in (0.0, 2.5, 7.5):
        device.pause(seconds)
    assert phone.now_s == 10.0


@pytest.mark.parametrize("seconds", [-1.0, 0.0])
def test_a_span_without_length_gives_no_mean_clock(seconds: float) -> None:
    before = DeviceState(residency_s=((1000.0, 5.0),))
    assert DeviceState(residency_s=((1000.0, 5.0 + seconds),)).mean_clock_mhz(before) is None


def test_the_phones_policy_reads_no_clock_that_can_be_set() -> None:
    folder = Path(devices.__file__).parent
    sources = sorted((folder / "android.py", *(folder / "_android").glob("*.py")))
    assert len(sources) > 5
    for source in sources:
        assert not re.search(r"\btime\.time\(|\bdatetime\.now\(", source.read_text()), source.name
