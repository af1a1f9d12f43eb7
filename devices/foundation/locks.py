"""Locks between processes, released however their owner ends.

The kernel's lock on an open file (``flock``) where there is one: the kernel itself releases it. Some network
file systems refuse it, and Windows has none; there an owner file beside the locked one does (see ``owners``).
"""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from devices.foundation.errors import StorageError
from devices.foundation.files import NOT_SUPPORTED, cache_folder
from devices.foundation.owners import disown, own

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: What ``flock`` answers where the file system has no locks.
_NO_LOCKS = NOT_SUPPORTED | {errno.ENOLCK}


class Lock:
    """An exclusive lock on an open file, held until it is released and the file is closed.

    Args:
        owner_file: Of an owner file, its path; ``None`` for a lock of the kernel.
        content: What stands in it.
    """

    def __init__(self, owner_file: Path | None = None, content: str = "") -> None:
        self._owner_file, self._content = owner_file, content

    def release(self) -> None:
        """Remove the owner file, where there is one; releasing twice is allowed."""
        if self._owner_file is not None:
            disown(self._owner_file, self._content)
            self._owner_file = None

    def __repr__(self) -> str:
        return f"<lock by {self._owner_file}>" if self._owner_file else "<lock of the kernel>"


def lock(file: IO[bytes] | int, path: Path) -> Lock | None:
    """Lock an open file that ``path`` names; ``None`` where another has locked it. Nothing is waited for.

    Raises:
        StorageError: The file system has no locks, and whether another process is at work cannot be told.
        OSError: The disk refuses.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Lock()
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
    owner_file = path.with_name(f"{path.name}.owner")
    content = own(owner_file)
    return None if content is None else Lock(owner_file, content)


@contextmanager
def held(name: str) -> Iterator[bool]:
    """Hold the lock ``name`` among the processes of this user until left; yield whether it is ours.

    Raises:
        StorageError: This machine does not let us keep a file for it.
    """
    path = cache_folder() / "locks" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("ab")
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    with file:
        try:
            ours = lock(file, path)
        except OSError as error:
            raise _unwritable(path.parent, error) from error
        try:
            yield ours is not None
        finally:
            if ours is not None:
                ours.release()


def _unwritable(folder: Path, error: OSError) -> StorageError:
    remedy = "set XDG_CACHE_HOME to a folder that you may write to"
    return StorageError(f"{folder} cannot be written to: {error.strerror}; {remedy}")
