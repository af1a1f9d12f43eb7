"""Journal: an append-only file of JSON objects that survives a crash and never hands out a damaged one.

A line is ``LENGTH CRC32 JSON``: the bytes of the JSON in decimal, their CRC-32 in eight hexadecimal digits,
the JSON. The file appears at once with its first line and grows by lines that are on the disk before
``append`` returns.

* A crash in ``append`` leaves a torn last line, which nobody was promised. The next writer moves it to
  ``PATH.torn``; readers skip it. Any other line that does not hold is damage: nothing of the file is used.
* One writer at a time, by an exclusive lock on the open file. The kernel releases it however the writer ends,
  unless a forked child keeps the file open. Readers take no lock; they see what was acknowledged so far.
"""

import fcntl
import io
import json
import logging
import os
import secrets
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Self

from devices.foundation import sync_folder, write_durably
from latency_tables.errors import DamagedFileError, TableError

logger = logging.getLogger(__name__)

#: The JSON object of a line: its fields by name.
Fields = Mapping[str, Any]

#: Longest line: what a reader will hold in memory. A line with 100 000 samples takes 2.5 MB.
MAX_LINE_BYTES = 16 << 20


def read_lines(path: Path) -> Iterator[tuple[int, Fields]]:
    """Yield (line number from 1, its fields) without changing the file, which another process may be writing.

    Raises:
        TableError: ``path`` cannot be read.
        DamagedFileError: A line other than a torn last one does not hold, or is not a JSON object.
    """
    try:
        if not _is_file(path):
            raise TableError(f"{path} is not a file; profile a space to write one")
        with path.open("rb") as file:
            end = 0
            for number, line in enumerate(_whole_lines(path, file), start=1):
                end += len(line)
                yield number, _parsed(path, number, line)
            if file.tell() > end:
                logger.warning("%s: ignored a last line that is torn, or being written", path)
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from error


class Journal:
    """A journal that nobody else may append to until it is closed. A context manager; not thread-safe.

    Args:
        path: Path of the file.
        file: That file, unbuffered, in append mode and locked; the journal closes it.
    """

    def __init__(self, path: Path, file: io.FileIO) -> None:
        self._path = path
        self._file = file

    @classmethod
    def create(cls, path: Path, first: Fields) -> Self:
        """Create ``path`` with one line, atomically, and open it.

        Raises:
            TableError: It exists, cannot be created there, or the line is not JSON.
        """
        try:
            _write_new(path, _line(first))
        except FileExistsError as error:
            raise TableError(f"{path} exists already; open it for appending, or name another file") from error
        except OSError as error:
            remedy = "name a folder on a local disk that you may write to"
            raise TableError(f"{path} cannot be created: {error.strerror}; {remedy}") from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing journal for appending; a torn last line is moved to ``PATH.torn``.

        Raises:
            TableError: It cannot be opened, or somebody is writing it.
            DamagedFileError: A line other than a torn last one does not hold.
        """
        try:
            with ExitStack() as on_error:
                descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
                file = on_error.enter_context(io.FileIO(descriptor, "r+"))
                _lock(path, file)
                _quarantine_torn_tail(path, file)
                on_error.pop_all()
        except OSError as error:
            raise TableError(f"{path} cannot be opened for writing: {error.strerror}") from error
        return cls(path, file)

    def append(self, *lines: Fields) -> None:
        """Add ``lines``; they are on the disk when this returns.

        After an error none of them is in the file; where the disk was the cause, the journal is closed.

        Raises:
            TableError: The journal is closed, its file was deleted, the disk is full or a line is not JSON.
        """
        content = b"".join(map(_line, lines))
        if self._file.closed:
            raise TableError(f"{self._path} is closed; open it again for appending")
        status = os.fstat(self._file.fileno())
        if status.st_nlink == 0:
            raise TableError(f"{self._path} was deleted while it was being written; start anew")
        try:
            with ExitStack() as on_error:
                on_error.callback(self._cut_back, status.st_size)
                write_durably(self._file, content)
                on_error.pop_all()
        except OSError as error:
            remedy = "what was added before is safe; remove the cause and continue"
            raise TableError(f"{self._path} cannot be written: {error.strerror}; {remedy}") from error

    def _cut_back(self, size_bytes: int) -> None:
        with suppress(OSError):  # the next writer will find a torn tail
            self._file.truncate(size_bytes)
        self.close()

    def close(self) -> None:
        """Release the file and its lock; closing twice is allowed."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_file(path: Path) -> bool:
    """Tell whether there is such a file; an error of the system other than its absence is raised."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _line(fields: Fields) -> bytes:
    try:
        line = _framed(json.dumps(fields, allow_nan=False, separators=(",", ":")).encode("ascii"))
    except (TypeError, ValueError, RecursionError) as error:
        raise TableError(f"a line that cannot be written as JSON: {error}") from error
    if len(line) > MAX_LINE_BYTES:
        raise TableError(f"a line of {len(line)} bytes; at most {MAX_LINE_BYTES} are written")
    return line


def _framed(payload: bytes) -> bytes:
    return b"%d %08x %b\n" % (len(payload), zlib.crc32(payload), payload)


def _payload(line: bytes) -> bytes:
    return line.removesuffix(b"\n").split(b" ", 2)[-1]


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
        if line != _framed(_payload(line)):
            is_last = not line or end + len(line) == size  # nothing: a writer has cut the tail meanwhile
            if number == 1 or not is_last:
                raise DamagedFileError(path, f"line {number}", "its length or checksum does not hold")
            return
        yield line
        end, number = end + len(line), number + 1


def _parsed(path: Path, number: int, line: bytes) -> Fields:
    try:
        fields = json.loads(
            _payload(line).decode("ascii"), parse_constant=_refuse_constant, object_pairs_hook=_distinct
        )
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(path, f"line {number}", f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise DamagedFileError(path, f"line {number}", "not a JSON object")
    return fields


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _distinct(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field occurs twice")
    return fields


def _lock(path: Path, file: io.FileIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TableError(f"{path} is being written already; wait for that to end, or name another") from error


def _quarantine_torn_tail(path: Path, file: io.FileIO) -> None:
    with open(file.fileno(), "rb", closefd=False) as reader:
        end = sum(map(len, _whole_lines(path, reader)))
        reader.seek(end)
        torn = reader.read()
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
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with io.FileIO(temporary, "x") as file:
            write_durably(file, data)
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
