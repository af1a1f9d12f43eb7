"""Checkpoints: a search's whole state on disk, written atomically, verified by hash before it is believed.

A checkpoint is a folder ``0007`` with ``arrays.safetensors``, ``state.json`` and ``manifest.json``, which
holds the SHA-256 of both and of itself. It is written beside its place and renamed; the last two are kept, so
that a damaged newest one falls back, with a warning, to the one before. The generations so far lie in
``history``, a file each, of which a checkpoint holds the number and the last hash.

``0008.0003.partial`` is one inside generation 8, the third: only who goes on with the search reads it. A
newer one, and the complete generation, take its place.
"""

import hashlib
import io
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.saving.history import HistoryFolder
from devices.foundation import Ownership, owned, read_regular, sync_folder, write_durably

logger = logging.getLogger(__name__)

#: 1: the history lay in the values of each checkpoint.
_SCHEMA = 2
_READ_SCHEMAS = (_SCHEMA, 1)
_KEPT = 2
_HISTORY = "history"
_PARTIAL = re.compile(r"([0-9]+)\.([0-9]+)\.partial")
_ARRAYS, _STATE, _MANIFEST = "arrays.safetensors", "state.json", "manifest.json"

#: The largest file of a checkpoint that is read.
_MAX_BYTES = 1 << 31


@dataclass(frozen=True)
class Checkpoint:
    """What a search needs to go on.

    Attributes:
        generation: The last generation that it completes; of a partial one, the generation that goes on.
        arrays: Weights and optimiser state by name.
        values: Everything else, as JSON.
        history: The generations that are complete, oldest first: JSON, or what pydantic makes JSON of.
        is_partial: Whether it is one inside its generation.
    """

    generation: int
    arrays: Mapping[str, NDArray[np.generic]]
    values: Mapping[str, Json]
    history: Sequence[object] = ()
    is_partial: bool = False


def _require_nothing() -> None:
    """Let everything be saved."""


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        path: The folder; made by the first write, and a missing one has no checkpoint.
        within: The folder that a search owns while it saves; ``path`` if not given.
        check: Called before each write by an owner; raises where nothing may be saved any more.
    """

    def __init__(
        self, path: Path, *, within: Path | None = None, check: Callable[[], None] = _require_nothing
    ) -> None:
        self.path = path
        self._within, self._check = within or path, check
        self._ownership: Ownership | None = None
        self._history = HistoryFolder(path / _HISTORY)

    def __repr__(self) -> str:
        return f"CheckpointFolder({str(self.path)!r})"

    def holds_any(self) -> bool:
        """Tell whether there is a checkpoint, sound or not, complete or partial."""
        return bool(self._folders() or self._partials())

    def last_complete(self) -> int | None:
        """Return the number of the last generation that is complete; ``None``: none is. Nothing is read."""
        folders = self._folders()
        return _number(folders[-1]) if folders else None

    def check_writable(self) -> None:
        """Make the folder where it is missing, and write to it: better now than after hours of training.

        Raises:
            CheckpointError: The folder cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise CheckpointError(
                f"cannot write to {self.path}: {error.strerror}; choose another folder"
            ) from error

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Be the only one to save here until left; a folder that vanishes meanwhile is not made again.

        Raises:
            StorageError: Somebody else saves here, or the folder cannot be written to.
        """
        with owned(self._within) as ownership:
            self._check()
            self.check_writable()
            for stale in self.path.glob(".*.tmp"):  # of an owner who was killed
                shutil.rmtree(stale, ignore_errors=True)
            self._drop_partials(before=_number(self._folders()[-1]) + 1 if self._folders() else 0)
            self._ownership = ownership
            try:
                yield
            finally:
                self._ownership = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write ``checkpoint`` so that a kill at any moment leaves the old or the new one, never neither.

        Raises:
            CheckpointError: The disk refuses; or the folder that this search owns is gone or changed.
        """
        if self._ownership is not None:
            self._ownership.require_in_place()
            self._check()
        name = f"{checkpoint.generation:04d}"
        final = self.path / (f"{name}.{self._next_part():04d}.partial" if checkpoint.is_partial else name)
        try:
            if self._ownership is None:
                self.path.mkdir(parents=True, exist_ok=True)
            self._write(final, checkpoint)
        except OSError as error:
            raise CheckpointError(f"cannot write checkpoint {final}: {error.strerror}") from error
        for partial in self._partials():
            if partial != final:
                shutil.rmtree(partial, ignore_errors=True)
        for old in self._folders()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def _write(self, final: Path, checkpoint: Checkpoint) -> None:
        temporary = self.path / f".{final.name}.tmp"
        files = {
            _ARRAYS: save_arrays(dict(checkpoint.arrays)),
            _STATE: _encode(
                {
                    "generation": checkpoint.generation,
                    "is_partial": checkpoint.is_partial,
                    "values": dict(checkpoint.values),
                    "history": {
                        "count": len(checkpoint.history),
                        "sha256": self._history.extend(checkpoint.history),
                    },
                }
            ),
        }
        files[_MANIFEST] = _encode(_manifest(files, _SCHEMA))
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for name, content in files.items():
            with io.FileIO(temporary / name, "w") as file:
                write_durably(file, content)
        sync_folder(temporary)
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
        sync_folder(self.path)

    def load_newest(self) -> Checkpoint | None:
        """Return the newest complete checkpoint whose hashes hold; ``None`` where there is none at all.

        Raises:
            CheckpointError: There are checkpoints, but every one is damaged; or the folder cannot be read.
        """
        return self._load_first(self._folders()[::-1])

    def load_latest(self) -> Checkpoint | None:
        """Return the checkpoint to go on from: the newest whose hashes hold, complete or partial.

        ``None`` where there is none at all.

        Raises:
            CheckpointError: As ``load_newest`` says.
        """
        found = [*self._partials(), *self._folders()]  # of one number, the complete one is newer
        return self._load_first(sorted(found, key=_number)[::-1])

    def _load_first(self, folders: Sequence[Path]) -> Checkpoint | None:
        damages = []
        for folder in folders:
            try:
                return self._load(folder)
            except CheckpointError as error:
                if folder != folders[-1]:
                    logger.warning("%s; falling back to the one before", error)
                damages.append(str(error))
        if damages:
            raise CheckpointError(
                f"no checkpoint can be believed: {'; '.join(damages)}; start anew in another folder"
            )
        return None

    def _load(self, folder: Path) -> Checkpoint:
        files = _verified(folder)
        try:
            state = json.loads(files[_STATE])
            generation, values = state["generation"], state["values"]
            if type(generation) is not int or not isinstance(values, dict):
                raise TypeError("its generation is no number, or its values are none")
            is_partial = state.get("is_partial", False) is True
            if (generation, is_partial) != (_number(folder), not folder.name.isdecimal()):
                raise ValueError(f"it is generation {generation}, under another name")
            stored = state.get("history")
            history = (
                values.pop("history", [])  # schema 1
                if stored is None
                else self._history.load(int(stored["count"]), str(stored["sha256"]))
            )
            return Checkpoint(generation, load_arrays(files[_ARRAYS]), values, history, is_partial)
        except (SafetensorError, RecursionError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"checkpoint {folder} was written by another version: {error}") from error

    def _folders(self) -> list[Path]:
        """Return the complete checkpoints, oldest first: by number, since 9999 comes before 10000."""
        return sorted((path for path in self._entries() if path.name.isdecimal()), key=_number)

    def _partials(self) -> list[Path]:
        """Return the partial checkpoints, oldest first."""
        found = [path for path in self._entries() if _PARTIAL.fullmatch(path.name)]
        return sorted(found, key=lambda path: (_number(path), _part(path)))

    def _next_part(self) -> int:
        return max(map(_part, self._partials()), default=0) + 1

    def _drop_partials(self, *, before: int) -> None:
        """Delete the partial checkpoints of generations before the number ``before``."""
        for partial in self._partials():
            if _number(partial) < before:
                shutil.rmtree(partial, ignore_errors=True)

    def _entries(self) -> list[Path]:
        try:
            return list(self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"cannot read {self.path}: {error.strerror}") from error


def _number(folder: Path) -> int:
    """Return the generation in the name of a checkpoint."""
    return int(folder.name.partition(".")[0])


def _part(folder: Path) -> int:
    """Return which partial checkpoint of its generation ``folder`` is."""
    return int(folder.name.split(".")[1])


def _verified(folder: Path) -> dict[str, bytes]:
    """Return the files of a checkpoint whose hashes hold."""
    try:
        files = {name: read_regular(folder / name, _MAX_BYTES) for name in (_ARRAYS, _STATE)}
        manifest = read_regular(folder / _MANIFEST, _MAX_BYTES)
    except OSError as error:
        raise CheckpointError(f"checkpoint {folder} is incomplete ({error.strerror})") from error
    if any(manifest == _encode(_manifest(files, schema)) for schema in _READ_SCHEMAS):
        return files
    newer = re.search(rb'"schema": ([0-9]{1,9})[,}]', manifest)
    if newer and manifest == _encode(_manifest(files, int(newer[1]))):
        raise CheckpointError(
            f"checkpoint {folder} has schema {int(newer[1])}, but up to {_SCHEMA} is read; upgrade"
        )
    raise CheckpointError(f"checkpoint {folder} is damaged: its hashes do not hold")


def _manifest(files: Mapping[str, bytes], schema: int) -> dict[str, Json]:
    hashes: dict[str, Json] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest: dict[str, Json] = {"schema": schema, "sha256": hashes}
    manifest["self"] = hashlib.sha256(_encode(manifest)).hexdigest()
    return manifest


def _encode(value: Mapping[str, Json]) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()
