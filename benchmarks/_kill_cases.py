"""What is killed: commands, how far one got that was killed, and what its end is compared by."""

import hashlib
import json
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from _terminal import Shown

from cars_hw.config import SearchSection
from cars_hw.ledger import Json
from cars_hw.networks.architecture import to_text
from cars_hw.runs import Run
from cars_hw.saving.record import Generation, read_record
from cars_hw.weights.training_plan import TrainingPlan
from latency_tables import LatencyTable, Measurement
from profilers import MeasurementPlan
from tests.fakes import slow_runtime

_EVERY = "checkpoint_every_s"
RUN, TABLE, _CONFIG, LOG = "run", "table.jsonl", "search.toml", "blocks.log"

#: Facts by name, each in a form that is equal only where the fact is.
Facts = dict[str, str]

#: The first sign on the terminal that a search has begun to work: a bar, or where it goes on.
_SEARCHING = re.compile(r"\d+/(?:\d+|\?)|going on after")
#: That a round was measured: from then on the bar, which stands under a forecast, says how much time is left.
#: What is measured is loaded anew by every process, and nothing of that can be kept.
_MEASURING = re.compile(r"measuring [^\n]*?about \d+(?:\.\d)? (?:s|min|h)\b")
_STEPS, _EVALUATIONS = (
    re.compile(rf"{name}[^\n]*?(\d+)/(?:\d+|\?)") for name in ("training steps", "evaluations")
)
_GENERATION = re.compile(r"(generation \d+): (front of .*?) \(\d+ s\)")


@dataclass(frozen=True)
class Progress:
    """How far a command had got by what its terminal showed, first and last.

    Attributes:
        first: (training steps, evaluations) that it went on from, and at most a tenth of a second later.
        last: Those that it had done when it ended.
    """

    first: tuple[int, int]
    last: tuple[int, int]


class Case(ABC):
    """A command that is killed and run again until it ends.

    Attributes:
        verb: How it is counted.
        interval_s: The most that may lie between two states that it writes.
    """

    verb: str
    interval_s: float

    @property
    @abstractmethod
    def begun(self) -> re.Pattern[str]:
        """The first sign on the terminal of work that may be lost."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its verb, and what tells it from others of that verb."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables that it needs; paths are relative to its folder."""
        return {}

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Put into an empty folder what the first command finds there."""

    @abstractmethod
    def words(self, *, again: bool) -> list[str]:
        """Return the arguments of ``cars-hw``."""

    @abstractmethod
    def written_s(self, folder: Path) -> float:
        """Return when the newest state was written that a next command can go on from; 0 if there is none."""

    @abstractmethod
    def promises(self, folder: Path, shown: Shown) -> Facts:
        """Return what a command that was killed, or has ended, has told or stored as done."""

    @abstractmethod
    def outcome(self, folder: Path) -> Facts:
        """Return what has to be equal in the end."""

    @abstractmethod
    def seconds(self, folder: Path) -> dict[str, float]:
        """Return what a batch took at the end of a run, on average: the least that can be lost, and parts."""

    def progress(self, shown: Shown) -> Progress | None:
        """Return how far a command got by its terminal; ``None`` where it did not get to work."""
        return None


@dataclass(frozen=True)
class SearchCase(Case):
    """A search of the smallest images there are.

    Attributes:
        strategy: The algorithm.
        settings: Of the strategy.
        epochs: Passes after warm-up, in each generation.
        generations: After warm-up.
        interval_s: Seconds between two checkpoints inside a generation.
        verb: ``"search"``.
    """

    strategy: str
    settings: Mapping[str, int]
    epochs: float
    generations: int
    interval_s: float = 2.0
    verb: str = "search"

    begun = _SEARCHING

    @property
    def name(self) -> str:
        """The verb and the algorithm."""
        return f"search.{self.strategy}"

    def prepare(self, folder: Path) -> None:
        space = {"name": "nasbench201", "channels": 8, "image_size": 8, "image_channels": 1}
        search: dict[str, Any] = {
            "objectives": ["error", "parameters", "macs"],
            "warm_up_epochs": self.epochs,
            "epochs_per_generation": self.epochs,
            "generations": self.generations,
        }
        values = {
            "space": space,
            "strategy": {"name": self.strategy, **self.settings},
            "data": {"name": "digits", "fitness_images": 300},
            "training": {"batch_size": 64, "crop_padding": 0},
            "search": search,
        }
        if _EVERY in SearchSection.model_fields:  # before there was, a state was written each generation
            search[_EVERY] = self.interval_s
        (folder / _CONFIG).write_text(tomli_w.dumps(values))

    def words(self, *, again: bool) -> list[str]:
        return ["search", "--run", RUN, "--config", _CONFIG, *(["--resume"] if again else [])]

    def written_s(self, folder: Path) -> float:
        states = [
            manifest.stat().st_mtime
            for manifest in folder.glob(f"{RUN}/checkpoints/*/manifest.json")
            if not manifest.parent.name.startswith(".")
        ]
        return max(states, default=0.0)

    def promises(self, folder: Path, shown: Shown) -> Facts:
        return dict(_GENERATION.findall(shown.plain()))

    def outcome(self, folder: Path) -> Facts:
        checkpoint = Run.open(folder / RUN).checkpoint()
        record = read_record(checkpoint)
        weights = hashlib.sha256()
        for name, array in sorted(checkpoint.arrays.items()):
            weights.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
        return {
            "generations": str(len(record.history)),
            "history": _digest([_generation(found) for found in record.history]),
            "weights": weights.hexdigest(),
            "strategy": _digest(_untimed(dict(record.strategy))),
            "trainer": _digest(_untimed(dict(record.trainer))),
            "screen": _digest(_untimed(record.screen)),
        }

    def progress(self, shown: Shown) -> Progress | None:
        steps, evaluations = (
            [int(count) for count in pattern.findall(shown.text)] for pattern in (_STEPS, _EVALUATIONS)
        )
        # evaluations alone stand in a picture that was drawn between the two
        pairs = [pair for pair in zip(steps, evaluations, strict=False) if pair[0]]
        return Progress(pairs[0], pairs[-1]) if pairs else None

    def seconds(self, folder: Path) -> dict[str, float]:
        ledger = Run.open(folder / RUN).record().history[-1].ledger
        figures = {name: float(value) for name, value in ledger.items() if isinstance(value, int | float)}
        step_s = figures["training_s"] / (figures["steps"] + figures["option_steps"])
        image_s = figures["evaluation_s"] / figures["evaluation_images"]
        return {
            "step": step_s,
            "evaluation": figures["evaluation_s"] / figures["evaluations"],
            "batch": max(step_s, image_s * TrainingPlan().evaluation_batch_size),
        }


#: Networks that tell the speed of a session: each command that validates measures them once more.
_REFERENCE = "reference["


@dataclass(frozen=True)
class MeasuringCase(Case):
    """Filling a table, or validating one.

    Attributes:
        verb: ``"profile"`` or ``"validate"``.
        device: ``"cpu"``, whose samples are never the same, or ``"fake"``, whose samples are.
        space: Arguments that name the space and the precision.
        interval_s: Seconds between two partial records.
        table: What is validated, or gone on with; ``None`` for none.
        block_s: Seconds of a block on the fake device.
        extra: Further variables.
    """

    verb: str
    device: str
    space: Sequence[str]
    interval_s: float
    table: Path | None = None
    block_s: float = 0.0
    extra: Mapping[str, str] = field(default_factory=dict)

    begun = _MEASURING

    @property
    def name(self) -> str:
        """The verb and the device."""
        return f"{self.verb}.{self.device}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the slow runtime, and those that shorten the interval."""
        return {slow_runtime.BLOCK_S: str(self.block_s), slow_runtime.LOG: LOG, **self.extra}

    def prepare(self, folder: Path) -> None:
        if self.table is not None:
            shutil.copy(self.table, folder / TABLE)

    def words(self, *, again: bool) -> list[str]:
        verb = ["profile"] if self.verb == "profile" else ["table", "validate"]
        runtime = "onnxruntime" if self.device == "cpu" else slow_runtime.__name__
        keep = f"--keep-every-s={self.interval_s:g}"
        return [*verb, *self.space, "--device", self.device, "--runtime", runtime, "--table", TABLE, keep]

    def written_s(self, folder: Path) -> float:
        files = [path for path in folder.iterdir() if path.name.startswith(TABLE) and path.is_file()]
        return max((path.stat().st_mtime for path in files), default=0.0)

    def promises(self, folder: Path, shown: Shown) -> Facts:
        if not (folder / TABLE).exists():
            return {}
        return {str(entry.spec): _digest(entry.samples_s) for entry in self._measured(folder)}

    def outcome(self, folder: Path) -> Facts:
        found = self._measured(folder)
        lines = [
            json.loads(line.split(b" ", 2)[2]) for line in (folder / TABLE).read_bytes().splitlines()[1:]
        ]
        lines = [line for line in lines if not str(line.get("spec", "")).startswith(_REFERENCE)]
        specs = [line["spec"] for line in lines if "spec" in line]
        return {
            "operations": _digest(sorted(str(entry.spec) for entry in found)),
            "entries": str(len(specs)),
            "twice": str(len(specs) - len(set(specs))),
            "validations": str(len(lines) - len(specs)),
            "unfinished": _digest(sorted(str(entry.spec) for entry in found if not self._is_finished(entry))),
            **({"samples": _digest(sorted(map(_facts_of, found)))} if self.device == "fake" else {}),
        }

    def seconds(self, folder: Path) -> dict[str, float]:
        blocks = [
            sum(entry.samples_s) / len(entry.samples_s) * float(entry.conditions["inner_calls"])
            for entry in self._measured(folder)
        ]
        return {"batch": self.block_s or max(blocks)}

    def _measured(self, folder: Path) -> list[Measurement]:
        found = LatencyTable.open(folder / TABLE).measurements.values()
        return [entry for entry in found if not str(entry.spec).startswith(_REFERENCE)]

    def _is_finished(self, entry: Measurement) -> bool:
        """Tell by the samples whether one of the reasons held for which measuring ends."""
        plan = MeasurementPlan(precision=float(self.space[self.space.index("--precision") + 1]))
        n, calls = len(entry.samples_s), float(entry.conditions["inner_calls"])
        is_precise = n >= plan.min_rounds and entry.relative_half_width <= plan.precision
        is_spent = n >= plan.max_rounds or sum(entry.samples_s) * calls >= plan.budget_s
        return entry.conditions["rounds"] == n and (is_precise or is_spent)


def _facts_of(entry: Measurement) -> str:
    own = ("started", "interruptions")
    conditions = {name: value for name, value in entry.conditions.items() if name not in own}
    return json.dumps([str(entry.spec), entry.samples_s, conditions], sort_keys=True)


def _generation(found: Generation) -> Json:
    members = [
        [to_text(member.architecture), list(member.costs), member.previous_error]
        for member in (*found.population, *found.front)
    ]
    return [found.index, len(found.front), members, _untimed(dict(found.ledger))]


def _untimed(value: Any) -> Any:
    """Return ``value`` without the seconds that something took."""
    if isinstance(value, Mapping):
        return {name: _untimed(held) for name, held in value.items() if not re.search("(_s|seconds)$", name)}
    return [_untimed(held) for held in value] if isinstance(value, list | tuple) else value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not compared")
