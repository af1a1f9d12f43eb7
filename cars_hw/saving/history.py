"""HistoryFolder: the generations of a search, each in a file that is written once.

A file such as ``0007-3f9c2a77d01be4a5.json``, named by its own SHA-256, holds a generation and the SHA-256 of
the file before it. So the hash of the last file, which a checkpoint holds, vouches for all of them, and a
damaged one is named. Where a generation is judged anew, another file stands beside the first, which earlier
checkpoints go on to name.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic_core import to_jsonable_python

from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from devices.foundation import read_regular, replace_file

#: The largest file of a generation that is read.
_MAX_BYTES = 1 << 28


class HistoryFolder:
    """The files of a search's generations.

    Args:
        path: The folder; made by the first file, and a missing one has none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hashes: list[str] = []

    def extend(self, history: Sequence[object]) -> str:
        """Write the generations that have no file yet, and return the hash of the last one.

        Args:
            history: All generations, oldest first; those with a file are not looked at, but the last of them.

        Raises:
            OSError: The disk refuses.
        """
        known = len(self._hashes)
        if known > len(history) or (known and _hash(self._content(history, known - 1)) != self._hashes[-1]):
            self._hashes.clear()  # another search's
        for i in range(len(self._hashes), len(history)):
            content = self._content(history, i)
            path = self._file(i, _hash(content))
            if not _holds(path, content):
                self.path.mkdir(exist_ok=True)
                replace_file(path, content)
            self._hashes.append(_hash(content))
        return self._hashes[-1] if self._hashes else ""

    def load(self, count: int, sha256: str) -> list[Json]:
        """Return ``count`` generations, oldest first.

        Args:
            count: How many.
            sha256: The hash of the last file.

        Raises:
            CheckpointError: A file is missing, or is not the one that was written.
        """
        generations, hashes = list[Json](), list[str]()
        for i in reversed(range(count)):
            path = self._file(i, sha256)
            content = _read(path)
            if _hash(content) != sha256:
                raise CheckpointError(f"generation {path} is damaged: its hash does not hold")
            hashes.append(sha256)
            try:
                values = json.loads(content)
                sha256 = str(values["after"])
                generations.append(values["generation"])
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise CheckpointError(f"generation {path} was written by another version: {error}") from error
        self._hashes = hashes[::-1]
        return generations[::-1]

    def _content(self, history: Sequence[object], number: int) -> bytes:
        after = self._hashes[number - 1] if number else ""
        values = {"after": after, "generation": to_jsonable_python(history[number])}
        return json.dumps(values, sort_keys=True, allow_nan=False).encode()

    def _file(self, number: int, sha256: str) -> Path:
        return self.path / f"{number:04d}-{sha256[:16]}.json"


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, _MAX_BYTES)
    except OSError as error:
        raise CheckpointError(f"generation {path} cannot be read ({error.strerror})") from error


def _holds(path: Path, content: bytes) -> bool:
    """Tell whether there is this very file already."""
    try:
        return read_regular(path, len(content)) == content
    except OSError:
        return False


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
