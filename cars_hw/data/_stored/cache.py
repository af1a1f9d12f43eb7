"""Decoded images in a file each set, mapped into memory, so that there may be more than memory holds.

An entry is a folder, named after what the images are: it is written under another name, brought to the disk,
and renamed. So a kill leaves an entry or none. What is there is checked against its hashes before it is used:
the index as a whole, of the images a part that is spread over them. One process decodes; others wait for it.
"""

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cars_hw.data._image_set import Images, Sums
from cars_hw.data._stored.decoding import Decoded
from cars_hw.errors import DataError
from devices.foundation import (
    cache_folder,
    lock,
    read_regular,
    remove_stale,
    sync_folder,
    temporary_in,
    write_durably,
)

_IMAGES, _INDEX, _META = "images.bin", "index.npz", "meta.json"
_MAX_META_BYTES = 1 << 16
_MAX_INDEX_BYTES = 1 << 32
#: Of an entry, so many bytes of images are checked against their hashes each time.
_CHECKED_BYTES = 1 << 26
_POLL_S = 0.2
_REMEDY = "set XDG_CACHE_HOME to a folder that you may write to, with room"
_ARRAYS = ("kept", "digests", "totals", "squares")


@dataclass(frozen=True)
class Entry:
    """What is to be in the cache.

    Attributes:
        what: Whose images they are, for messages.
        key: Names the images, and what they went through: another for any other content.
        most_images: Number of images, at most.
        shape: (c, h, w) of each.
        max_bytes: Of all entries together.
    """

    what: str
    key: str
    most_images: int
    shape: tuple[int, int, int]
    max_bytes: int

    @property
    def size_bytes(self) -> int:
        """What the images take, at most."""
        return self.most_images * int(np.prod(self.shape))


@dataclass(frozen=True)
class Kept:
    """What is in the cache.

    Attributes:
        images: (m, c, h, w), mapped; what is written into them stays in this process.
        kept: Which of the images that were decoded they are, (m,).
        sums: What is known of each.
    """

    images: Images
    kept: NDArray[np.int64]
    sums: Sums


def folder() -> Path:
    """Return where the entries lie."""
    return cache_folder() / "images"


@contextmanager
def found_or_alone(entry: Entry) -> Iterator[Kept | None]:
    """Yield the entry; or ``None``, to be filled by ``fill`` before this is left, while other processes wait.

    Raises:
        DataError: There is no room for it, or the folder cannot be written to.
    """
    try:
        kept = _opened(entry)
        if kept is not None:
            yield kept
            return
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_stale(folder())
        with _alone(folder() / f"{entry.key}.lock"):
            kept = _opened(entry)
            if kept is None:
                _remove(folder() / entry.key)  # damaged, if it is there
                _make_room(entry)
            yield kept
    except OSError as error:
        raise DataError(f"{folder()}: {error.strerror or error}; {_REMEDY}") from error


def fill(entry: Entry, images: Iterator[tuple[int, Decoded]]) -> Kept:
    """Write the entry, and return it.

    Args:
        entry: Is not there yet.
        images: Each with its number, in their order.

    Raises:
        OSError: The disk refuses.
    """
    temporary = temporary_in(folder())
    temporary.mkdir(mode=0o700)
    try:
        index = _written(temporary / _IMAGES, images)
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **index)
        values = {
            "images": len(index["kept"]),
            "shape": entry.shape,
            "index_sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        }
        for name, text in ((_INDEX, content.getvalue()), (_META, json.dumps(values).encode())):
            with io.FileIO(temporary / name, "x") as file:
                write_durably(file, text)
        sync_folder(temporary)
        os.rename(temporary, folder() / entry.key)
        sync_folder(folder())
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    kept = _opened(entry)
    if kept is None:
        raise OSError(f"what was written to {entry.key} does not read back")
    return kept


def _written(path: Path, images: Iterator[tuple[int, Decoded]]) -> dict[str, NDArray[np.generic]]:
    """Write the pixels of all images, one after the other; return the index."""
    numbers, digests, totals, squares = [], [], [], []
    with path.open("xb") as file:  # not through a mapping, where a full disk would kill the process
        for number, image in images:
            file.write(image.pixels.tobytes())
            numbers.append(number)
            digests.append(np.frombuffer(image.digest, np.uint8))
            totals.append(image.totals)
            squares.append(image.squares)
        file.flush()
        os.fsync(file.fileno())
    return {
        "kept": np.array(numbers, np.int64),
        "digests": np.array(digests, np.uint8),
        "totals": np.array(totals, np.int64),
        "squares": np.array(squares, np.int64),
    }


def _opened(entry: Entry) -> Kept | None:
    """Return the entry, if it is there and whole."""
    path = folder() / entry.key
    try:
        kept = _read(path, entry)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None
    with suppress(OSError):
        os.utime(path / _META)  # it was used; see ``_make_room``
    return kept


def _read(path: Path, entry: Entry) -> Kept:
    """Return what lies at ``path``.

    Raises:
        ValueError: It is damaged.
    """
    values = json.loads(read_regular(path / _META, _MAX_META_BYTES))
    index = read_regular(path / _INDEX, _MAX_INDEX_BYTES)
    n, shape = int(values["images"]), tuple(values["shape"])
    if hashlib.sha256(index).hexdigest() != values["index_sha256"] or shape != entry.shape or n < 1:
        raise ValueError("it has another index")
    if (path / _IMAGES).stat().st_size != n * int(np.prod(shape)):
        raise ValueError("it has another length")
    with np.load(io.BytesIO(index), allow_pickle=False) as arrays:
        kept, digests, totals, squares = (arrays[name] for name in _ARRAYS)
    images = np.memmap(path / _IMAGES, np.uint8, mode="c", shape=(n, *entry.shape))
    step = max(1, -(-images.nbytes // _CHECKED_BYTES))
    for i in range(0, n, step):
        if hashlib.sha256(images[i].tobytes()).digest() != digests[i].tobytes():
            raise ValueError("it has other pixels")
    return Kept(images, kept, Sums(digests, totals, squares))


def _make_room(entry: Entry) -> None:
    """Remove the entries that were not used for longest, until this one has room.

    Raises:
        DataError: It has none, not even alone.
    """
    shape = "x".join(map(str, entry.shape))
    need = f"{entry.most_images} images of {shape} of {entry.what} take {_size(entry.size_bytes)} of disk"
    if entry.size_bytes > entry.max_bytes:
        raise DataError(
            f"{need}, and all in the cache together may take {_size(entry.max_bytes)}; raise "
            "data.max_cache_bytes, or make data.image_size smaller"
        )
    others = sorted(_others(), key=lambda other: other[0])
    total = sum(size for _, size, _ in others)
    for _, size, path in others:
        if total + entry.size_bytes <= entry.max_bytes:
            break
        _remove(path)
        total -= size
    free = shutil.disk_usage(folder()).free
    if entry.size_bytes > free:
        raise DataError(f"{need}, and {folder()} has {_size(free)}; {_REMEDY}")


def _others() -> Iterator[tuple[float, int, Path]]:
    """Yield, for each entry, when it was last used, its size in bytes, and where it is."""
    for path in folder().iterdir():
        with suppress(OSError):
            size = sum((path / name).stat().st_size for name in (_IMAGES, _INDEX))
            yield (path / _META).stat().st_mtime, size, path


def _remove(path: Path) -> None:
    """Remove an entry: at once under its name, since another process may be about to open it."""
    gone = temporary_in(folder())
    with suppress(OSError):
        os.rename(path, gone)
    shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock at ``path``; wait until another process has released it, or has ended."""
    with path.open("ab") as file:
        while (held := lock(file, path)) is None:
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            held.release()


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.3g} GB" if size_bytes >= 1e8 else f"{size_bytes} bytes"
