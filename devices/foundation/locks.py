"""A lock between the processes of one user on this machine, released by the kernel however they end."""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from devices.foundation.errors import StorageError
from devices.foundation.files import cache_folder


@contextmanager
def held(name: str) -> Iterator[bool]:
    """Hold the lock ``name`` until left, if nobody else does; yield whether it is ours.

    Raises:
        StorageError: This machine does not let us keep a file for it.
    """
    path = cache_folder() / "locks" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("ab")
    except OSError as error:
        remedy = "set XDG_CACHE_HOME to a folder that you may write to"
        raise StorageError(f"{path.parent} cannot be written to: {error.strerror}; {remedy}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
