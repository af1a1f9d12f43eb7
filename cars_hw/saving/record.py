"""Generation, a round of a search; Record, the content of a checkpoint, for whoever only reads it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from cars_hw.candidate import Candidate, Front, frame_of
from cars_hw.errors import CheckpointError, SelectionError
from cars_hw.ledger import Json
from cars_hw.saving.checkpoint import Checkpoint
from cars_hw.saving.replay import Log
from cars_hw.trainer import TrainerState

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Generation:
    """One round of a search.

    Attributes:
        index: 0 after warm-up, then 1, 2, ...
        population: The candidates that the strategy keeps.
        front: The non-dominated ones among them, sorted by cost.
        objectives: Names of the costs.
        ledger: What has been spent so far.
        seconds: Time of this round.
        changed: What had changed since the latency tables were measured, in this round or one before it.
    """

    index: int
    population: tuple[Candidate, ...]
    front: Front
    objectives: tuple[str, ...]
    ledger: Mapping[str, Json]
    seconds: float
    changed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "front", Front(self.front, self.objectives))

    def costs_of(self, member: Candidate) -> dict[str, float]:
        """Return the costs of ``member`` by the names of the objectives."""
        return dict(zip(self.objectives, member.costs, strict=True))

    def limited_of(self, member: Candidate) -> dict[str, float]:
        """Return what limits on ``member`` are held against, by the names of the objectives."""
        return dict(zip(self.objectives, member.limited, strict=True))

    def to_frame(self) -> "pd.DataFrame":
        """Return a row for each member of the population: architecture, costs, whether it is in the front."""
        frame = frame_of(self.population, self.objectives)
        in_front = {member.architecture for member in self.front}
        return frame.assign(in_front=[member.architecture in in_front for member in self.population])

    def __str__(self) -> str:
        best = ", ".join(
            f"{name} {min(member.costs[i] for member in self.population):.4g}"
            for i, name in enumerate(self.objectives)
        )
        return (
            f"generation {self.index}: front of {len(self.front)} among {len(self.population)}; best {best}"
        )

    def __repr__(self) -> str:
        return f"<{self}>"


@dataclass(frozen=True)
class Record:
    """The content of a checkpoint.

    Attributes:
        fingerprint: The facts that the search depended on.
        trainer: The state of the shared weights, beside the arrays.
        strategy: The state of the algorithm.
        history: The generations so far, oldest first.
        screen: The state of the screen; ``None`` where there was none.
        measured: The numbers of the measurings that corrected the costs: see ``FrontMeasuring``.
    """

    fingerprint: Mapping[str, str]
    trainer: Mapping[str, Json]
    strategy: Mapping[str, Json]
    history: Sequence[Generation]
    screen: Json = None
    measured: tuple[int, ...] = ()

    def to_checkpoint(self, generation: int, state: TrainerState) -> Checkpoint:
        """Return the checkpoint of this record and of the arrays of ``state``."""
        return Checkpoint(generation, state.arrays, self._values(), self.history)

    def to_partial(self, generation: int, state: TrainerState, part: "Part") -> Checkpoint:
        """Return the checkpoint inside ``generation``, at whose beginning this record was made.

        Args:
            generation: The one that goes on.
            state: The trainer's, now.
            part: What was done in it so far.
        """
        arrays = {f"trainer/{name}": array for name, array in state.arrays.items()}
        arrays |= {f"log/{name}": array for name, array in part.log.arrays().items()}
        calls: list[Json] = [*part.log.calls]
        own: dict[str, Json] = {"calls": calls, "seconds": part.seconds}
        values = {**self._values(), "trainer": dict(state.values), "part": own}
        return Checkpoint(generation, arrays, values, self.history, is_partial=True)

    def _values(self) -> dict[str, Json]:
        left_out = {"history"} if self.measured else {"history", "measured"}
        values: dict[str, Json] = _RECORD.dump_python(self, mode="json", exclude=left_out)
        return values


@dataclass(frozen=True)
class Part:
    """What was done of a generation.

    Attributes:
        log: What was asked of the trainer, and the answers.
        seconds: Time in it.
    """

    log: Log = field(default_factory=Log)
    seconds: float = 0.0


@dataclass(frozen=True)
class _StoredPart:
    calls: tuple[str, ...]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


_RECORD = TypeAdapter(Record)
_PART = TypeAdapter(_StoredPart)


def read_record(checkpoint: Checkpoint) -> Record:
    """Return the content of ``checkpoint``; of a partial one, with the state of its trainer.

    Raises:
        CheckpointError: It was written by another version, or contradicts itself.
    """
    values = {name: value for name, value in checkpoint.values.items() if name != "part"}
    try:
        record = _RECORD.validate_python({**values, "history": checkpoint.history})
    except ValidationError as error:
        raise _of_another_version(error) from error
    except SelectionError as error:
        raise CheckpointError(f"the checkpoint contradicts itself: {error}") from error
    if not checkpoint.is_partial and not record.history:
        raise CheckpointError("the checkpoint has no generation; start anew in another folder")
    _require_sound(record)
    return record


def read_state(checkpoint: Checkpoint, record: Record) -> tuple[TrainerState, Part]:
    """Return the trainer's state in ``checkpoint``, and what was done of the generation that goes on.

    Args:
        checkpoint: A complete one, or one inside its generation.
        record: Its record.

    Raises:
        CheckpointError: It was written by another version, or contradicts itself.
    """
    if not checkpoint.is_partial:
        return TrainerState(checkpoint.arrays, record.trainer), Part()
    try:
        stored = _PART.validate_python(checkpoint.values.get("part"))
    except ValidationError as error:
        raise _of_another_version(error) from error
    log = Log.of(stored.calls, _below("log/", checkpoint.arrays))
    state = TrainerState(_below("trainer/", checkpoint.arrays), record.trainer)
    return state, Part(log, stored.seconds)


def _of_another_version(error: ValidationError) -> CheckpointError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return CheckpointError(f"the checkpoint was written by another version: {where}: {first['msg']}")


def _below(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _require_sound(record: Record) -> None:
    """Refuse a history without members or finite costs: whoever shows it relies on them."""
    for generation in record.history:
        names, members = generation.objectives, (*generation.population, *generation.front)
        is_sound = (
            generation.population
            and generation.front
            and all(isinstance(figure, int | float) for figure in generation.ledger.values())
            and all(len(member.costs) == len(names) for member in members)
            and all(math.isfinite(cost) for one in members for cost in (*one.costs, *one.limited))
        )
        if not is_sound:
            raise CheckpointError(
                f"the checkpoint's generation {generation.index} lacks members, figures, or finite costs for "
                f"{', '.join(names)[:80]}; start anew in another folder"
            )
