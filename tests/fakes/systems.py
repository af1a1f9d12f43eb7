"""Other systems than Linux on a disk of its own, made of this one: for processes that a test starts."""

import errno
import os
import random  # noqa: F401  (asks for os.register_at_fork when it is imported; so does torch)
import stat
import subprocess  # noqa: F401
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

#: What Python has on Linux only.
_POSIX = ("pwrite", "pread", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_CLOEXEC", "register_at_fork")


def without_posix() -> None:
    """Take away what Windows lacks."""
    sys.modules["fcntl"] = None  # type: ignore[assignment]
    for name in _POSIX:
        delattr(os, name)


def without_locks() -> None:
    """Make all disks such that lock nothing, sync no folders, and give each file one name."""
    import fcntl

    fsync = os.fsync

    def sync_files(fd: "FileDescriptorLike") -> None:
        descriptor = fd if isinstance(fd, int) else fd.fileno()
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    def refuse_lock(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def refuse_link(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    fcntl.flock = refuse_lock
    os.fsync, os.link = sync_files, refuse_link
