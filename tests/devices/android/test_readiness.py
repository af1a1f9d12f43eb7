"""What makes a phone unfit to be measured on, and that each text names what helps."""

import re
from dataclasses import replace

import pytest

from devices._android.readiness import Fitness, signs_of_heat, why_not_ready
from devices._android.sensors import Battery, Heat

COOL = Fitness(Heat(0, 36.0, 30.0), Battery(80.0, 28.0, True, ("USB powered",)), is_saving=False)


def with_heat(**values: object) -> Fitness:
    return replace(COOL, heat=Heat(**{"status": 0, "skin_c": 30.0, **values}))  # type: ignore[arg-type]


def test_a_cool_phone_with_a_charge_is_ready() -> None:
    assert why_not_ready(COOL, COOL) is None


def test_a_phone_that_tells_nothing_is_ready() -> None:
    silent = Fitness(Heat(), Battery())
    assert why_not_ready(silent, silent) is None


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (with_heat(status=4), r"thermal status 4 \(critical\).*let it cool"),
        (with_heat(status=6), r"thermal status 6 \(shutdown\)"),
        (replace(COOL, battery=replace(COOL.battery, percent=None)), "no longer reports its battery level"),
        (replace(COOL, battery=replace(COOL.battery, percent=19.0)), "battery at 19 %, below 20: charge it"),
        (replace(COOL, battery=Battery(is_faked=True)), r"faked .*UPDATES STOPPED.*dumpsys battery reset"),
        (replace(COOL, is_saving=True), "battery saver.*turn it off"),
        (
            replace(COOL, battery=replace(COOL.battery, supplies=())),
            "power changed from USB powered to battery alone",
        ),
    ],
)
def test_each_reason_is_named_with_its_remedy(now: Fitness, text: str) -> None:
    found = why_not_ready(now, COOL)
    assert found is not None
    assert re.search(text, found)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (with_heat(status=1), r"thermal status 1 \(light\).*let it cool"),
        (with_heat(status=3), r"thermal status 3 \(severe\).*let it cool"),
        (with_heat(cooling=("cpufreq-0",)), "cpufreq-0 slows the phone down"),
        (with_heat(skin_c=38.1), "skin at 38.1 °C, above 38: let it cool"),
        (with_heat(status=None), "no longer reports its thermal status"),
        (with_heat(skin_c=None), "no longer reports its skin temperature"),
        (replace(COOL, battery=replace(COOL.battery, temperature_c=35.5)), "battery at 35.5 °C"),
    ],
)
def test_heat_below_critical_is_a_sign_and_no_limit(now: Fitness, text: str) -> None:
    found = signs_of_heat(now, COOL)
    assert found is not None
    assert re.search(text, found)
    assert "\n" not in found
    assert why_not_ready(now, COOL) is None


def test_limits_themselves_are_fit() -> None:
    at_limits = Fitness(Heat(0, 50.0, 38.0), replace(COOL.battery, percent=20.0, temperature_c=35.0))
    assert why_not_ready(at_limits, at_limits) is None
    assert signs_of_heat(at_limits, at_limits) is None


def test_critical_heat_comes_before_the_charge() -> None:
    both = replace(with_heat(status=5), battery=Battery(percent=5.0))
    assert str(why_not_ready(both, both)).startswith("thermal status 5")


def test_a_phone_without_a_battery_is_ready() -> None:
    board = Fitness(Heat(0, 36.0, 30.0), Battery(supplies=("AC powered",)))
    assert why_not_ready(board, board) is None


def test_values_that_are_real_again_are_no_change_of_power() -> None:
    assert why_not_ready(COOL, replace(COOL, battery=Battery(is_faked=True))) is None
