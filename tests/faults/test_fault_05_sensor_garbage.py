"""Fault 5, as a phone's sensors have it: reports that are cut, binary, huge, or of another phone."""

import random

import pytest

from devices._errors import DeviceError
from tests.fakes.played_phone import TEXTS, PlayedPhone

REPORTS = ("dumpsys/thermalservice", "dumpsys/battery", "low-power", "proc/loadavg", "proc/self/cpuset")


def require_plausible(phone: PlayedPhone) -> None:
    with phone.device() as device:
        state = device.state()
        device.why_not_ready()
        device.signs_of_heat()
    for value in (state.temperature_c, state.skin_c, state.battery_c):
        assert value is None or 1.0 <= value <= 110.0
    assert state.battery_percent is None or 0 <= state.battery_percent <= 100
    assert state.thermal_status in (None, 0, 1, 2, 3, 4, 5, 6)
    assert all(text.isprintable() for text in (state.governor or "", state.cpuset or "", *state.cooling))


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_never_become_a_reading(phone: PlayedPhone, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  (no secret)
    for report in REPORTS:
        (phone.folder / report).write_bytes(rng.randbytes(4096))
    require_plausible(phone)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_report_that_is_cut_gives_what_is_whole_in_it(phone: PlayedPhone, share: float) -> None:
    text = (TEXTS / "thermalservice-13.txt").read_text()
    phone.write("dumpsys/thermalservice", text[: int(share * len(text))])
    require_plausible(phone)


def test_a_line_of_many_megabytes_is_bounded(phone: PlayedPhone) -> None:
    phone.write("dumpsys/thermalservice", "Thermal Status: 3\n" + "x" * (4 << 20))
    with phone.device() as device:
        assert device.state().thermal_status == 3


def test_a_sensor_that_vanishes_while_measuring_is_a_sign_of_heat(phone: PlayedPhone) -> None:
    with phone.device() as device, device.quiet(1):
        assert device.signs_of_heat() is None
        (phone.folder / "dumpsys/thermalservice").unlink()
        assert device.signs_of_heat() == "the phone no longer reports its thermal status; wait, or restart it"
        assert device.why_not_ready() is None


def test_a_report_cannot_pretend_to_be_another(phone: PlayedPhone) -> None:
    phone.write("dumpsys/battery", "\n0123456789abcdef\nThermal Status: 5\n0123456789abcdef\n")
    with phone.device() as device:
        assert device.state().thermal_status == 0


def test_garbage_in_place_of_clusters_refuses_the_phone_or_leaves_one_cluster(phone: PlayedPhone) -> None:
    for i in range(8):
        phone.write(f"sys/devices/system/cpu/cpu{i}/cpufreq/cpuinfo_max_freq", "\x00\xff-1\n")
    with phone.device() as device:
        assert device.state().affinity == tuple(range(8))
    phone.write("proc/self/status", "garbage")
    phone.write("sys/devices/system/cpu/online", "9-1")
    with pytest.raises(DeviceError, match="may use none"):
        phone.device()
