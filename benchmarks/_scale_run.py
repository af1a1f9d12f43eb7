"""One generation of a search as large as the paper's, run in parts: each step and evaluation with its time.

What is not counted comes first: a warm-up of one epoch and a generation of a few steps, judged on few images,
so that there are weights and members to go on from. Then comes the generation that is counted, as the product
runs it, with its checkpoints; what was done of it can be kept in files small enough for a repository.
"""

import gzip
import json
import lzma
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from cars_hw.assembly import make_images, make_objectives, make_schedule, make_space
from cars_hw.candidate import Candidate
from cars_hw.config import SearchConfig
from cars_hw.data import Data
from cars_hw.ledger import Json, Weights
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.saving.checkpoint import Checkpoint, CheckpointFolder
from cars_hw.search import Schedule, Search
from cars_hw.strategies.cars import Cars
from cars_hw.trainer import Asked, TrainerState
from cars_hw.weights.batch_norm import recalibration_batches
from cars_hw.weights.stepping.readings import Reading
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan

#: The generation that is counted.
COUNTED = 2
_LARGE = ("trainer/weights/", "trainer/previous/", "trainer/momentum/")
_WEIGHTS_FILE, _REST_FILE = "weights.safetensors.xz", "rest.json.gz"
#: Values of a trainer's state that are this file's.
_SPENT = "cpu"


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        config: The search; its schedule is that of the generation that is counted.
        warm_up_steps: Taken at first.
        first_steps: Taken in generation 1.
        first_images: Fitness images that judge until then.
        first_recalibration: Training images that set statistics until then.
    """

    config: SearchConfig
    warm_up_steps: int
    first_steps: int = 20
    first_images: int = 250
    first_recalibration: int = 128


@dataclass
class Evaluated:
    """What an evaluation took.

    Attributes:
        architecture: As ``to_text`` writes it.
        weights: With which weights.
        cpu_s: CPU seconds, recalibration included.
        recalibration_s: CPU seconds of that.
        batches: Batches done; after the last, all of them.
        error: Share of images classified wrongly; ``None`` before the last batch.
    """

    architecture: str
    weights: str
    cpu_s: float = 0.0
    recalibration_s: float = 0.0
    batches: int = 0
    error: float | None = None


@dataclass
class Spent:
    """CPU time since the generation began.

    Attributes:
        step_s: Of each step.
        evaluations: Of each evaluation, the last perhaps unfinished.
    """

    step_s: list[float] = field(default_factory=list)
    evaluations: list[Evaluated] = field(default_factory=list)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``asdict`` made of one."""
        return cls(list(values["step_s"]), [Evaluated(**one) for one in values["evaluations"]])


class MeteredTrainer(SuperNetTrainer):
    """Shared weights that keep the CPU time of each step and evaluation of a generation, in checkpoints too.

    Args:
        config: Names space and images, and everything else.
        images: To train and judge on.
        plan: How.
        total_steps: Over which the learning rate falls.
    """

    def __init__(self, config: SearchConfig, images: Data, plan: TrainingPlan, *, total_steps: int) -> None:
        self.spent = Spent()
        self.on_trained: Callable[[], None] | None = None
        super().__init__(
            make_space(config),
            images,
            plan,
            total_steps=total_steps,
            seed=config.search.seed,
            device=config.search.torch_device,
        )

    def remember(self) -> None:
        """Begin a generation, and count anew."""
        super().remember()
        self.spent = Spent()

    def step(self, architectures: Sequence[Architecture]) -> Reading:
        """Take a step."""
        before_s = time.process_time()
        loss = super().step(architectures)
        self.spent.step_s.append(round(time.process_time() - before_s, 4))
        return loss

    def expect(self, asked: Sequence[Asked]) -> None:
        """Hear that evaluations begin, and tell it."""
        super().expect(asked)
        if asked and self.on_trained is not None:
            self.on_trained()

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        """Evaluate."""
        found = self._entry(to_text(architecture), weights)
        pause, before_s = self.between_batches, time.process_time()

        def entered() -> None:
            nonlocal before_s
            taken_s = time.process_time() - before_s
            found.cpu_s += taken_s
            found.batches += 1
            if found.batches <= self._recalibration_batches:
                found.recalibration_s += taken_s

        def between() -> None:
            nonlocal before_s
            entered()
            pause()
            before_s = time.process_time()

        self.between_batches = between
        try:
            accuracy = super().accuracy(architecture, weights)
        finally:
            self.between_batches = pause
        entered()
        found.error = 1.0 - accuracy
        return accuracy

    def state(self) -> TrainerState:
        """Return the state with the CPU times."""
        state = super().state()
        return TrainerState(state.arrays, {**state.values, _SPENT: asdict(self.spent)})

    def restore(self, state: TrainerState) -> None:
        """Go on from ``state``."""
        super().restore(state)
        self.spent = spent_in(state.values)

    def _entry(self, architecture: str, weights: Weights) -> Evaluated:
        """Return the entry of the evaluation that was left unfinished, if it is this one; else a new one."""
        entries = self.spent.evaluations
        if entries and entries[-1].error is None:
            if (entries[-1].architecture, entries[-1].weights) == (architecture, weights):
                return entries[-1]
            entries.pop()
        entries.append(Evaluated(architecture, weights))
        return entries[-1]

    @property
    def _recalibration_batches(self) -> int:
        size = self.plan.recalibration_batch_size or self.plan.evaluation_batch_size
        images = round(self.plan.recalibration_share * len(self.recalibration_images))
        return len(recalibration_batches(self.recalibration_images[:images], size))


class MeteredCars(Cars):
    """CARS that keeps the CPU seconds of making offspring and of the last selection."""

    offspring_s = selection_s = 0.0

    def ask(self) -> Sequence[Architecture]:
        before_s = time.process_time()
        asked = super().ask()
        self.offspring_s = time.process_time() - before_s
        return asked

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        before_s = time.process_time()
        super().tell(evaluated)
        self.selection_s = time.process_time() - before_s


def begin(plan: Plan, folder: CheckpointFolder, *, on_search: Callable[[Search], None]) -> None:
    """Run, or go on with, what is not counted.

    Args:
        plan: What is run.
        folder: Where it is saved.
        on_search: Told of the search before it runs, so that somebody can end it.
    """
    images = make_images(plan.config)
    rows = np.random.default_rng(plan.config.search.seed).permutation(len(images.fitness.labels))
    few = Data(images.training, images.fitness.subset(np.sort(rows[: plan.first_images])))
    cheap = {
        "recalibration_images": plan.first_recalibration,
        "fitness_share": 1.0,
        "recalibration_share": 1.0,
    }
    quick = plan.config.training.model_copy(update=cheap)
    trainer = MeteredTrainer(plan.config, few, quick, total_steps=_total_steps(plan, few))
    _run(_search(plan, trainer, plan.first_steps, folder), COUNTED - 1, on_search)


def count(
    plan: Plan,
    folder: CheckpointFolder,
    *,
    on_search: Callable[[Search], None],
    ends_when_trained: bool = False,
) -> dict[str, float] | None:
    """Run, or go on with, the generation that is counted.

    Args:
        plan: What is run.
        folder: Where it is saved, and what is not counted was.
        on_search: As for ``begin``.
        ends_when_trained: Whether to end where evaluations begin.

    Returns:
        CPU seconds of offspring and selection; ``None`` where it was ended before.
    """
    images = make_images(plan.config)
    trainer = MeteredTrainer(
        plan.config, images, plan.config.training, total_steps=_total_steps(plan, images)
    )
    steps = make_schedule(plan.config, len(images.training.labels)).steps
    search = _search(plan, trainer, steps, folder)
    if ends_when_trained:
        trainer.on_trained = search.request_end
    _run(search, COUNTED, on_search)
    if not _is_complete(search, COUNTED) or not isinstance(search.strategy, MeteredCars):
        return None
    return {"offspring_s": search.strategy.offspring_s, "selection_s": search.strategy.selection_s}


def is_begun(folder: CheckpointFolder) -> bool:
    """Tell whether all that is not counted was run."""
    found = folder.load_latest()
    return found is not None and found.generation - found.is_partial >= COUNTED - 1


def spent_in(values: Mapping[str, Json]) -> Spent:
    """Return the CPU times in the values of a trainer's state."""
    found = values.get(_SPENT)
    return Spent.of(found) if isinstance(found, dict) else Spent()


def spent_of(checkpoint: Checkpoint) -> Spent:
    """Return the CPU times of the generation that ``checkpoint`` completes, or is inside."""
    trainer = checkpoint.values["trainer"]
    return spent_in(trainer) if isinstance(trainer, dict) else Spent()


def keep(checkpoint: Checkpoint, folder: Path) -> None:
    """Write what ``checkpoint`` holds into files for a repository, one large one and one small one.

    Once evaluations have begun, the large one stays as it is to the bit: weights move no more, and momenta,
    which only the next generation would need, are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    is_trained = bool(spent_of(checkpoint).evaluations)
    dropped = ("trainer/momentum/", "trainer/evaluation/") if is_trained else ("trainer/evaluation/",)
    arrays = {name: array for name, array in checkpoint.arrays.items() if not name.startswith(dropped)}
    large = {name: array for name, array in arrays.items() if name.startswith(_LARGE)}
    packed, path = save_arrays(large), folder / _WEIGHTS_FILE
    if not path.exists() or lzma.decompress(path.read_bytes()) != packed:
        path.write_bytes(lzma.compress(packed))
    small = {name: [str(one.dtype), one.tolist()] for name, one in arrays.items() if name not in large}
    content = {
        "generation": checkpoint.generation,
        "is_partial": checkpoint.is_partial,
        "values": _without_unfinished(checkpoint.values),
        "history": list(checkpoint.history),
        "arrays": small,
    }
    text = json.dumps(content, sort_keys=True)
    (folder / _REST_FILE).write_bytes(gzip.compress(text.encode(), mtime=0))


def kept(folder: Path) -> Checkpoint | None:
    """Return what ``keep`` wrote into ``folder``; ``None`` where there is nothing."""
    if not (folder / _REST_FILE).exists():
        return None
    content = json.loads(gzip.decompress((folder / _REST_FILE).read_bytes()))
    weights = lzma.decompress((folder / _WEIGHTS_FILE).read_bytes())
    arrays: dict[str, NDArray[np.generic]] = dict(load_arrays(weights))
    arrays |= {name: np.array(one, dtype=dtype) for name, (dtype, one) in content["arrays"].items()}
    return Checkpoint(
        content["generation"], arrays, content["values"], content["history"], content["is_partial"]
    )


def _without_unfinished(values: Mapping[str, Json]) -> dict[str, Json]:
    """Return values of a checkpoint that goes on at the beginning of an unfinished evaluation."""
    trainer = values["trainer"]
    if not isinstance(trainer, dict):
        return dict(values)
    spent = spent_in(trainer)
    done = replace(spent, evaluations=[one for one in spent.evaluations if one.error is not None])
    left = {name: value for name, value in trainer.items() if name != "evaluation"}
    return {**values, "trainer": {**left, _SPENT: asdict(done)}}


def _total_steps(plan: Plan, images: Data) -> int:
    return make_schedule(plan.config, len(images.training.labels)).total_steps


def _search(plan: Plan, trainer: MeteredTrainer, steps: int, folder: CheckpointFolder) -> Search:
    """Return the search with so many steps a generation; none that is run here is its last one."""
    config, space = plan.config, trainer.space
    schedule = Schedule(plan.warm_up_steps, steps, max(config.search.generations, COUNTED + 1))
    settings: dict[str, Any] = dict(config.strategy.settings)
    strategy = MeteredCars(space, np.random.default_rng(config.search.seed), **settings)
    return Search(
        trainer,
        strategy,
        make_objectives(config, space, trainer, {}),
        schedule,
        checkpoints=folder,
        screening=config.search.screening,
        checkpoint_every_s=config.search.checkpoint_every_s,
    )


def _run(search: Search, last: int, on_search: Callable[[Search], None]) -> None:
    """Run up to the generation ``last``."""
    search.resume()
    on_search(search)
    if _is_complete(search, last):
        return
    for generation in search.run():
        if generation.index >= last:
            break


def _is_complete(search: Search, generation: int) -> bool:
    return bool(search.history) and search.history[-1].index >= generation
