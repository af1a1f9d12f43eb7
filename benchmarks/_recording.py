"""Two searches whose evaluations are recorded image by image, and their records on the disk.

``digits`` is the demo with more images to judge by, and with latencies that are made up from what units of
work do, so that no measuring stands between. ``cifar10`` is a small net on the JPEG CIFAR-10, with the costs
of ``configs/cars-cifar10.toml``. Both select by all images of the set A; the set B is as large, and disjoint.
"""

import hashlib
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evaluation import demo_config
from numpy.typing import NDArray
from retrain import images as cifar10_images
from screening_cost import TimedCounts, predictor
from torch import Tensor, nn

from cars_hw import spaces
from cars_hw.assembly import make_images, make_schedule, make_space
from cars_hw.data import Data
from cars_hw.ledger import Weights
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.objectives import Error, Latency, Objective, Parameters
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.search import Schedule, Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies.cars import Cars
from cars_hw.weights import modules
from cars_hw.weights.batch_norm import recalibrate
from cars_hw.weights.evaluation import one_thread
from cars_hw.weights.normalised_images import NormalisedImages
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan
from profilers import runtimes

FOLDER = Path(__file__).parent / "results" / "raw"
SEARCHES = ("digits", "cifar10")

#: A loss is stored as a byte, whose square is proportional to it: what is small is told apart best.
_LARGEST_LOSS = 16.0
#: Images whose statistics are taken in the records ``few``, and of A that judge there.
_FEW, _FEW_JUDGE = 64, 1000
_BATCH = 250


@dataclass(frozen=True)
class Seen:
    """What an evaluation saw.

    Attributes:
        right: Of the images of A, ``(a,)``: classified rightly.
        loss: Of them, ``(a,)``: minus the logarithm of the probability of the true class, at most 16.
        right_b: Of the images of B, ``(b,)``.
        few_right: Of the first images of A, where 64 images were recalibrated on.
        few_loss: Of these.
    """

    right: NDArray[np.bool_]
    loss: NDArray[np.float32]
    right_b: NDArray[np.bool_]
    few_right: NDArray[np.bool_]
    few_loss: NDArray[np.float32]


@dataclass(frozen=True)
class Round:
    """A generation.

    Attributes:
        architectures: Members and newcomers, as they were asked for.
        costs: Their known costs, ``(n, k)``.
        now: What was seen of them with the weights of the moment.
        before: With those of the generation before; empty in the first.
        survivors: Places in ``architectures``.
    """

    architectures: tuple[Architecture, ...]
    costs: NDArray[np.float64]
    now: tuple[Seen, ...]
    before: tuple[Seen, ...]
    survivors: tuple[int, ...]


@dataclass(frozen=True)
class _Setting:
    space: SearchSpace
    data: Data
    plan: TrainingPlan
    schedule: Schedule
    costs: Callable[[SearchSpace], list[Objective]]
    screening: bool


class _Recorder(SuperNetTrainer):
    """Judges by A, and keeps what it saw."""

    def __init__(self, setting: _Setting) -> None:
        fitness = setting.data.fitness
        drawn = np.random.default_rng(0).permutation(len(fitness.labels))
        a, b = (np.sort(half) for half in np.array_split(drawn, 2))
        np.random.default_rng(1).shuffle(a)  # its first images are a random sample too
        data = Data(setting.data.training, fitness.subset(a))
        super().__init__(setting.space, data, setting.plan, total_steps=setting.schedule.total_steps)
        other = NormalisedImages(fitness.subset(b), data.channel_mean, data.channel_std, torch.device("cpu"))
        self._b = other.all(), other.labels
        self.seen: dict[tuple[Architecture, Weights], Seen] = {}

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        """Return the share of A that is classified rightly."""
        start_s, a = time.perf_counter(), self.fitness
        network = self.network(architecture, weights)
        right, loss = _judged(network, *a)
        right_b, _ = _judged(network, *self._b)
        with one_thread():
            recalibrate(network, self.recalibration_images[:_FEW], _FEW)
        few = _judged(network, *(part[:_FEW_JUDGE] for part in a))
        self.seen[architecture, weights] = Seen(right, loss, right_b, *few)
        self.ledger.add_evaluation(len(right), time.perf_counter() - start_s, weights=weights)
        return float(right.mean())


@torch.inference_mode()
def _judged(
    network: nn.Module, images: Tensor, labels: Tensor
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return of each image whether it is classified rightly, and its loss."""
    network.eval()
    with one_thread():
        logits = torch.cat([network(batch) for batch in images.split(_BATCH)])
    losses = nn.functional.cross_entropy(logits, labels, reduction="none").clamp(max=_LARGEST_LOSS)
    return (logits.argmax(1) == labels).numpy(), losses.numpy()


def record(name: str, work: Path) -> None:
    """Record the search ``name``, from the last generation that is complete on.

    Args:
        name: One of ``SEARCHES``.
        work: Where its checkpoints are.

    Raises:
        SystemExit: What is stored lacks the last generation that was saved.
    """
    setting = _SETTINGS[name]()
    trainer = _Recorder(setting)
    costs = setting.costs(setting.space)
    paper: dict[str, Any] = {"pool": "paper", "errors": "measured", "trained": "members"}
    strategy = Cars(setting.space, np.random.default_rng(0), population_size=20, **paper)
    search = Search(
        trainer,
        strategy,
        [Error(trainer), *costs],
        setting.schedule,
        checkpoints=CheckpointFolder(work / name),
        screening=setting.screening,
        checkpoint_every_s=1e9,
    )
    rounds = _Files(name)
    if not search.resume():
        rounds.clear()
    elif len(rounds.stored) != len(search.history):
        raise SystemExit(f"{rounds.index} lacks a generation that {work / name} has; delete both")
    members = rounds.read()[-1:] if rounds.stored else []
    known = {m: seen for last in members for m, seen in zip(last.architectures, last.now, strict=True)}
    start_s = time.process_time()
    for generation in search.run():
        asked = tuple(dict.fromkeys(one for one, weights in trainer.seen if weights == "current"))
        found = Round(
            asked,
            np.array([[cost(one) for cost in costs] for one in asked]),
            tuple(trainer.seen[one, "current"] for one in asked),
            tuple(trainer.seen.get((one, "previous")) or known[one] for one in asked) if known else (),
            tuple(asked.index(member.architecture) for member in generation.population),
        )
        now_s = time.process_time()
        rounds.add(found, now_s - start_s)
        start_s = now_s
        known = dict(zip(asked, found.now, strict=True))
        trainer.seen.clear()
        print(f"{name}: {generation}", flush=True)


@dataclass
class _Files:
    """The rounds of a search on the disk: an index, and arrays beside it.

    Attributes:
        name: The search.
        stored: Of each round its file, and the file's hash.
    """

    name: str
    stored: list[dict[str, str | float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.index.exists():
            self.stored = json.loads(self.index.read_text())["rounds"]

    @property
    def index(self) -> Path:
        """Its path."""
        return FOLDER / f"passes_{self.name}.json"

    def clear(self) -> None:
        """Forget all rounds."""
        self.stored = []

    def add(self, found: Round, cpu_s: float) -> None:
        """Store the next round, which took ``cpu_s``."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        content, file = io.BytesIO(), f"passes_{self.name}_{len(self.stored):02d}.npz"
        np.savez_compressed(content, allow_pickle=False, **_arrays(found))
        (FOLDER / file).write_bytes(content.getvalue())
        sha256 = hashlib.sha256(content.getvalue()).hexdigest()
        self.stored.append({"file": file, "sha256": sha256, "cpu_s": round(cpu_s, 1)})
        self.index.write_text(json.dumps({"rounds": self.stored}, indent=1) + "\n")

    def read(self) -> list[Round]:
        """Return the rounds.

        Raises:
            SystemExit: A file is missing, or its hash does not hold.
        """
        found = []
        for entry in self.stored:
            path = FOLDER / str(entry["file"])
            content = path.read_bytes() if path.exists() else b""
            if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                raise SystemExit(f"{path} is missing or was changed: its hash does not hold")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                found.append(_round(dict(arrays)))
        return found


def recorded(name: str) -> list[Round]:
    """Return the rounds of the search ``name``.

    Raises:
        SystemExit: They are missing, or a hash does not hold.
    """
    files = _Files(name)
    if not files.stored:
        raise SystemExit(f"{files.index} is missing: run without --quick first")
    return files.read()


def _arrays(found: Round) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {
        "architectures": np.array([to_text(one) for one in found.architectures]),
        "costs": found.costs,
        "survivors": np.array(found.survivors),
    }
    for when, seen in {"now": found.now, "before": found.before}.items():
        for kind in ("right", "right_b", "few_right") if seen else ():
            bits = np.stack([getattr(one, kind) for one in seen])
            arrays |= {f"{when}/{kind}": np.packbits(bits, axis=1), f"n/{kind}": np.array(bits.shape[1])}
        for kind in ("loss", "few_loss") if seen else ():
            losses = np.stack([getattr(one, kind) for one in seen])
            arrays[f"{when}/{kind}"] = np.rint(255 * np.sqrt(losses / _LARGEST_LOSS)).astype(np.uint8)
    return arrays


def _round(arrays: dict[str, NDArray[np.generic]]) -> Round:
    texts = [str(text) for text in arrays["architectures"]]
    return Round(
        tuple(tuple(int(option) for option in text.split(".")) for text in texts),
        np.asarray(arrays["costs"], dtype=np.float64),
        _seen(arrays, "now"),
        _seen(arrays, "before"),
        tuple(int(place) for place in arrays["survivors"]),
    )


def _seen(arrays: dict[str, NDArray[np.generic]], when: str) -> tuple[Seen, ...]:
    if f"{when}/right" not in arrays:
        return ()

    def bits(kind: str) -> NDArray[np.bool_]:
        packed = np.asarray(arrays[f"{when}/{kind}"], dtype=np.uint8)
        return np.unpackbits(packed, axis=1, count=int(arrays[f"n/{kind}"])).astype(np.bool_)

    def losses(kind: str) -> NDArray[np.float32]:
        codes = np.asarray(arrays[f"{when}/{kind}"], dtype=np.float32)
        found: NDArray[np.float32] = np.square(codes / np.float32(255)) * np.float32(_LARGEST_LOSS)
        return found

    columns = (bits("right"), losses("loss"), bits("right_b"), bits("few_right"), losses("few_loss"))
    return tuple(Seen(*row) for row in zip(*columns, strict=True))


def _digits() -> _Setting:
    config = demo_config()
    config = config.model_copy(update={"data": config.data.model_copy(update={"fitness_images": 2000})})

    def costs(space: SearchSpace) -> list[Objective]:
        counts = TimedCounts(space, runtimes.load("onnxruntime").counter(modules.build))
        return [Parameters(space), Latency(predictor(space, counts))]

    images = make_images(config)
    # As many steps as the demo takes with the images that judge here.
    schedule = make_schedule(config, len(images.training.labels) + 1500)
    plan = config.training.model_copy(update={"fitness_share": 1.0, "recalibration_share": 1.0})
    return _Setting(make_space(config), images, plan, schedule, costs, screening=True)


def _cifar10() -> _Setting:
    space = spaces.load("darts", deploy="search", channels=8, cells=5, image_size=32, stem_stride=2)
    whole = cifar10_images().training
    drawn = np.random.default_rng(0).permutation(len(whole.labels))
    plan = TrainingPlan(batch_size=64, learning_rate=0.05, recalibration_images=256)
    data = Data(whole.subset(np.sort(drawn[5000:])), whole.subset(np.sort(drawn[:5000])))
    return _Setting(space, data, plan, Schedule(1800, 400, 4), lambda one: [Parameters(one)], screening=False)


_SETTINGS = {"digits": _digits, "cifar10": _cifar10}
