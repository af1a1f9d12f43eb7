"""Heat, supply and throttling of boards, by texts in the forms of their tools; see tests/fakes/boards."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices._linux import sensors
from devices._linux.sensors import Heat, Power

TEXTS = Path(__file__).parents[2] / "fakes" / "boards"


def test_a_board_that_is_cool_has_a_temperature_and_a_fan_that_slows_nothing() -> None:
    assert sensors.heat((TEXTS / "thermal-pi-5.txt").read_text()) == Heat(hottest_c=48.2)


def test_the_zone_above_its_passive_point_and_what_cools_by_slowing_are_named() -> None:
    heat = sensors.heat((TEXTS / "thermal-jetson-nano.txt").read_text())
    assert heat == Heat(hottest_c=97.5, over=("CPU-therm", 97.5), cooling=("thermal-cpufreq-0",))


def test_a_hostile_name_reaches_no_terminal() -> None:
    heat = sensors.heat(
        "thermal_zone0/type:\x1b[2Jcpu\rfine\nthermal_zone0/temp:99000\n"
        "thermal_zone0/trip_point_0_type:passive\nthermal_zone0/trip_point_0_temp:95000\n"
        "cooling_device0/type:cpufreq-\x1b]0;owned\x07\ncooling_device0/cur_state:1\n"
    )
    assert heat.over == ("[2Jcpu fine", 99.0)
    assert heat.cooling == ("cpufreq- ]0;owned",)


@pytest.mark.parametrize("temperature", ["0", "-274000", "200000", "", "hot"])
def test_a_broken_sensor_is_none(temperature: str) -> None:
    assert sensors.heat(f"thermal_zone0/type:cpu\nthermal_zone0/temp:{temperature}\n") == Heat()


@pytest.mark.parametrize(
    ("text", "now", "happened"),
    [
        ("throttled=0x0\n", (), ()),
        ("0\n", (), ()),
        ("throttled=0x50005\n", ("under-voltage", "throttling"), ("under-voltage", "throttling")),
        ("50000\n", (), ("under-voltage", "throttling")),
        (
            "throttled=0xe000e\n",
            ("a capped clock", "throttling", "the soft temperature limit"),
            ("a capped clock", "throttling", "the soft temperature limit"),
        ),
        ("VCHI initialization failed\n", (), ()),
        ("", (), ()),
    ],
)
def test_the_firmwares_flags_are_named(text: str, now: tuple[str, ...], happened: tuple[str, ...]) -> None:
    assert sensors.power(text, "") == Power(now, happened)


def test_the_kernels_alarm_of_a_low_voltage_is_under_voltage_too() -> None:
    assert sensors.power("", "hwmon1/in0_lcrit_alarm:1\n").throttling == ("under-voltage",)
    assert sensors.power("", "hwmon1/in0_lcrit_alarm:0\n").throttling == ()


def test_overloads_of_a_jetsons_supply_are_counted() -> None:
    alarms = "hwmon4/oc1_event_cnt:2\nhwmon4/oc3_event_cnt:1\n"
    assert sensors.power("", alarms).overcurrents == 3
    assert sensors.power("", "").overcurrents is None


@pytest.mark.parametrize(
    ("name", "hottest"),
    [("nano", ("AO", 42.0)), ("xavier-nx", ("CPU", 41.5)), ("orin-nano", ("tj", 47.25))],
)
def test_the_hottest_sensor_of_tegrastats_is_found_in_each_of_its_forms(
    name: str, hottest: tuple[str, float]
) -> None:
    assert sensors.tegra((TEXTS / f"tegrastats-{name}.txt").read_text()).hottest == hottest


def test_no_tegrastats_is_no_temperature() -> None:
    assert sensors.tegra("").hottest is None
    assert sensors.tegra("tegrastats: command not found\n").hottest is None


@given(st.text(max_size=200))
def test_no_text_makes_reading_fail(text: str) -> None:
    sensors.heat(text)
    sensors.heat(f"thermal_zone0/temp:{text}\n")
    sensors.power(text, text)
    sensors.tegra(f"RAM {text}")
