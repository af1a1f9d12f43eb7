"""A graphics card as a device: on a stand-in for NVIDIA's library, the kernel's files, and SwiftShader."""

import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from devices._errors import DeviceError
from devices._gpu.cards import cards, chosen
from devices._gpu.nvml import Nvml
from devices._gpu.processes import Family
from devices.gpu import Gpu
from tests.fakes import drm
from tests.fakes.nvml import DENIED, FakeNvml, smi_cards
from tests.fakes.vulkan import swiftshader

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(name="module")
def _module() -> FakeNvml:
    return FakeNvml(*smi_cards())


@pytest.fixture(name="proc")
def _proc(tmp_path: Path) -> Path:
    drm.namespace(tmp_path / "proc")
    return tmp_path / "proc"


def nvidia(module: FakeNvml, proc: Path, number: int = 0) -> Gpu:
    found = cards([], library=Nvml(module), drm=Path("/nonexistent"))
    return Gpu(chosen(f"nvidia:{number}", found), family=Family(proc=proc))


def test_a_card_is_who_its_driver_says(module: FakeNvml, proc: Path) -> None:
    with nvidia(module, proc) as card:
        info = card.info()
    assert (info.kind, info.model) == ("gpu", "NVIDIA A100-SXM4-40GB")
    assert info.platform == "nvidia 10de:20b0, compute capability 8.0, 40 GiB"
    assert info.cores == os.cpu_count()
    assert info.serial_hash
    assert info.serial_hash not in str(smi_cards()[0]["nvmlDeviceGetUUID"])
    assert module.users == 0


def test_an_update_of_the_driver_leaves_it_the_same_device(module: FakeNvml, proc: Path) -> None:
    before = nvidia(module, proc).info()
    found = cards([], library=Nvml(module), drm=Path("/nonexistent"))
    now = Gpu(replace(found[0], driver_text="NVIDIA 550.54.14")).info()
    assert before.includes(now)
    assert now.conditions()["vendor_build"] == "NVIDIA 550.54.14"
    assert not before.includes(nvidia(module, proc, 1).info())


def test_two_cards_of_one_kind_are_two_devices(module: FakeNvml, proc: Path) -> None:
    module.cards[1] = module.cards[0] | {"nvmlDeviceGetUUID": "GPU-00000000-0000-0000-0000-000000000001"}
    one, other = nvidia(module, proc).info(), nvidia(module, proc, 1).info()
    assert one.identity() == other.identity()
    assert not one.includes(other)


def test_its_state_has_what_nvidia_smi_shows(module: FakeNvml, proc: Path) -> None:
    state = nvidia(module, proc).state()
    assert (state.clock_mhz, state.base_clock_mhz, state.memory_clock_mhz) == (1095, 1095, 1215)
    assert (state.temperature_c, state.power_w, state.throttling) == (34, 61.53, ())
    assert (state.is_clock_fixed, state.threads, state.other_processes) == (False, None, None)


def test_quiet_locks_the_clock_and_restores_it_after_an_error(module: FakeNvml, proc: Path) -> None:
    card = nvidia(module, proc)
    states = []

    def measure() -> None:
        states.append(card.state())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), card.quiet(1):
        measure()
    assert [(state.is_clock_fixed, state.threads) for state in states] == [(True, 1)]
    assert [name for name, *_ in module.done] == [
        "nvmlDeviceSetGpuLockedClocks",
        "nvmlDeviceResetGpuLockedClocks",
    ]
    assert (card.state().is_clock_fixed, card.state().threads) == (False, None)


def test_who_may_not_lock_the_clock_measures_all_the_same(module: FakeNvml, proc: Path) -> None:
    module.errors["nvmlDeviceSetGpuLockedClocks"] = DENIED
    card = nvidia(module, proc)
    with card.quiet(1):
        assert card.state().is_clock_fixed is False
    assert module.done == []


def test_two_cannot_measure_on_one_card_but_on_two(module: FakeNvml, proc: Path) -> None:
    with nvidia(module, proc).quiet(1), nvidia(module, proc, 1).quiet(1):
        with pytest.raises(DeviceError, match="another process measures"), nvidia(module, proc).quiet(1):
            pass
        assert len(module.done) == 2
        assert nvidia(module, proc).state().is_clock_fixed, "whoever asks meanwhile, a worker for one"


def test_a_clock_that_a_killed_process_left_is_let_go_by_whoever_opens_the_card(
    module: FakeNvml, proc: Path, own_cache: Path
) -> None:
    with nvidia(module, proc).quiet(1):
        [record] = (own_cache / "cars_hw/clocks").glob("*.json")
        content = record.read_bytes()
    module.done.clear()
    record.write_bytes(content)
    nvidia(module, proc, 1)
    [found, _] = cards([], library=Nvml(module), drm=Path("/nonexistent"))
    Gpu(found, family=Family(4000, proc=proc))
    assert module.done == [], "neither another card nor a worker lets it go"
    nvidia(module, proc)
    assert module.done == [("nvmlDeviceResetGpuLockedClocks",)]
    assert not record.exists()


def test_more_than_one_thread_is_refused(module: FakeNvml, proc: Path) -> None:
    with pytest.raises(DeviceError, match="ask for 1 thread"), nvidia(module, proc).quiet(2):
        pass


def test_a_block_counts_where_nothing_is_wrong(module: FakeNvml, proc: Path) -> None:
    card = nvidia(module, proc)
    assert (card.disturbance(), card.why_not_ready(), card.signs_of_heat()) == (None, None, None)


def test_a_busy_card_disturbs_and_is_waited_for(module: FakeNvml, proc: Path) -> None:
    module.cards[0]["nvmlDeviceGetComputeRunningProcesses"] = [SimpleNamespace(pid=5000)]
    card = nvidia(module, proc)
    assert card.disturbance() == "1 process of others works on the card"
    assert "wait until it has none" in str(card.why_not_ready())


@pytest.mark.parametrize(("mhz", "counts"), [(822, True), (821, False)])
def test_a_clock_below_three_quarters_of_what_it_sustains_disturbs(
    module: FakeNvml, proc: Path, mhz: int, counts: bool
) -> None:
    """75 % of the 1095 MHz are 821.25."""
    module.cards[0]["nvmlDeviceGetClockInfo", 1] = mhz
    card = nvidia(module, proc)
    assert (card.disturbance() is None) == counts
    assert card.why_not_ready() is None, "an idle card has a low clock"


def test_while_the_clock_is_held_the_highest_seen_since_counts(module: FakeNvml, proc: Path) -> None:
    """A card may sustain 700 MHz where the driver names 1095; workers see it held by who started them."""
    card, worker = nvidia(module, proc), nvidia(module, proc)
    with card.quiet(1):
        for mhz, counts in ((700, True), (524, False), (526, True), (1095, True), (700, False)):
            module.cards[0]["nvmlDeviceGetClockInfo", 1] = mhz
            assert [device.disturbance() is None for device in (card, worker)] == [counts] * 2
    assert "below 75 % of the 1095 MHz" in str(card.disturbance())


def test_a_card_that_throttles_disturbs_and_explains(module: FakeNvml, proc: Path) -> None:
    module.cards[0]["nvmlDeviceGetCurrentClocksEventReasons"] = 0x44
    card = nvidia(module, proc)
    assert card.disturbance() == "the card throttles: power cap, hardware thermal slowdown"
    assert "let it cool" in str(card.signs_of_heat())
    assert card.why_not_ready() is None


def test_energy_is_what_the_card_has_used(module: FakeNvml, proc: Path) -> None:
    card = nvidia(module, proc)
    assert card.energy_j() is None
    module.cards[0]["nvmlDeviceGetTotalEnergyConsumption"] = 1500
    assert card.energy_j() == 1.5


def test_a_worker_of_ours_is_no_stranger_on_the_card(module: FakeNvml, proc: Path) -> None:
    drm.process(proc, 4000)
    drm.process(proc, 4001, parent=4000)
    module.cards[0]["nvmlDeviceGetComputeRunningProcesses"] = [SimpleNamespace(pid=4001)]
    [found, _] = cards([], library=Nvml(module), drm=Path("/nonexistent"))
    assert Gpu(found, family=Family(4000, proc=proc)).disturbance() is None
    assert Gpu(found, family=Family(4002, proc=proc)).disturbance() is not None


def test_what_is_asked_after_each_block_takes_less_than_a_millisecond(tmp_path: Path) -> None:
    drm.card(tmp_path, "card0", drm.AMD)
    [found] = cards([], library=Nvml(FakeNvml()), drm=tmp_path)
    card = Gpu(found, family=Family(proc=tmp_path / "proc"))
    took_s = []
    for _ in range(20):
        began_s = time.perf_counter()
        card.disturbance()
        took_s.append(time.perf_counter() - began_s)
    assert min(took_s) < 1e-3


@pytest.mark.parametrize("address", ["software", "software:0"])
def test_a_played_card_is_connected_to_by_name_and_is_never_timed(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", swiftshader())
    assert Gpu.addresses() == ["software:0"]
    with Gpu.connect(address) as card:
        assert card.adapter.is_software
        assert card.why_untimed() == (
            "SwiftShader Device (Subzero) is played by a processor: its times are no card's"
        )
        assert card.state().is_clock_fixed is None
        assert (card.disturbance(), card.energy_j()) == (None, None)
    with pytest.raises(
        DeviceError, match=r"no card for gpu; install its driver, or name one .*: gpu:software:0"
    ):
        Gpu.connect("")


def test_two_may_use_a_played_card_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", swiftshader())
    with Gpu.connect("software").quiet(1), Gpu.connect("software").quiet(1):
        pass


def test_a_worker_opens_the_same_card_for_the_process_that_started_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", swiftshader())
    card = Gpu.connect("software")
    address = card.worker_address()
    assert address == f"gpu:software:0;for={os.getpid()}"
    worker = Gpu.connect("software:0;for=4000")
    assert worker.adapter == card.adapter
    assert worker.worker_address() == "gpu:software:0;for=4000"
    for wrong in ("software:0;for=0", "software:0;for=", "software:0;for=-1", f"software;for={'9' * 11}"):
        with pytest.raises(DeviceError, match="names no card"):
            Gpu.connect(wrong)


def test_a_card_of_which_little_is_known_says_so_once(
    caplog: pytest.LogCaptureFixture, module: FakeNvml
) -> None:
    [found, _] = cards([], library=Nvml(module), drm=Path("/nonexistent"))
    unknown = replace(found, hint="nothing is known: install it")
    Gpu(unknown, family=Family(4000))
    assert caplog.messages == []
    Gpu(unknown)
    assert caplog.messages == ["NVIDIA A100-SXM4-40GB: nothing is known: install it"]
