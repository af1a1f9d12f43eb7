"""Generation, a round of a search; Record, the content of a checkpoint, for whoever only reads it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from cars_hw.candidate import Candidate, Front, frame_of
from cars_hw.checkpoint import Checkpoint
from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.trainer import TrainerState


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

    def to_frame(self) -> pd.DataFrame:
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
    """

    fingerprint: Mapping[str, str]
    trainer: Mapping[str, Json]
    strategy: Mapping[str, Json]
    history: Sequence[Generation]
    screen: Json = None

    def to_checkpoint(self, generation: int, state: TrainerState) -> Checkpoint:
        """Return the checkpoint of this record and of the arrays of ``state``."""
        return Checkpoint(generation, state.arrays, _RECORD.dump_python(self, mode="json"))


_RECORD = TypeAdapter(Record)


def read_record(checkpoint: Checkpoint) -> Record:
    """Return the content of ``checkpoint``.

    Raises:
        CheckpointError: It was written by another version, or contradicts itself.
    """
    try:
        record = _RECORD.validate_python(checkpoint.values)
        _require_sound(record)
        return record
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"the checkpoint was written by another version: {where}: {first['msg']}"
        ) from error


def _require_sound(record: Record) -> None:
    """Refuse a history without generations, members or finite costs: whoever shows it relies on them."""
    if not record.history:
        raise CheckpointError("the checkpoint has no generation; start anew in another folder")
    for generation in record.history:
        names, members = generation.objectives, (*generation.population, *generation.front)
        is_sound = (
            generation.population
            and generation.front
            and all(isinstance(figure, int | float) for figure in generation.ledger.values())
            and all(len(member.costs) == len(names) for member in members)
            and all(math.isfinite(cost) for member in members for cost in member.costs)
        )
        if not is_sound:
            raise CheckpointError(
                f"the checkpoint's generation {generation.index} lacks members, figures, or finite costs for "
                f"{', '.join(names)[:80]}; start anew in another folder"
            )
