"""NVIDIA's cards, on a stand-in for nvidia-ml-py and on a C library with NVML's interface."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from devices._errors import DeviceError, DeviceLostError
from devices._gpu import nvml
from devices._gpu.driver import Pulse, Readings
from devices._gpu.nvidia import Nvidia
from devices._gpu.nvml import Nvml
from devices._gpu.processes import Family
from tests.fakes import drm
from tests.fakes.nvml import DENIED, LOST, NO_DRIVER, NOTHING, FakeNvml, library, smi_cards

_A100, _LAPTOP = (str(card["nvmlDeviceGetUUID"]) for card in smi_cards())


@pytest.fixture(name="module")
def _module() -> Iterator[FakeNvml]:
    module = FakeNvml(*smi_cards())
    yield module
    assert module.users == 0, "it was initialised more often than given back"


@pytest.fixture(name="proc")
def _proc(tmp_path: Path) -> Path:
    drm.namespace(tmp_path / "proc")
    return tmp_path / "proc"


def test_cards_are_who_nvidia_smi_says_that_they_are(module: FakeNvml) -> None:
    with nvml.opened(Nvml(module)) as lister:
        assert lister is not None
        a100, laptop = lister.identities()
        assert lister.driver() == "535.104.05"
    assert (a100.name, a100.uuid, a100.pci) == ("NVIDIA A100-SXM4-40GB", _A100, "0000:07:00.0")
    assert (a100.vendor_id, a100.device_id) == (0x10DE, 0x20B0)
    assert (a100.memory_bytes, a100.capability) == (40 << 30, (8, 0))
    assert (laptop.name, laptop.capability) == ("NVIDIA GeForce RTX 3070 Laptop GPU", (8, 6))


def test_without_a_driver_there_are_no_cards(module: FakeNvml) -> None:
    module.errors["nvmlInit"] = NO_DRIVER
    with nvml.opened(Nvml(module)) as lister:
        assert lister is None
    with pytest.raises(DeviceError, match="nvidia-smi"):
        Nvidia(Nvml(module), _A100, Family())


def test_a_card_tells_its_clocks_heat_power_and_energy(module: FakeNvml) -> None:
    module.cards[0]["nvmlDeviceGetTotalEnergyConsumption"] = 5_000_000_123
    card = Nvidia(Nvml(module), _A100, Family())
    assert card.pulse().clock_mhz == card.pulse().base_clock_mhz == 1095
    assert card.readings() == Readings(memory_clock_mhz=1215, temperature_c=34, power_w=61.53)
    assert card.energy_j() == 5_000_000.123
    card.close()
    card.close()


def test_what_a_card_does_not_tell_is_not_made_up(module: FakeNvml, proc: Path) -> None:
    module.cards[1] = {"nvmlDeviceGetUUID": _LAPTOP}
    card = Nvidia(Nvml(module), _LAPTOP, Family(proc=proc))
    assert (card.pulse(), card.readings(), card.energy_j()) == (Pulse(), Readings(), None)
    card.close()


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0x1, ()),
        (0x2 | 0x10 | 0x100, ()),
        (0x4, ("power cap",)),
        (0x8 | 0x40, ("hardware slowdown", "hardware thermal slowdown")),
        (0x20 | 0x80, ("software thermal slowdown", "power brake")),
    ],
)
def test_idling_or_being_told_so_is_no_throttling(
    module: FakeNvml, bits: int, names: tuple[str, ...]
) -> None:
    module.cards[0]["nvmlDeviceGetCurrentClocksEventReasons"] = bits
    card = Nvidia(Nvml(module), _A100, Family())
    assert card.pulse().throttling == names
    card.close()


def test_an_older_driver_is_asked_under_the_older_name(module: FakeNvml) -> None:
    bits = module.cards[0].pop("nvmlDeviceGetCurrentClocksEventReasons")
    assert bits == 0
    module.cards[0]["nvmlDeviceGetCurrentClocksThrottleReasons"] = 0x4
    card = Nvidia(Nvml(module), _A100, Family())
    assert card.pulse().throttling == ("power cap",)
    module.lacks.add("nvmlDeviceGetCurrentClocksThrottleReasons")
    assert card.pulse().throttling == ()
    card.close()


def test_the_clock_is_locked_at_what_the_power_limit_sustains(module: FakeNvml) -> None:
    card = Nvidia(Nvml(module), _LAPTOP, Family())
    settings = card.settings()
    assert card.hold()
    assert card.restore(settings)
    card.close()
    sustained = 0xFFFFFF01
    assert module.done == [
        ("nvmlDeviceSetGpuLockedClocks", sustained, sustained),
        ("nvmlDeviceResetGpuLockedClocks",),
    ]


def test_without_permission_nothing_is_locked(module: FakeNvml) -> None:
    module.errors |= dict.fromkeys(("nvmlDeviceSetGpuLockedClocks", "nvmlDeviceResetGpuLockedClocks"), DENIED)
    card = Nvidia(Nvml(module), _A100, Family())
    assert not card.hold()
    assert not card.restore(card.settings())
    card.close()


def test_a_card_that_fell_off_the_bus_is_lost(module: FakeNvml) -> None:
    card = Nvidia(Nvml(module), _A100, Family())
    module.errors["nvmlDeviceGetClockInfo"] = LOST
    with pytest.raises(DeviceLostError, match="restart the machine"):
        card.pulse()
    card.close()


def running(*pids: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(pid=pid) for pid in pids]


def sample(pid: int, sm: int, at_us: int) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, smUtil=sm, timeStamp=at_us)


def test_our_own_processes_are_no_others(module: FakeNvml, proc: Path) -> None:
    """The one that measures, its workers, and those beside it that the same one started."""
    drm.process(proc, 4000)
    drm.process(proc, 4001, parent=4000)
    drm.process(proc, 4002, parent=4001)
    drm.process(proc, 5000)
    answers = module.cards[0]
    answers["nvmlDeviceGetComputeRunningProcesses"] = running(os.getpid(), 4000, 4001, 4002)
    seconds = iter(range(100))
    card = Nvidia(Nvml(module), _A100, Family(4000, proc=proc), now_s=lambda: next(seconds))
    assert card.pulse().others == 0
    answers["nvmlDeviceGetComputeRunningProcesses"] = running(4002, 5000, 6000)
    assert card.pulse().others == 2
    card.close()


def test_others_that_only_keep_memory_there_disturb_nobody(module: FakeNvml, proc: Path) -> None:
    answers = module.cards[0]
    answers["nvmlDeviceGetComputeRunningProcesses"] = running(5000, 6000)
    seconds = iter(range(100))
    card = Nvidia(Nvml(module), _A100, Family(proc=proc), now_s=lambda: next(seconds))
    answers["nvmlDeviceGetProcessUtilization", 0] = [sample(5000, 0, 70), sample(6000, 0, 80)]
    assert card.pulse().others == 0
    answers["nvmlDeviceGetProcessUtilization", 80] = [sample(5000, 30, 90), sample(6000, 0, 90)]
    assert card.pulse().others == 1
    card.close()


def test_an_answer_that_there_are_no_samples_is_no_work(module: FakeNvml, proc: Path) -> None:
    """So the driver answers where nobody has used anything since; what was used last holds for a second."""
    answers, now_s = module.cards[0], [0.0]
    answers["nvmlDeviceGetComputeRunningProcesses"] = running(5000)
    module.errors["nvmlDeviceGetProcessUtilization"] = NOTHING
    card = Nvidia(Nvml(module), _A100, Family(proc=proc), now_s=lambda: now_s[0])
    found = [card.pulse().others]
    answers["nvmlDeviceGetProcessUtilization"] = [sample(5000, 30, 90)]
    del module.errors["nvmlDeviceGetProcessUtilization"]
    now_s[0] = 2.0
    found.append(card.pulse().others)
    module.errors["nvmlDeviceGetProcessUtilization"] = NOTHING
    for now_s[0] in (2.5, 3.5):
        found.append(card.pulse().others)
    card.close()
    assert found == [0, 1, 1, 0]


def test_a_card_that_was_lost_leaves_the_others_in_use(
    module: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    module.lost = {0}
    with nvml.opened(Nvml(module)) as lister:
        assert lister is not None
        assert [who.uuid for who in lister.identities()] == [_LAPTOP]
    assert "NVIDIA's card 0 is left out: the card was lost" in caplog.text
    with pytest.raises(DeviceLostError, match="restart the machine"):
        Nvidia(Nvml(module), _A100, Family())


def test_the_driver_is_not_asked_for_others_more_often_than_it_samples(module: FakeNvml, proc: Path) -> None:
    now_s = [0.0]
    module.cards[0]["nvmlDeviceGetComputeRunningProcesses"] = running(5000)
    card = Nvidia(Nvml(module), _A100, Family(proc=proc), now_s=lambda: now_s[0])
    found = []
    for now_s[0] in (0.0, 0.05, 0.15):
        found.append(card.pulse().others)
        module.cards[0]["nvmlDeviceGetComputeRunningProcesses"] = running(5000, 5001)
    assert found == [1, 1, 2]
    card.close()


def test_inside_a_container_others_are_unknown(module: FakeNvml, tmp_path: Path) -> None:
    """There the driver's numbers of processes are the host's: our own process would be a stranger."""
    drm.namespace(tmp_path, "pid:[4026532209]")
    module.cards[0]["nvmlDeviceGetComputeRunningProcesses"] = running(31337)
    card = Nvidia(Nvml(module), _A100, Family(proc=tmp_path))
    assert card.pulse().others is None
    card.close()


_BOTH = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import pynvml
from devices._gpu import nvml
from devices._gpu.nvidia import Nvidia
from devices._gpu.processes import Family
with nvml.opened(None) as bare, nvml.opened(nvml.Nvml(pynvml)) as binding:
    lists = [[lister.driver(), *map(asdict, lister.identities())] for lister in (bare, binding)]
    uuid = binding.identities()[0].uuid
card = Nvidia(nvml.installed(), uuid, Family(proc=Path(sys.argv[1])))
pulses = [asdict(card.pulse())]
held = card.hold()
pulses.append(asdict(card.pulse()))
restored = card.restore(card.settings())
pulses.append(asdict(card.pulse()))
print(json.dumps([lists, pulses, asdict(card.readings()), card.energy_j(), held, restored]))
"""


def test_our_own_calls_and_nvidias_binding_read_a_real_library_alike(tmp_path: Path, proc: Path) -> None:
    pytest.importorskip("pynvml")
    environment = os.environ | {"LD_LIBRARY_PATH": str(library(tmp_path))}
    done = subprocess.run(
        [sys.executable, "-c", _BOTH, proc],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (bare, binding), pulses, readings, energy_j, held, restored = json.loads(done.stdout)
    assert bare == binding
    assert bare == [
        "535.104.05",
        {
            "name": "NVIDIA A100-SXM4-40GB",
            "uuid": "GPU-3d5a1c2e-0b1f-4c6d-9e8a-7b6c5d4e3f21",
            "pci": "4e0a:07:00.0",
            "vendor_id": 0x10DE,
            "device_id": 0x20B0,
            "memory_bytes": 40 << 30,
            "capability": [8, 0],
        },
    ]
    assert [pulse["clock_mhz"] for pulse in pulses] == [300, 1095, 300]
    assert pulses[0]["base_clock_mhz"] == 1095
    assert pulses[0]["throttling"] == ["power cap", "software thermal slowdown"]
    assert pulses[0]["others"] == 1
    assert readings == {"memory_clock_mhz": 1215, "temperature_c": 34, "power_w": 61.53}
    assert (energy_j, held, restored) == (5_000_000.123, True, True)
