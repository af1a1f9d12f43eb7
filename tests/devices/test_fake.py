"""Scripted hardware."""

import pytest

from devices._device import DeviceState
from devices._errors import DeviceError
from devices.fake import Fake


def test_time_passes_only_when_told() -> None:
    device = Fake()
    start_s = device.clock_s()
    assert device.clock_s() == start_s
    device.advance(1.5)
    assert device.clock_s() - start_s == 1.5


def test_conditions_follow_the_script() -> None:
    device = Fake(lambda now_s: DeviceState(temperature_c=30.0 + now_s))
    device.advance(12.0)
    assert device.state().temperature_c == 42.0


def test_it_knows_whether_it_is_held_quiet() -> None:
    device = Fake()
    with device.quiet(1):
        assert device.quiet_threads == 1
    assert device.quiet_threads is None


def test_it_has_one_processor() -> None:
    with pytest.raises(DeviceError, match="ask for 1 thread"), Fake().quiet(2):
        pass
