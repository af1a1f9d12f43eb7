"""When a board is fit to be measured on."""

import re

import pytest

from devices._linux.readiness import Fitness, signs_of_heat, why_not_ready
from devices._linux.sensors import Heat, Power, Tegra

FIT = Fitness(Heat(45.0), Power(overcurrents=1), Tegra({"tj": 45.0}), ("ondemand",))


def test_a_board_at_rest_is_ready_and_cool() -> None:
    assert why_not_ready(FIT, FIT) is None
    assert signs_of_heat(FIT, FIT) is None
    assert why_not_ready(Fitness(), Fitness()) is None


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Fitness(power=Power(("under-voltage",))), "under-voltage: .*stronger supply"),
        (Fitness(governors=("performance", "powersave")), "governor powersave .*echo performance"),
        (Fitness(governors=("conservative",)), "governor conservative"),
    ],
)
def test_what_does_not_pass_by_waiting_is_said_with_its_remedy(now: Fitness, said: str) -> None:
    assert_said(why_not_ready(now, now), said)


def test_a_sensor_that_falls_silent_is_said() -> None:
    assert_said(why_not_ready(Fitness(), FIT), "no longer reports its temperature")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            Fitness(power=Power(("throttling", "the soft temperature limit"))),
            "firmware reports throttling and",
        ),
        (Fitness(power=Power(("a capped clock",))), "firmware reports a capped clock: let the board cool"),
        (Fitness(Heat(80.0, cooling=("cpufreq-cpu0",))), "cpufreq-cpu0 slows the board down"),
        (Fitness(Heat(97.5, over=("CPU-therm", 97.5))), "CPU-therm at 97.5 °C, where it is slowed down"),
        (Fitness(tegra=Tegra({"cpu": 60.0, "tj": 92.0})), "tj at 92.0 °C, above 90"),
        (Fitness(power=Power((), ("throttling",))), "throttling came and went while measuring"),
        (Fitness(power=Power(overcurrents=2)), "supply was overloaded while measuring"),
    ],
)
def test_a_sign_of_heat_or_of_a_weak_supply_is_said_with_its_remedy(now: Fitness, said: str) -> None:
    assert_said(signs_of_heat(now, FIT), said)


def test_what_had_happened_before_measuring_began_is_no_sign() -> None:
    before = Fitness(power=Power((), ("under-voltage", "throttling"), 7))
    assert signs_of_heat(before, before) is None


def assert_said(text: str | None, said: str) -> None:
    assert text is not None
    assert re.search(said, text)
    assert text.isprintable()
