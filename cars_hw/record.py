"""Record: what a checkpoint says, without a search that goes on from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from cars_hw.checkpoint import Checkpoint
from cars_hw.errors import CheckpointError
from cars_hw.front import Generation
from cars_hw.ledger import Json
from cars_hw.trainer import TrainerState


@dataclass(frozen=True)
class Record:
    """What a checkpoint says.

    Attributes:
        fingerprint: The facts that the search depended on.
        trainer: The state of the shared weights, beside the arrays.
        strategy: That of the algorithm.
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
    """Return what ``checkpoint`` says.

    Raises:
        CheckpointError: It was written by another version.
    """
    try:
        return _RECORD.validate_python(checkpoint.values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"the checkpoint was written by another version: {where}: {first['msg']}"
        ) from error
