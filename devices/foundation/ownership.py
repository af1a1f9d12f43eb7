"""Ownership of a folder: one thread of one process writes into it at a time, and notices when it is gone.

The lock is a file inside the folder, so that whoever reaches the folder sees it, by whatever path. The kernel
releases it however its owner ends. Who owns a folder may take it again: a search that exports, say.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devices.foundation.errors import CarsHwError, StorageError
from devices.foundation.locks import Lock, lock
from devices.foundation.temporaries import remove_stale

_LOCK = ".lock"

#: The file of a lock: its file system, and its number there.
_Key = tuple[int, int]


@dataclass(frozen=True)
class Ownership:
    """A folder that is ours.

    Attributes:
        folder: The folder.
        descriptor: The open file that the lock hangs on.
    """

    folder: Path
    descriptor: int

    def require_in_place(self) -> None:
        """Refuse to go on where the folder has been removed, moved or replaced since it was taken.

        Raises:
            StorageError: It has.
        """
        try:
            found = os.stat(self.folder / _LOCK, follow_symlinks=False)
        except OSError as error:
            raise StorageError(
                f"{self.folder} is gone: somebody removed or moved it ({error.strerror}), and nothing more "
                "can be saved; begin anew, or put it back and go on with --resume"
            ) from error
        if _key(found) != _key(os.fstat(self.descriptor)):
            raise StorageError(
                f"{self.folder} was replaced by another folder, and nothing more is saved; begin anew in "
                "a new one"
            )


@dataclass
class _Held:
    """A lock that this process has: of which folder, who took it, and how often."""

    folder: Path
    descriptor: int
    lock: Lock
    thread: int
    holds: int = 0


_guard = threading.Lock()
_locks: dict[_Key, _Held] = {}


@contextmanager
def owned(folder: Path) -> Iterator[Ownership]:
    """Own ``folder``, which is made where it is missing, until left.

    Raises:
        StorageError: Somebody else owns it, or it cannot be written to.
    """
    with _guard:
        held = _taken(folder)
    ownership = Ownership(folder, held.descriptor)
    try:
        ownership.require_in_place()
        yield ownership
    except (CarsHwError, OSError):
        ownership.require_in_place()  # a folder that is gone explains whatever is missing in it
        raise
    finally:
        with _guard:
            _give_back(held)


def _taken(folder: Path) -> _Held:
    for ours in _locks.values():
        if ours.folder == folder.absolute():  # one that was ours, and is gone, is not made again
            Ownership(folder, ours.descriptor).require_in_place()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, _flags(), 0o666)
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}; choose another folder") from error
    key = _key(os.fstat(descriptor))
    held = _locks.get(key)
    if held is None:
        held = _locks[key] = _locked(folder, descriptor)
    else:
        owner = _owner(descriptor)
        os.close(descriptor)
        if held.thread != threading.get_ident():
            raise _refusal(folder, f"another thread of {owner}")
    held.holds += 1
    return held


def _flags() -> int:
    """Return how the lock's file is opened: a link would lead elsewhere, a pipe would wait for its other end.

    Windows has neither, nor these flags.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    return flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def _locked(folder: Path, descriptor: int) -> _Held:
    try:
        ours = lock(descriptor, folder / _LOCK)
        if ours is None:
            raise _refusal(folder, _owner(descriptor))
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, str(os.getpid()).encode())
    except OSError as error:
        os.close(descriptor)
        raise StorageError(
            f"cannot lock {folder}: {error.strerror}; choose a folder on a disk of this machine"
        ) from error
    except CarsHwError:
        os.close(descriptor)
        raise
    remove_stale(folder, deep=True)
    return _Held(folder.absolute(), descriptor, ours, threading.get_ident())


def _give_back(held: _Held) -> None:
    held.holds -= 1
    if held.holds == 0:
        del _locks[_key(os.fstat(held.descriptor))]
        held.lock.release()
        os.close(held.descriptor)


def _owner(descriptor: int) -> str:
    """Return who wrote himself into the file; that it is true is not relied on."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, 20)
    return f"process {text.decode()}" if text.isdigit() else "another process"


def _refusal(folder: Path, owner: str) -> StorageError:
    return StorageError(
        f"{folder} is being written by {owner}; wait until that has ended, or name another folder"
    )


def _key(found: os.stat_result) -> _Key:
    return found.st_dev, found.st_ino


def _forget() -> None:
    """Own nothing in a child process: it would keep the lock when its parent has ended."""
    for held in _locks.values():
        os.close(held.descriptor)
        held.holds = -1  # never 0 again: what a frame of the parent gives back is not ours
    _locks.clear()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_forget)
