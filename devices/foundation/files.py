"""Files that outlive a crash, bounded reads, the folder of caches; see ``temporaries`` for whole files."""

import errno
import io
import os
import stat
from pathlib import Path

#: What a file system answers that has no such call: not an error of the disk.
NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


def write_durably(file: io.FileIO, content: bytes) -> None:
    """Write all of ``content`` to ``file``, and bring it to the disk.

    Raises:
        OSError: The disk refuses.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring the names in ``folder`` to the disk, so that what was created or renamed there stays so.

    Where the system opens no folders, or the file system has no such call, the names are on the disk when it
    pleases: after a power failure a file may be missing, or be the old one, but is whole.

    Raises:
        OSError: The disk refuses.
    """
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
    finally:
        os.close(descriptor)


def open_regular(path: Path) -> io.FileIO:
    """Open a file for reading, without a buffer, unless it is a folder, a pipe, a device or a socket.

    Raises:
        OSError: It is one of these, or cannot be opened; ``strerror`` says which. A pipe is not waited for.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = io.FileIO(path, "rb", opener=lambda name, _: os.open(name, flags))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return file


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file; never more than ``max_bytes`` and one are read, whatever it claims to be.

    Raises:
        OSError: It is larger, no regular file, or cannot be read; ``strerror`` says which.
    """
    with open_regular(path) as file:
        is_larger = os.fstat(file.fileno()).st_size > max_bytes
        parts, left = [], 0 if is_larger else max_bytes + 1  # it may grow meanwhile
        while left and (part := file.read(min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
    if not left:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes} bytes", str(path))
    return b"".join(parts)


def cache_folder() -> Path:
    """Return where files lie that can be made again: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cars_hw"
