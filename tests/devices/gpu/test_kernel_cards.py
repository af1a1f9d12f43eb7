"""AMD's and Intel's cards, on folders with the files that the kernel documents."""

from pathlib import Path

import pytest

from devices._errors import DeviceLostError
from devices._gpu import sysfs
from devices._gpu.amd import Amd
from devices._gpu.driver import Driver, Readings
from devices._gpu.intel import I915, XE, Intel
from devices._gpu.processes import Clients, Family
from devices._gpu.sysfs import DrmCard, Files
from tests.fakes import drm

_NOBODY = Clients("none", Family(proc=Path("/nonexistent")))


def opened(folder: Path) -> Driver:
    files = Files(folder)
    match files.text("device/uevent").splitlines()[0]:
        case "DRIVER=amdgpu":
            return Amd(files, _NOBODY)
        case "DRIVER=i915":
            return Intel(files, I915, _NOBODY)
    return Intel(files, XE, _NOBODY)


def test_cards_are_listed_in_the_order_of_the_bus_and_connectors_are_none(tmp_path: Path) -> None:
    drm.card(tmp_path, "card0", drm.XE)
    drm.card(tmp_path, "card1", drm.AMD)
    drm.card(tmp_path, "card12", drm.I915)
    drm.card(tmp_path, "card2", {"device/vendor": "0x1a03\n", "device/device": "0x2000\n"})
    assert sysfs.cards(tmp_path) == [
        DrmCard(tmp_path / "card12", "i915", 0x8086, 0x9A49, "0000:00:02.0"),
        DrmCard(tmp_path / "card1", "amdgpu", 0x1002, 0x744C, "0000:03:00.0", 25753026560),
        DrmCard(tmp_path / "card0", "xe", 0x8086, 0xE20B, "0000:0a:00.0"),
    ]
    assert sysfs.cards(tmp_path / "none") == []


def test_an_amd_card_tells_its_clocks_heat_and_power(tmp_path: Path) -> None:
    card = opened(drm.card(tmp_path, "card0", drm.AMD))
    assert card.pulse().clock_mhz == 2304
    assert card.readings() == Readings(memory_clock_mhz=1249, temperature_c=51, power_w=87)
    assert card.energy_j() is None


def test_without_sensors_an_amd_card_tells_the_step_that_is_marked(tmp_path: Path) -> None:
    files = {name: text for name, text in drm.AMD.items() if "hwmon" not in name}
    card = opened(drm.card(tmp_path, "card0", files))
    assert card.pulse().clock_mhz == 500
    assert card.readings() == Readings(memory_clock_mhz=772)


@pytest.mark.parametrize(
    ("revision", "size", "offset"), [((1, 3), 120, 112), ((2, 2), 128, 120), ((2, 4), 168, 120)]
)
@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0, ()),
        (1 << 0, ("power",)),
        (1 << 16 | 1 << 36, ("current", "temperature")),
        (1 << 56, ("other limits",)),
        (2**64 - 1, ()),
    ],
)
def test_an_amd_card_tells_what_limits_its_clock(
    tmp_path: Path, revision: tuple[int, int], size: int, offset: int, bits: int, names: tuple[str, ...]
) -> None:
    folder = drm.card(tmp_path, "card0", drm.AMD)
    metrics = drm.gpu_metrics(revision, size=size, offset=offset, throttling=bits)
    drm.write(folder / "device/gpu_metrics", metrics)
    assert opened(folder).pulse().throttling == names


@pytest.mark.parametrize("content", [b"", b"\x78\x00", b"\x78\x00\x01\x03", b"\x00" * 4096])
def test_metrics_of_another_form_tell_nothing(tmp_path: Path, content: bytes) -> None:
    folder = drm.card(tmp_path, "card0", drm.AMD)
    drm.write(folder / "device/gpu_metrics", content)
    assert opened(folder).pulse().throttling == ()


def test_an_amd_card_is_held_at_its_profiling_clock(tmp_path: Path) -> None:
    folder = drm.card(tmp_path, "card0", drm.AMD)
    level = folder / "device/power_dpm_force_performance_level"
    level.write_text("high\n")
    card = opened(folder)
    settings = card.settings()
    assert card.hold()
    assert level.read_text().startswith("profile_standard")
    level.write_text("")
    assert card.restore(settings)
    assert level.read_text() == "high"


@pytest.mark.parametrize("files", [drm.I915, drm.XE])
def test_an_intel_card_is_held_at_the_highest_clock_that_is_allowed(
    tmp_path: Path, files: dict[str, str]
) -> None:
    folder = drm.card(tmp_path, "card0", files)
    [least] = [folder / name for name in files if "/min_freq" in name or "gt_min" in name]
    before, card = least.read_text(), opened(folder)
    settings = card.settings()
    assert card.hold()
    assert least.read_text().strip() == f"{card.pulse().clock_mhz:.0f}"
    least.write_text("")
    assert card.restore(settings)
    assert least.read_text() == before.strip()


def test_an_intel_card_of_its_own_tells_its_heat_and_energy(tmp_path: Path) -> None:
    card = opened(drm.card(tmp_path, "card0", drm.XE))
    assert card.readings() == Readings(temperature_c=47)
    assert card.energy_j() == 7123.456789
    assert opened(drm.card(tmp_path, "card1", drm.I915)).energy_j() is None


def test_an_intel_card_that_sleeps_has_no_clock(tmp_path: Path) -> None:
    folder = drm.card(tmp_path, "card0", drm.I915, gt_act_freq_mhz="0\n")
    assert opened(folder).pulse().clock_mhz is None


@pytest.mark.parametrize(
    ("files", "prefix", "status"),
    [
        (drm.I915, "gt/gt0/throttle_reason_", "gt/gt0/throttle_reason_status"),
        (drm.XE, "device/tile0/gt0/freq0/throttle/reason_", "device/tile0/gt0/freq0/throttle/status"),
    ],
)
def test_an_intel_card_tells_why_its_clock_is_held_down(
    tmp_path: Path, files: dict[str, str], prefix: str, status: str
) -> None:
    folder = drm.card(tmp_path, "card0", files)
    card = opened(folder)
    assert card.pulse().throttling == ()
    drm.write(folder / status, "1\n")
    assert card.pulse().throttling == ("an unnamed limit",)
    for reason in ("pl1", "thermal"):
        drm.write(folder / f"{prefix}{reason}", "1\n")
    assert card.pulse().throttling == ("pl1", "thermal")


@pytest.mark.parametrize("level", ["manual", "perf_determinism", "", "another"])
def test_clocks_that_a_name_would_not_bring_back_are_left_alone(tmp_path: Path, level: str) -> None:
    folder = drm.card(tmp_path, "card0", drm.AMD)
    (folder / "device/power_dpm_force_performance_level").write_text(f"{level}\n")
    assert opened(folder).settings() == {}
    assert not opened(folder).restore({"level": level})


@pytest.mark.parametrize("files", [drm.AMD, drm.I915, drm.XE])
@pytest.mark.parametrize(
    "settings", [{}, {"level": "$(reboot)"}, {"least_mhz": "-1"}, {"least_mhz": "9" * 9}]
)
def test_settings_that_were_tampered_with_are_not_written(
    tmp_path: Path, files: dict[str, str], settings: dict[str, str]
) -> None:
    folder = drm.card(tmp_path, "card0", files)
    assert not opened(folder).restore(settings)
    assert {name: (folder / name).read_text() for name in files} == files


@pytest.mark.parametrize("files", [drm.AMD, drm.I915, drm.XE])
def test_where_the_kernel_refuses_nothing_is_held(tmp_path: Path, files: dict[str, str]) -> None:
    """A link in the place of a file is not followed, and stands here for a file that is not ours."""
    folder = drm.card(tmp_path, "card0", files)
    for name in files:
        if "min_freq" in name or "gt_min" in name or "performance_level" in name:
            (folder / name).rename(tmp_path / "elsewhere")
            (folder / name).symlink_to(tmp_path / "elsewhere")
    assert not opened(folder).hold()


@pytest.mark.parametrize("files", [drm.AMD, drm.I915, drm.XE])
def test_a_card_that_is_unplugged_is_lost(tmp_path: Path, files: dict[str, str]) -> None:
    folder = drm.card(tmp_path, "card0", files)
    card = opened(folder)
    folder.rename(tmp_path / "gone")
    with pytest.raises(DeviceLostError, match="restart the machine"):
        card.pulse()
    with pytest.raises(DeviceLostError):
        card.readings()


@pytest.mark.parametrize("files", [drm.AMD, drm.I915, drm.XE])
@pytest.mark.parametrize("garbage", ["", "\x00\xff", "9" * 70_000, "nan\n", "1e9\n"])
def test_garbage_in_a_file_is_no_reading(tmp_path: Path, files: dict[str, str], garbage: str) -> None:
    kept = {name: text for name, text in files.items() if name.startswith(("device/vendor", "device/uevent"))}
    folder = drm.card(tmp_path, "card0", dict.fromkeys(files, garbage) | kept)
    card = opened(folder)
    assert card.readings() == Readings()
    assert card.energy_j() is None
    assert card.pulse().clock_mhz is None
    assert not card.settings()
