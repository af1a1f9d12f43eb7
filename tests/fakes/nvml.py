"""NVML without a card: a stand-in for the module ``pynvml``, and NVML's C interface as a library."""

import csv
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace

from tests.fakes.environments import demand

#: By a function's name, or by name and arguments: what it answers.
Answers = dict[object, object]

_FORMS = Path(__file__).parent / "gpu"

UNSUPPORTED, DENIED, NOTHING, LOST, NO_DRIVER = 3, 4, 6, 15, 9


class NVMLError(Exception):
    """As ``pynvml.NVMLError``."""

    def __init__(self, value: int) -> None:
        super().__init__(
            {DENIED: "Insufficient Permissions", LOST: "GPU is lost"}.get(value, "Not Supported")
        )
        self.value = value


class FakeNvml(ModuleType):
    """A module like ``pynvml`` whose cards are numbers, and which answers what it is given.

    Args:
        cards: Of each what its functions answer; those that are missing are not supported.

    Attributes:
        cards: Those; a test may change them.
        errors: By function, the error that it gives.
        lost: Numbers of cards that fell off the bus.
        lacks: Functions that this version of the module does not have.
        done: What was called to change something, in order.
        users: How often it was initialised and not given back.
    """

    NVMLError = NVMLError

    def __init__(self, *cards: Answers) -> None:
        super().__init__("pynvml")
        self.cards = list(cards)
        self.errors: dict[str, int] = {}
        self.lost: set[int] = set()
        self.lacks: set[str] = set()
        self.done: list[tuple[object, ...]] = []
        self.users = 0

    def __getattr__(self, name: str) -> Callable[..., object]:
        if not name.startswith("nvml") or name in self.lacks:
            raise AttributeError(name)
        return lambda *arguments: self._call(name, *arguments)

    def _call(self, name: str, *arguments: object) -> object:
        if name in self.errors:
            raise NVMLError(self.errors[name])
        match name, arguments:
            case "nvmlInit", _:
                self.users += 1
                return None
            case "nvmlShutdown", _:
                self.users -= 1
                return None
            case "nvmlSystemGetDriverVersion", _:
                return "535.104.05"
            case "nvmlDeviceGetCount", _:
                return len(self.cards)
            case "nvmlDeviceGetHandleByIndex", (int(i),):
                return i
            case "nvmlDeviceGetHandleByUUID", (str(uuid),):
                return next(i for i, card in enumerate(self.cards) if card["nvmlDeviceGetUUID"] == uuid)
        return self._of_card(name, *arguments)

    def _of_card(self, name: str, handle: object, *arguments: object) -> object:
        assert self.users > 0, "NVML is not initialised"
        assert isinstance(handle, int)
        if "Set" in name or "Reset" in name:
            self.done.append((name, *arguments))
            return None
        if handle in self.lost:
            raise NVMLError(LOST)
        answers = self.cards[handle]
        if (name, *arguments) in answers:
            return answers[(name, *arguments)]
        if name not in answers:
            raise NVMLError(UNSUPPORTED)
        return answers[name]


def smi_cards() -> list[Answers]:
    """Return the cards of ``nvidia-smi.csv`` as NVML answers of them."""
    with (_FORMS / "nvidia-smi.csv").open(newline="") as file:
        return [_of_smi(row) for row in csv.DictReader(file, skipinitialspace=True)]


def _of_smi(row: Mapping[str, str]) -> Answers:
    """Return what NVML answers where nvidia-smi prints ``row``; ``[N/A]`` is what is not supported."""
    major, minor = row["compute_cap"].split(".")
    found: Answers = {
        "nvmlDeviceGetName": row["name"],
        "nvmlDeviceGetUUID": row["uuid"],
        "nvmlDeviceGetPciInfo": SimpleNamespace(
            busId=row["pci.bus_id"], pciDeviceId=int(row["pci.device_id"], 16)
        ),
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=_number(row["memory.total [MiB]"]) << 20),
        "nvmlDeviceGetCudaComputeCapability": (int(major), int(minor)),
        ("nvmlDeviceGetClockInfo", 1): _number(row["clocks.sm [MHz]"]),
        ("nvmlDeviceGetClockInfo", 2): _number(row["clocks.mem [MHz]"]),
        ("nvmlDeviceGetTemperature", 0): _number(row["temperature.gpu"]),
        "nvmlDeviceGetPowerUsage": round(1000 * float(row["power.draw [W]"].split()[0])),
        "nvmlDeviceGetCurrentClocksEventReasons": int(row["clocks_event_reasons.active"], 16),
    }
    if row["clocks.default_applications.graphics [MHz]"] != "[N/A]":
        found["nvmlDeviceGetClock", 1, 2] = _number(row["clocks.default_applications.graphics [MHz]"])
    return found


def _number(text: str) -> int:
    return int(text.split()[0])


def library(folder: Path) -> Path:
    """Compile the library that plays NVML; return the folder that it lies in."""
    compiler = shutil.which("cc") or shutil.which("clang")
    demand("cc", is_there=compiler is not None, remedy="a C compiler")
    target = folder / "libnvidia-ml.so.1"
    subprocess.run([str(compiler), "-shared", "-fPIC", "-o", target, _FORMS / "nvml.c"], check=True)
    return folder
