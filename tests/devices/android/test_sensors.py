"""Reports of heat and charge of several Android versions; tests/fakes/phone/README.md tells their origin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices._android.sensors import Battery, Heat, battery, heat, zones_c
from tests.fakes.played_phone import TEXTS


def thermalservice(version: str) -> str:
    return (TEXTS / f"thermalservice-{version}.txt").read_text()


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("10", Heat(status=0, hottest_c=36.4, skin_c=29.3)),
        ("13", Heat(status=0, hottest_c=41.0, skin_c=30.125)),
        (
            "15",
            Heat(status=2, hottest_c=78.4, skin_c=43.6, cooling=("thermal-cpufreq-6", "gpu")),
        ),
        ("mock", Heat(status=0, hottest_c=30.8, skin_c=30.8)),
        ("not-ready", Heat(status=0)),
    ],
)
def test_heat_is_that_of_the_present_not_of_the_cache(version: str, expected: Heat) -> None:
    assert heat(thermalservice(version)) == expected


def test_a_charger_that_is_slowed_down_is_no_throttling() -> None:
    assert "mType=1, mName=fcc" in thermalservice("13")
    assert heat(thermalservice("13")).cooling == ()


@pytest.mark.parametrize("text", ["", "Can't find service: thermalservice\n", "Thermal Status: 7\n"])
def test_a_phone_without_the_service_tells_nothing(text: str) -> None:
    assert heat(text) == Heat()


def test_windows_line_ends_do_not_hide_anything() -> None:
    text = thermalservice("15")
    assert heat(text.replace("\n", "\r\n")) == heat(text)


def test_a_battery_tells_charge_temperature_and_what_powers_the_phone() -> None:
    assert battery((TEXTS / "battery-13.txt").read_text()) == Battery(80.0, 28.2, True, ("USB powered",))


def test_a_makers_own_lines_do_not_overrule_those_of_android() -> None:
    samsung = battery((TEXTS / "battery-samsung.txt").read_text())
    assert samsung == Battery(100.0, 25.4, False, ("AC powered",))


@pytest.mark.parametrize(
    "rest",
    [
        "level: 0\n  scale: 100\n  temperature: 0\n",
        "level: 42\n  scale: 100\n  temperature: 424\n",
        "level: 100\n  scale: 100\n  temperature: 250\n  present: true\n",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("no", ["false", "False"])
def test_a_battery_that_is_not_present_has_neither_charge_nor_heat(rest: str, end: str, no: str) -> None:
    text = f"Current Battery Service state:\n  AC powered: true\n  status: 1\n  present: {no}\n  {rest}"
    assert battery(text.replace("\n", end)) == Battery(supplies=("AC powered",))


def test_a_battery_that_is_present_is_one() -> None:
    assert battery("  present: true\n  level: 42\n  scale: 100\n").percent == 42.0


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("present", ["true", "false"])
def test_values_that_somebody_set_are_none_of_the_battery(end: str, present: str) -> None:
    text = (
        "Current Battery Service state:\n  (UPDATES STOPPED -- use 'reset' to restart)\n  AC powered: false\n"
        f"  status: 3\n  present: {present}\n  level: 100\n  scale: 100\n  temperature: 250\n"
    )
    assert battery(text.replace("\n", end)) == Battery(is_faked=True)


@pytest.mark.parametrize(
    "text",
    ["", "  level: 120\n  scale: 100\n", "  level: -1\n", "  level: 50\n  scale: 0\n", "  temperature: 0\n"],
)
def test_an_implausible_report_tells_nothing(text: str) -> None:
    assert battery(text) == Battery()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["38000\n", "41250\n"], 41.25),
        (["271\n"], 27.1),
        (["35\n"], 35.0),
        (["-274000\n", "0\n", "", "<none>\n", "999999999\n"], None),
        (["5\n", "45000\n"], 45.0),
    ],
)
def test_zones_of_any_unit_are_read_and_broken_ones_left_out(
    texts: list[str], expected: float | None
) -> None:
    assert zones_c(texts) == expected


@given(st.text(), st.integers(0, 2000))
def test_a_report_cut_or_garbled_anywhere_gives_plausible_values_or_none(garbage: str, cut: int) -> None:
    for text in (garbage, thermalservice("13")[:cut] + garbage):
        found = heat(text)
        for value in (found.hottest_c, found.skin_c):
            assert value is None or 1.0 <= value <= 110.0
        assert found.status is None or 0 <= found.status <= 6
    charge = battery((TEXTS / "battery-13.txt").read_text()[:cut] + garbage)
    assert charge.percent is None or 0 <= charge.percent <= 100
    zones_c([garbage])
