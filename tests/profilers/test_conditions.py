"""What of two device states goes on record."""

import pytest

from devices._device import DeviceState
from profilers._conditions import recorded


def test_what_the_device_does_not_tell_is_not_recorded() -> None:
    assert recorded(DeviceState(), DeviceState()) == {}


def test_the_mean_clock_is_that_of_the_time_between() -> None:
    before = DeviceState(residency_s=((500.0, 100.0), (2800.0, 50.0)))
    after = DeviceState(residency_s=((500.0, 101.0), (2800.0, 53.0)))
    assert recorded(before, after)["mean_clock_mhz"] == pytest.approx((500.0 + 3 * 2800.0) / 4)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), ((500.0, 1.0),)),  # the sensor appeared
        (((500.0, 1.0),), ()),  # the sensor vanished
        (((500.0, 9.0),), ((500.0, 1.0),)),  # the device restarted
        (((500.0, 1.0),), ((500.0, 1.0),)),  # no time passed
    ],
)
def test_no_mean_clock_is_made_up(
    before: tuple[tuple[float, float], ...], after: tuple[tuple[float, float], ...]
) -> None:
    assert DeviceState(residency_s=after).mean_clock_mhz(DeviceState(residency_s=before)) is None


def test_throttling_at_either_end_is_recorded() -> None:
    cool = DeviceState(thermal_status=0)
    hot = DeviceState(thermal_status=2, cooling=("thermal-cpufreq-0",))
    for before, after in ((cool, hot), (hot, cool)):
        facts = recorded(before, after)
        assert (facts["thermal_status"], facts["cooling"]) == (2, "thermal-cpufreq-0")


def test_the_state_of_a_phone_is_on_record() -> None:
    phone = DeviceState(
        skin_c=31.5, battery_percent=80.0, battery_c=29.0, is_charging=False, is_clock_fixed=True, cpuset="/"
    )
    assert recorded(phone, phone) == {
        "skin_c": 31.5,
        "battery_percent": 80.0,
        "battery_c": 29.0,
        "is_charging": False,
        "is_clock_fixed": True,
        "cpuset": "/",
    }
