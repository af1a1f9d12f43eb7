"""ExecutorJudges: an executor's workers judge what a search asks of shared weights, each on one thread.

The weights, and the images that networks are judged on, go to the workers once a generation. What comes of an
evaluation is the same to the bit wherever it is made, so that neither the executor nor the number of workers
decides anything. One that a worker has begun is finished there or was never made: only this process's own are
saved between batches.
"""

import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypedDict, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from cars_hw import executors, spaces
from cars_hw.config import SearchConfig
from cars_hw.executors import Executor, Shared
from cars_hw.ledger import Json, Ledger, Weights
from cars_hw.networks import kinds
from cars_hw.networks.architecture import from_text, to_text
from cars_hw.spaces import SearchSpace
from cars_hw.trainer import Asked, Judged, TrainerState
from cars_hw.weights.evaluation import (
    FITNESS,
    LABELS,
    RECALIBRATION,
    Examination,
    HeldImages,
    Progress,
    one_thread,
)
from cars_hw.weights.placement import placed
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.training_plan import TrainingPlan
from devices.foundation import ConfigError

#: Two workers start in 1.3 s, and save more from 3 s of evaluations on; later where others are at work.
_PAYS_FROM_S = 6.0


@dataclass(frozen=True)
class Manner:
    """How networks are made and judged: the values of ``SuperNetTrainer.to_judge``.

    Attributes:
        space: The plug-in's name.
        settings: Of the space.
        allowed: The options that it still has.
        plan: How the weights are trained and judged.
        soft_path: Whether soft graphs are judged.
        is_half: Whether steps compute in 16 bits, which decides the layout too.
        channels_last: Which of the images lie so.
    """

    space: str
    settings: dict[str, Json]
    allowed: list[list[int]]
    plan: TrainingPlan
    soft_path: bool
    is_half: bool
    channels_last: list[str]

    def makes(self) -> tuple[object, ...]:
        """Return what decides which modules there are; options may become fewer, or more again."""
        return self.space, self.settings, self.plan.layout, self.plan.quick_forms, self.is_half


_MANNER = TypeAdapter(Manner)
_CPU = torch.device("cpu")


class Job(TypedDict):
    """An evaluation, in plain values; the arrays are shared.

    Attributes:
        subject: Of the weights and images; no two are the same.
        operation_kinds: Modules from outside that operations of the space come from.
        manner: As ``Manner`` reads it.
        architecture: As ``to_text`` writes it.
        weights: With which weights.
    """

    subject: str
    operation_kinds: list[str]
    manner: dict[str, Json]
    architecture: str
    weights: Weights


class Result(TypedDict):
    """What a worker answers: right images, the seconds that it took, and the sum of losses."""

    right: int
    seconds: float
    loss_units: int


class ExecutorJudges:
    """Judges by an executor. Fulfils ``cars_hw.trainer.Judges``.

    Args:
        executor: Where evaluations are made.
        operation_kinds: Modules from outside that define kinds of operation which the space uses.
        ledger: The trainer's, where workers are to be started only when they pay: until then, the trainer
            evaluates itself. ``None``: always.
        generations: How often something is expected, as far as that is known.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        operation_kinds: Sequence[str] = (),
        ledger: Ledger | None = None,
        generations: int = 1,
    ) -> None:
        self.executor, self._ledger, self._generations = executor, ledger, generations
        self._operation_kinds = list(operation_kinds)
        self._spent_before_s: float | None = None  # when something is expected for the first time
        self._expected: list[Asked] = []
        self._state: Callable[[], TrainerState] | None = None
        self._found: dict[Asked, Judged] = {}
        self._coming: Iterator[tuple[Asked, Judged]] | None = None

    def __repr__(self) -> str:
        return f"<judges by {self.executor!r}>"

    def expect(self, asked: Sequence[Asked], state: Callable[[], TrainerState]) -> None:
        """Hear what is asked for next, and of which weights; nothing: the workers end."""
        self.forget()
        self._expected, self._state = list(dict.fromkeys(asked)), state
        if self._ledger is not None and self._spent_before_s is None:
            self._spent_before_s = self._ledger.evaluation_s
        if asked:
            self._generations -= 1
        else:
            self.executor.close()

    def forget(self) -> None:
        """Expect nothing, and drop what goes on: the weights have moved."""
        self._expected, self._state, self._coming = [], None, None
        self._found.clear()

    def judge(self, asked: Asked, while_waiting: Callable[[], None]) -> Judged | None:
        """Return how ``asked`` was judged; ``None`` where it was not expected, or workers do not pay yet."""
        if asked in self._found:
            return self._found[asked]
        if self._coming is None:
            self._coming = self._begun(asked, while_waiting)
        if self._coming is None:
            return None
        for other, judged in self._coming:
            self._found[other] = judged
            if other == asked:
                return judged
        self._coming = None
        return None

    def _begun(
        self, asked: Asked, while_waiting: Callable[[], None]
    ) -> Iterator[tuple[Asked, Judged]] | None:
        """Let the workers begin with ``asked`` and go on with what is expected after it."""
        if self._state is None or asked not in self._expected:
            return None
        left = self._expected[self._expected.index(asked) :]
        return self._results(left, self._state(), while_waiting) if self._pays(len(left)) else None

    def _pays(self, left: int) -> bool:
        """Tell whether so many evaluations, and those of later generations, are worth starting workers."""
        if self._ledger is None:
            return True
        if not self._ledger.evaluations:
            return False
        mean_s = self._ledger.evaluation_s / self._ledger.evaluations
        spent_s = self._ledger.evaluation_s - (self._spent_before_s or 0.0)
        to_come = len(self._expected) * max(0, self._generations)
        return spent_s + mean_s * (left + to_come) >= _PAYS_FROM_S

    def _results(
        self, asked: Sequence[Asked], state: TrainerState, while_waiting: Callable[[], None]
    ) -> Iterator[tuple[Asked, Judged]]:
        jobs = jobs_of(asked, state, operation_kinds=self._operation_kinds)
        found = self.executor.map(judge_job, jobs, shared=state.arrays, while_waiting=while_waiting)
        for index, result in found:
            yield asked[index], Judged(result["right"], result["seconds"], result["loss_units"])


def judges_of(
    config: SearchConfig,
    ledger: Ledger,
    *,
    generations: int = 1,
    workers: int | None = None,
    executor: str = "",
) -> ExecutorJudges | None:
    """Return who evaluates beside this process; ``None`` for nobody.

    Args:
        config: Says where the weights are.
        ledger: Of the trainer; tells when processes pay.
        generations: How many are left.
        workers: As for ``open_search``; so is ``executor``.
        executor: Which.

    Raises:
        ConfigError: The weights are on a GPU, ``workers`` is no number from 1 to 1024, or the executor cannot
            be reached.
        UnknownNameError: There is no such executor.
    """
    found = executors.load(executor or ("in_process" if workers == 1 else "processes"), workers)
    is_chosen = bool(executor) or workers is not None
    if found.is_in_process or (not is_chosen and found.workers == 1):
        return None
    if config.search.torch_device.partition(":")[0] != "cpu":
        if not is_chosen:
            return None
        raise ConfigError(
            f"workers compute on the CPU, and the weights are on {config.search.torch_device}; leave "
            "--workers and --executor out, or set search.torch_device=cpu"
        )
    if is_chosen:
        found.connect()
    kinds_from = config.space.operation_kinds
    return ExecutorJudges(
        found,
        operation_kinds=kinds_from,
        ledger=None if is_chosen else ledger,
        generations=generations,
    )


def jobs_of(asked: Sequence[Asked], state: TrainerState, *, operation_kinds: Sequence[str]) -> list[Job]:
    """Return the evaluations ``asked`` as tasks.

    Args:
        asked: What is evaluated.
        state: As ``SuperNetTrainer.to_judge`` returns it.
        operation_kinds: As ``ExecutorJudges`` takes it.
    """
    subject = secrets.token_hex(8)
    return [
        Job(
            subject=subject,
            operation_kinds=list(operation_kinds),
            manner=dict(state.values),
            architecture=to_text(architecture),
            weights=weights,
        )
        for architecture, weights in asked
    ]


def judge_job(job: Job, shared: Shared) -> Result:
    """Make one evaluation, on one thread; the task of an executor.

    Raises:
        CarsHwError: The space, or a kind of operation, is not to be had here.
    """
    subject = _subject(job, shared)
    progress = Progress(from_text(job["architecture"], subject.space.choices), job["weights"])
    start_s = time.perf_counter()
    with one_thread():
        evaluation = subject.examination.begun(
            progress, subject.supernets[job["weights"]], soft_path=subject.manner.soft_path
        )
        while not evaluation.is_done:
            evaluation.advance()
        evaluation.settle()
    seconds = time.perf_counter() - start_s
    return Result(right=progress.right, seconds=seconds, loss_units=progress.loss_units)


@dataclass(frozen=True)
class _Subject:
    """What is judged, as a worker holds it.

    Attributes:
        name: As jobs have it.
        manner: How it is made and judged.
        space: Whose architectures.
        supernets: By the weights that they have.
        examination: What they are judged on.
    """

    name: str
    manner: Manner
    space: SearchSpace
    supernets: Mapping[Weights, SuperNet]
    examination: Examination


#: The one that the last job was of.
_held: list[_Subject] = []


def _subject(job: Job, shared: Shared) -> _Subject:
    """Return what ``job`` is of; where the last job was of another, its modules take up the new weights."""
    if not _held or _held[0].name != job["subject"]:
        kinds.load_kinds(job["operation_kinds"])
        manner = _MANNER.validate_python(job["manner"])
        before = _held.pop() if _held else None
        if before is not None and before.manner.makes() != manner.makes():
            before = None  # its memory is free before there is more
        _held.append(_made(job["subject"], manner, shared, before))
    return _held[0]


def _made(name: str, manner: Manner, shared: Shared, before: _Subject | None) -> _Subject:
    space = spaces.load(manner.space, **manner.settings) if before is None else before.space
    supernets: dict[Weights, SuperNet] = {}
    for weights in get_args(Weights):
        packed = {key: shared[f"{weights}/{key}"] for key in _types_of(weights, shared)}
        if packed:
            there = None if before is None else before.supernets.get(weights)
            supernet = supernets[weights] = there or _supernet(manner, space)
            active = space.restrict(manner.allowed)
            if active.allowed != supernet.space.allowed:
                supernet.activate(active)
            supernet.unpack({key: _tensor(array) for key, array in packed.items()})
    images = {key: _images(key, manner, shared) for key in (FITNESS, RECALIBRATION)}
    fitness = HeldImages(images[FITNESS], _tensor(shared[LABELS]))
    return _Subject(name, manner, space, supernets, Examination(images[RECALIBRATION], fitness, manner.plan))


def _types_of(weights: Weights, shared: Shared) -> list[str]:
    """Return for which types of number there are ``weights``; none where these are not shared."""
    prefix = f"{weights}/"
    return [name.removeprefix(prefix) for name in shared if name.startswith(prefix)]


def _supernet(manner: Manner, space: SearchSpace) -> SuperNet:
    place = partial(placed, plan=manner.plan, device=_CPU, is_half=manner.is_half)
    return SuperNet(space, place=place)


def _images(name: str, manner: Manner, shared: Shared) -> Tensor:
    """Return images that lie in memory as they do where they come from, which what is computed follows."""
    images = _tensor(shared[name])
    return images.contiguous(memory_format=torch.channels_last) if name in manner.channels_last else images


def _tensor(array: NDArray[np.generic]) -> Tensor:
    """Return an array as a tensor that nobody writes to: torch warns of those that may not be written to."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return torch.from_numpy(array)
