"""Journal: an append-only file of JSON objects that survives a crash and never hands out a damaged one.

The file appears at once with its first line (see ``lines``) and grows by lines that are on the disk before
``append`` returns.

* A crash in ``append`` leaves a torn last line, the beginning of one without its line feed, which nobody was
  promised. The next writer moves it to ``PATH.torn``; readers skip it. Any other line that does not hold is
  damage: nothing of the file is used. A last record that lacks the line feed alone is used.
* One writer at a time, by an exclusive lock on the open file. The kernel releases it however the writer ends,
  unless a forked child keeps the file open; where the file system has no locks, ``PATH.owner`` names the
  writer. Readers take no lock; they see what was acknowledged so far.
* What is not ready to be a line is kept by the writer in ``PATH.partial``, which no reader looks at.
"""

import errno
import io
import logging
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from devices.foundation import (
    Lock,
    StorageError,
    lock,
    open_regular,
    read_regular,
    remove_stale,
    replace_file,
    sync_folder,
    temporary_in,
    write_durably,
)
from latency_tables.errors import DamagedFileError, TableError
from latency_tables.lines import MAX_LINE_BYTES, Fields, damage, encoded, is_torn, is_whole, parsed

logger = logging.getLogger(__name__)

#: Of the file of what is not ready yet; a group of workloads takes less than one.
_MAX_ASIDE_BYTES = 64 << 20

#: What a file system answers that gives a file one name only.
_NO_LINKS = frozenset(
    {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}
)


def partial_path(path: Path) -> Path:
    """Return where the writer of a journal keeps what is not ready for it."""
    return path.with_name(f"{path.name}.partial")


def read_lines(path: Path) -> Generator[tuple[int, Fields], None, None]:
    """Yield (line number from 1, its fields) without changing the file, which another process may be writing.

    Raises:
        TableError: ``path`` cannot be read.
        DamagedFileError: A line other than a torn last one does not hold, or is not a JSON object.
    """
    try:
        if not _is_file(path):
            raise TableError(f"{path} is not a file; profile a space to write one")
        with io.BufferedReader(open_regular(path)) as file:
            end = 0
            for number, line in enumerate(_whole_lines(path, file), start=1):
                end += len(line)
                yield number, parsed(path, number, line)
            if file.tell() > end:
                logger.warning("%s: ignored a last line that is torn, or being written", path)
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from error


class Journal:
    """A journal that nobody else may append to until it is closed. A context manager; not thread-safe.

    Args:
        path: Path of the file.
        file: That file, unbuffered, in append mode and locked; the journal closes it.
        ours: The lock; the journal releases it.
    """

    def __init__(self, path: Path, file: io.FileIO, ours: Lock) -> None:
        self._path = path
        self._file = file
        self._lock = ours
        self._has_complained = False

    def __repr__(self) -> str:
        return f"<journal {self._path}>"

    @classmethod
    def create(cls, path: Path, first: Fields) -> Self:
        """Create ``path`` with one line, atomically, and open it.

        Raises:
            TableError: It exists, cannot be created there, or the line is not JSON.
        """
        try:
            _write_new(path, encoded(first))
        except FileExistsError as error:
            raise TableError(f"{path} exists already; open it for appending, or name another file") from error
        except OSError as error:
            remedy = "name a folder on a local disk that you may write to"
            raise TableError(f"{path} cannot be created: {error.strerror}; {remedy}") from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing journal for appending; a torn last line is moved to ``PATH.torn``.

        A last record without its line feed gets it.

        Raises:
            TableError: It cannot be opened, or somebody is writing it.
            DamagedFileError: A line other than a torn last one does not hold.
        """
        try:
            with ExitStack() as on_error:
                file = on_error.enter_context(_opened(path))
                ours = _locked(path, file)
                on_error.callback(ours.release)
                remove_stale(path.parent)
                _mend_tail(path, file)
                on_error.pop_all()
        except OSError as error:
            raise TableError(f"{path} cannot be opened for writing: {error.strerror}") from error
        return cls(path, file, ours)

    def append(self, *lines: Fields) -> None:
        """Add ``lines``; they are on the disk when this returns.

        After an error none of them is in the file; where the disk was the cause, the journal is closed.

        Raises:
            TableError: The journal is closed, its file was deleted, the disk is full or a line is not JSON.
        """
        content = b"".join(map(encoded, lines))
        size_bytes = self._require_in_place()
        try:
            with ExitStack() as on_error:
                on_error.callback(self._cut_back, size_bytes)
                write_durably(self._file, content)
                on_error.pop_all()
        except OSError as error:
            remedy = "what was added before is safe; remove the cause and continue"
            raise TableError(f"{self._path} cannot be written: {error.strerror}; {remedy}") from error

    def keep_aside(self, *lines: Fields) -> None:
        """Write ``lines`` to ``PATH.partial``, in place of what is there; without lines, remove that.

        Where the disk refuses, nothing is kept, which is said once.

        Raises:
            TableError: The journal is closed, its file was moved, replaced or deleted, or a line is not JSON.
        """
        content = b"".join(map(encoded, lines))
        self._require_in_place()  # a folder that is gone is not made again
        path = partial_path(self._path)
        try:
            if lines:
                replace_file(path, content)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            if not self._has_complained:
                logger.warning("%s cannot be written: %s; an interrupt loses more", path, error.strerror)
            self._has_complained = True

    def aside(self) -> list[Fields]:
        """Return the lines that ``keep_aside`` wrote; where some do not hold, the others, and say so."""
        path = partial_path(self._path)
        try:
            lines = io.BytesIO(read_regular(path, _MAX_ASIDE_BYTES)).readlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            logger.warning("%s cannot be read: %s; what it is to keep is lost", path, error.strerror)
            return []
        found = []
        for number, line in enumerate(lines, start=1):
            with suppress(DamagedFileError):
                found += [parsed(path, number, line)] if is_whole(line) else []
        if len(found) < len(lines):
            logger.warning("%s: %d of %d lines do not hold", path, len(lines) - len(found), len(lines))
        return found

    def _require_in_place(self) -> int:
        """Return the size of the file, which is open and still where it was."""
        if self._file.closed:
            raise TableError(f"{self._path} is closed; open it again for appending")
        ours = os.fstat(self._file.fileno())
        if ours.st_nlink == 0:
            raise TableError(f"{self._path} was deleted while it was being written; start anew")
        try:
            there = self._path.stat()
        except OSError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise TableError(
                f"{self._path} was moved or replaced while it was being written; what was added before is "
                "where the file is now: put it back and continue"
            )
        return ours.st_size

    def _cut_back(self, size_bytes: int) -> None:
        with suppress(OSError):  # the next writer will find a torn tail
            self._file.truncate(size_bytes)
        self.close()

    def close(self) -> None:
        """Release the file and its lock; closing twice is allowed."""
        self._lock.release()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def unwritten(path: Path) -> Iterator[None]:
    """Keep every other process from writing ``path`` until left; the file may be damaged.

    Raises:
        TableError: It cannot be opened, or somebody is writing it.
    """
    try:
        file = _opened(path)
    except OSError as error:
        raise TableError(f"{path} cannot be opened for writing: {error.strerror}") from error
    with file:
        ours = _locked(path, file)
        try:
            yield
        finally:
            ours.release()


def _opened(path: Path) -> io.FileIO:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0))
    file = io.FileIO(descriptor, "r+")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise TableError(f"{path} cannot be opened for writing: it is a pipe or a device")
    return file


def _is_file(path: Path) -> bool:
    """Tell whether there is such a file; an error of the system other than its absence is raised."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _whole_lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines that hold, up to the end or a torn last one.

    Only the bytes that are there now count: a line that is just being appended is no damage. The first line
    is never torn, since a journal is created with it; so a file that is no journal is refused, not cut.
    """
    size, end, number = os.fstat(file.fileno()).st_size, 0, 1
    if size == 0:
        raise DamagedFileError(path, "line 1", "the file is empty")
    while end < size:
        line = file.readline(min(size - end, MAX_LINE_BYTES + 1))
        if not line:  # a writer has cut the tail meanwhile
            return
        if not is_whole(line):
            is_last = end + len(line) == size
            if not (is_last and is_whole(line + b"\n")):
                if number == 1 or not is_last or not is_torn(line):
                    raise damage(path, number, line)
                return
            reason = "an editor took it away, or the line is being written"
            logger.warning("%s: the last record is whole, but its line feed is missing: %s", path, reason)
        yield line
        end, number = end + len(line), number + 1


def _locked(path: Path, file: io.FileIO) -> Lock:
    try:
        ours = lock(file, path)
    except StorageError as error:
        raise TableError(str(error)) from error
    if ours is None:
        raise TableError(f"{path} is being written already; wait for that to end, or name another")
    return ours


def _mend_tail(path: Path, file: io.FileIO) -> None:
    with open(file.fileno(), "rb", closefd=False) as reader:
        last, end = b"", 0
        for last in _whole_lines(path, reader):
            end += len(last)
        reader.seek(end)
        torn = reader.read()
    if not last.endswith(b"\n"):
        write_durably(file, b"\n")
        return
    if not torn:
        return
    torn_path = path.with_name(f"{path.name}.torn")
    with io.FileIO(torn_path, "a") as copy:
        write_durably(copy, torn)
    sync_folder(path.parent)
    file.truncate(end)
    os.fsync(file.fileno())
    logger.warning("%s: the last line was torn; its %d bytes are in %s now", path, len(torn), torn_path)


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, and never replaces another."""
    temporary = temporary_in(path.parent)
    try:
        with io.FileIO(temporary, "x") as file:
            write_durably(file, data)
        _give_name(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _give_name(temporary: Path, path: Path) -> None:
    """Name a file ``path`` if there is none; whoever does it at the same time gets the error."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):  # looked at and renamed in two steps: the best that such a disk offers
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.rename(temporary, path)
