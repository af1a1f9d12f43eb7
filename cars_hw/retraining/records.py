"""Records: what is kept of a retraining beside its run, and how it is read. No torch.

``RUN/retrained/NAME`` has ``retraining.json``, what is trained and how, written at the beginning;
``checkpoints/``; and at the end ``weights.safetensors`` and ``result.json``, which holds the SHA-256 of the
weights and of itself.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from devices.foundation import read_regular, replace_file

#: Below a run's folder.
RETRAINED = "retrained"
CHECKPOINTS = "checkpoints"
_PLAN, _RESULT, _WEIGHTS = "retraining.json", "result.json", "weights.safetensors"
_SCHEMA = 1
_MAX_JSON_BYTES, _MAX_WEIGHTS_BYTES = 1 << 26, 1 << 31

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class ClassResult:
    """How a network did on the images of one class.

    Attributes:
        name: Of the class.
        images: How many there are.
        right: Those that are classified rightly.
        among_five: Those whose class is among the five first.
    """

    name: str
    images: _Count
    right: _Count
    among_five: _Count

    @property
    def error(self) -> float | None:
        """Share of the images that are classified wrongly; ``None`` where there are none."""
        return 1 - self.right / self.images if self.images else None


@dataclass(frozen=True)
class ImagesUsed:
    """The images of a retraining.

    Attributes:
        name: Of the data set.
        sha256: Of all of them.
        training: How many were trained on.
        judging: How many judged the network.
        judged_on: What these are: test images, or the fitness images of a search.
        are_unseen: Whether neither training nor search saw those that judge.
        mean: Per channel, of those trained on, scaled to 0..1: what the network's input is normalised by.
        std: Their standard deviations.
    """

    name: str
    sha256: str
    training: _Count
    judging: _Count
    judged_on: str
    are_unseen: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Retrained:
    """A network that was retrained.

    Attributes:
        name: Of its folder.
        space: Name and settings of the space, and modules with its kinds of operation.
        architecture: Its options, as ``cars_hw.to_text`` writes them.
        plan: How it was trained.
        initial: Where its weights began.
        uses_bf16: Whether bfloat16 was computed in.
        parameters: Of the deployed network.
        macs: Of the deployed network, for one image.
        images: On which it was trained and judged.
        error: Share of the judging images that it classifies wrongly.
        top5_error: Share of those whose class is not among its five first.
        classes: The same by class.
        steps: Steps of the optimiser.
        skipped_steps: Those that changed nothing, since a gradient was not finite.
        seconds: Time of training and judging.
        curve: Figures of each epoch: ``epoch``, ``step``, ``skipped_steps``, ``loss``, ``training_error``,
            ``error`` where it was judged, ``seconds``.
        weights_sha256: Digest of the file of weights.
        folder: Where it lies.
    """

    name: str
    space: dict[str, Json]
    architecture: str
    plan: dict[str, Json]
    initial: str
    uses_bf16: bool
    parameters: _Count
    macs: _Count
    images: ImagesUsed
    error: _Share
    top5_error: _Share
    classes: tuple[ClassResult, ...]
    steps: _Count
    skipped_steps: _Count
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    curve: tuple[dict[str, Json], ...]
    weights_sha256: str
    folder: Path = field(default=Path(), compare=False)

    def __repr__(self) -> str:
        return f"<retrained {self.name}: error {self.error:.4f} on {self.images.judging} images>"

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return weights and statistics by the names of the network's modules.

        Raises:
            CheckpointError: The file is missing, or not the one that was written.
        """
        path = self.folder / _WEIGHTS
        content = _read(path, _MAX_WEIGHTS_BYTES)
        if hashlib.sha256(content).hexdigest() != self.weights_sha256:
            raise CheckpointError(f"{path} is damaged: its hash does not hold; retrain in another folder")
        try:
            return dict(load_arrays(content))
        except SafetensorError as error:
            raise CheckpointError(f"{path} was written by another version: {error}") from error

    def is_of(self, config: SearchConfig) -> bool:
        """Tell whether its space is that of ``config``; a setting that is newer than it is not compared."""
        space, own = config.space, self.space.get("settings")
        return (
            self.space.get("name") == space.name
            and isinstance(own, dict)
            and all(space.settings.get(name) == value for name, value in own.items())
        )

    def to_json(self) -> dict[str, Json]:
        """Return all figures by name."""
        values: dict[str, Json] = _RETRAINED.dump_python(self, mode="json", exclude={"folder"})
        return values


_RETRAINED = TypeAdapter(Retrained)


def retrained_of(run: str | Path) -> dict[str, Retrained]:
    """Return what was retrained of the run in a folder, by name; what is not finished is not among it.

    Raises:
        CheckpointError: A record is damaged.
    """
    folder = Path(run) / RETRAINED
    found = sorted(path.parent for path in folder.glob(f"*/{_RESULT}"))
    return {path.name: read_retrained(path) for path in found}


def read_retrained(folder: str | Path) -> Retrained:
    """Return what was kept of a retraining.

    Args:
        folder: Of that one, ``RUN/retrained/NAME``; not trusted.

    Raises:
        CheckpointError: It is not finished, or its record is damaged.
    """
    path = Path(folder) / _RESULT
    try:
        stored = json.loads(_read(path, _MAX_JSON_BYTES))
        schema, values, sha256 = stored["schema"], stored["retrained"], stored["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {str(error)[:80]}") from error
    if schema != _SCHEMA:
        raise CheckpointError(f"{path} has schema {schema!r:.20}, but {_SCHEMA} is read; upgrade")
    if sha256 != _digest(values):
        raise CheckpointError(f"{path} is damaged: its hash does not hold; retrain in another folder")
    try:
        return replace(_RETRAINED.validate_python(values), folder=Path(folder))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{path} was written by another version: {where}: {first['msg']}") from error


def is_finished(folder: Path) -> bool:
    """Tell whether the retraining in ``folder`` has come to its end."""
    return (folder / _RESULT).exists()


def write_retrained(retrained: Retrained, arrays: Mapping[str, NDArray[np.generic]]) -> Retrained:
    """Write the weights, then the record; return it with the digest of the weights.

    Raises:
        CheckpointError: The disk refuses.
    """
    content = save_arrays(dict(arrays))
    written = replace(retrained, weights_sha256=hashlib.sha256(content).hexdigest())
    values = written.to_json()
    stored = {"schema": _SCHEMA, "retrained": values, "sha256": _digest(values)}
    _write(retrained.folder / _WEIGHTS, content)
    _write(retrained.folder / _RESULT, json.dumps(stored, indent=1, allow_nan=False).encode() + b"\n")
    return written


def bind(folder: Path, identity: Mapping[str, Json]) -> str:
    """Write down what is trained and how, or compare it with what was; return its digest.

    Args:
        folder: Of the retraining.
        identity: All that decides what it does, as JSON has it.

    Raises:
        CheckpointError: Another retraining was begun there: the message names the first key that differs.
    """
    path = folder / _PLAN
    if path.exists():
        try:
            there = json.loads(_read(path, _MAX_JSON_BYTES))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} is damaged: {str(error)[:80]}") from error
        _require_same(folder, _flat(there), _flat(dict(identity)))
    else:
        _write(path, json.dumps(identity, indent=1, allow_nan=False).encode() + b"\n")
    return _digest(identity)


def unbind(folder: Path) -> None:
    """Take away what was begun in ``folder``, so that another retraining may be: the plan goes last.

    Raises:
        CheckpointError: The disk refuses.
    """
    try:
        shutil.rmtree(folder / CHECKPOINTS)
        (folder / _PLAN).unlink()
    except OSError as error:
        raise CheckpointError(f"cannot empty {folder}: {error.strerror}; delete it") from error


def _require_same(folder: Path, there: Mapping[str, Json], wanted: Mapping[str, Json]) -> None:
    for key in {**there, **wanted}:
        if there.get(key) != wanted.get(key):
            raise CheckpointError(
                f"{folder} holds another retraining: {key} = {there.get(key)!r:.80}, and "
                f"{wanted.get(key)!r:.80} is asked for; name another folder, or delete this one"
            )


def _flat(value: Json, key: str = "") -> dict[str, Json]:
    if not isinstance(value, dict):
        return {key: value}
    found: dict[str, Json] = {}
    for name, inner in value.items():
        found |= _flat(inner, f"{key}.{name}" if key else name)
    return found


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _read(path: Path, most: int) -> bytes:
    try:
        return read_regular(path, most)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}; choose another folder") from error
