"""Checkpoints: a search's whole state on disk, written atomically, verified by hash before it is believed.

A checkpoint is a folder ``0007`` with ``arrays.safetensors``, ``state.json`` and ``manifest.json``, which
holds the SHA-256 of both and of itself. It is written beside its place and renamed; the last two are kept, so
that a damaged newest one falls back, with a warning, to the one before.
"""

import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
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
from devices.foundation import Ownership, owned, read_regular, sync_folder, write_durably

logger = logging.getLogger(__name__)

_SCHEMA = 1
_KEPT = 2
_ARRAYS, _STATE, _MANIFEST = "arrays.safetensors", "state.json", "manifest.json"

#: The largest file of a checkpoint that is read.
_MAX_BYTES = 1 << 31


@dataclass(frozen=True)
class Checkpoint:
    """What a search needs to go on.

    Attributes:
        generation: The last generation that it completes.
        arrays: Weights and optimiser state by name.
        values: Everything else, as JSON.
    """

    generation: int
    arrays: Mapping[str, NDArray[np.generic]]
    values: Mapping[str, Json]


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

    def __repr__(self) -> str:
        return f"CheckpointFolder({str(self.path)!r})"

    def holds_any(self) -> bool:
        """Tell whether there is a checkpoint, sound or not."""
        return bool(self._folders())

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
        final = self.path / f"{checkpoint.generation:04d}"
        temporary = self.path / f".{final.name}.tmp"
        files = {
            _ARRAYS: save_arrays(dict(checkpoint.arrays)),
            _STATE: _encode({"generation": checkpoint.generation, "values": dict(checkpoint.values)}),
        }
        files[_MANIFEST] = _encode(_manifest(files))
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            if self._ownership is None:
                self.path.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            for name, content in files.items():
                with io.FileIO(temporary / name, "w") as file:
                    write_durably(file, content)
            if final.exists():
                shutil.rmtree(final)
            os.replace(temporary, final)
            sync_folder(self.path)
        except OSError as error:
            raise CheckpointError(f"cannot write checkpoint {final}: {error.strerror}") from error
        for old in self._folders()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def load_newest(self) -> Checkpoint | None:
        """Return the newest checkpoint whose hashes hold; ``None`` where there is none at all.

        Raises:
            CheckpointError: There are checkpoints, but every one is damaged; or the folder cannot be read.
        """
        folders = self._folders()
        damages = []
        for folder in reversed(folders):
            try:
                return _load(folder)
            except CheckpointError as error:
                logger.warning("%s; falling back to the one before", error)
                damages.append(str(error))
        if damages:
            raise CheckpointError(
                f"no checkpoint can be believed: {'; '.join(damages)}; start anew in another folder"
            )
        return None

    def _folders(self) -> list[Path]:
        """Return the checkpoints, oldest first: by number, since 9999 comes before 10000."""
        try:
            folders = [folder for folder in self.path.iterdir() if folder.name.isdecimal()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"cannot read {self.path}: {error.strerror}") from error
        return sorted(folders, key=lambda folder: int(folder.name))


def _load(folder: Path) -> Checkpoint:
    try:
        files = {name: read_regular(folder / name, _MAX_BYTES) for name in (_ARRAYS, _STATE)}
        manifest = read_regular(folder / _MANIFEST, _MAX_BYTES)
    except OSError as error:
        raise CheckpointError(f"checkpoint {folder} is incomplete ({error.strerror})") from error
    if manifest != _encode(_manifest(files)):
        raise CheckpointError(f"checkpoint {folder} is damaged: its hashes do not hold")
    try:
        state = json.loads(files[_STATE])
        generation, values = state["generation"], state["values"]
        if type(generation) is not int or not isinstance(values, dict):
            raise TypeError("its generation is no number, or its values are none")
        return Checkpoint(generation, load_arrays(files[_ARRAYS]), values)
    except (SafetensorError, RecursionError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint {folder} was written by another version: {error}") from error


def _manifest(files: Mapping[str, bytes]) -> dict[str, Json]:
    hashes: dict[str, Json] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest: dict[str, Json] = {"schema": _SCHEMA, "sha256": hashes}
    manifest["self"] = hashlib.sha256(_encode(manifest)).hexdigest()
    return manifest


def _encode(value: Mapping[str, Json]) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()
