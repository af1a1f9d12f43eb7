"""Repair of a damaged journal: every record whose length and checksum hold is kept, and nothing else."""

import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from devices.foundation import read_regular, replace_file, sync_folder, write_durably
from latency_tables.errors import DamagedFileError, TableError
from latency_tables.journal import unwritten
from latency_tables.lines import (
    BLANKS,
    MARK,
    MARKS_16,
    MAX_LINE_BYTES,
    edit_of,
    is_torn,
    is_whole,
    parsed,
    repair_command,
)

#: The largest file that is repaired; it is held in memory.
MAX_FILE_BYTES = 1 << 30

#: Where a record may begin, within a line that two records share.
_HEAD = re.compile(rb"(?=([0-9]{1,8}) ([0-9a-f]{8}) )")


@dataclass(frozen=True)
class LostLine:
    """A line, or a part of one, of which nothing can be kept.

    Attributes:
        number: Of the line in the damaged file, from 1.
        size_bytes: How much of it goes.
        reason: What is wrong with it.
    """

    number: int
    size_bytes: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.size_bytes} bytes go: {self.reason}"


@dataclass(frozen=True)
class Repair:
    """What a repair keeps and what goes.

    Attributes:
        path: The file.
        kept: Records that are kept.
        lost: What goes, in order.
        mended: What is changed on lines whose records are kept, with the number of lines.
        old: Where the file is that was damaged; ``None`` where nothing was written.
    """

    path: Path
    kept: int
    lost: tuple[LostLine, ...]
    mended: Mapping[str, int]
    old: Path | None = None

    @property
    def is_needed(self) -> bool:
        """Whether the file differs from what the repair would leave."""
        return bool(self.lost or self.mended)

    @property
    def command(self) -> str:
        """The command that writes it, ready to be pasted."""
        return f"{repair_command(self.path)} --write"


def repair_table(path: str | Path, *, write: bool = False) -> Repair:
    """Find out what of a damaged table can be kept; with ``write``, leave that in its place.

    The old file stays beside it, as ``PATH.damaged``, or ``PATH.damaged.2`` where there is one already.

    Args:
        path: The table's file.
        write: Replace the file. Without it nothing is changed.

    Raises:
        TableError: The file cannot be read or replaced, or another process is writing it.
        DamagedFileError: Its first record, the conditions of all others, does not hold.
    """
    path = Path(path)
    with unwritten(path) if write else nullcontext():
        try:
            content = read_regular(path, MAX_FILE_BYTES)
        except OSError as error:
            raise TableError(f"{path} cannot be read: {error.strerror}") from error
        records, found = _sifted(path, content)
        if not write or not found.is_needed:
            return found
        try:
            old = _kept_beside(path, content)
            replace_file(path, b"".join(records))
        except OSError as error:
            raise TableError(f"{path} cannot be repaired: {error.strerror}; it is as it was") from error
    return replace(found, old=old)


def _sifted(path: Path, content: bytes) -> tuple[list[bytes], Repair]:
    """Return the lines to keep, in order, and what becomes of the others."""
    records: list[bytes] = []
    lost: list[LostLine] = []
    mended: Counter[str] = Counter()
    if content.startswith(MARKS_16):
        content = _from_utf_16(path, content)
        mended["its text was in UTF-16"] = 1
    for number, line in enumerate(io.BytesIO(content), start=1):
        kept, edit, gone = _of_line(path, number, line)
        text = line.removeprefix(MARK).strip(BLANKS)
        if not records and text and not (kept and text.startswith(kept[0][:-1])):
            raise DamagedFileError(path, f"line {number}", "the conditions of all records do not hold")
        records += kept
        mended.update([edit] if edit else [])
        lost += [gone] if gone else []
    if not records:
        raise DamagedFileError(path, "line 1", "there is no record in it")
    return records, Repair(path, len(records), tuple(lost), mended)


def _from_utf_16(path: Path, content: bytes) -> bytes:
    try:
        return content.decode("utf-16").encode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedFileError(path, f"byte {error.start}", "it begins as UTF-16, but is not") from error


def _of_line(path: Path, number: int, line: bytes) -> tuple[list[bytes], str, LostLine | None]:
    """Return the records of one line, what an editor did to it, and what of it goes."""
    if _is_record(path, line):
        return [line], "", None
    pieces = [piece + b"\n" for piece in line.removeprefix(MARK).strip(BLANKS).split(b"\r")]
    if pieces == [b"\n"]:
        return [], "it is empty", None
    if all(_is_record(path, piece) for piece in pieces):
        return pieces, edit_of(line), None
    if not line.endswith(b"\n") and is_torn(line):
        reason = "a crash cut it while it was written; nobody was promised it"
        return [], "", LostLine(number, len(line), reason)
    kept = list(_within(path, line))
    reason = f"{len(kept)} whole records in it are kept" if kept else "its length or checksum does not hold"
    return kept, "", LostLine(number, max(1, len(line) - sum(map(len, kept))), reason)


def _within(path: Path, line: bytes) -> Iterator[bytes]:
    """Yield the records of a line that lost the line feeds between them.

    A record's own text holds none: its quotes would have a backslash before them.
    """
    end = -1
    for head in _HEAD.finditer(line):
        stop = head.end(2) + 1 + int(head[1])
        if head.start() <= end or stop > len(line):
            continue
        record = line[head.start() : stop] + b"\n"
        # An empty object has no quotes: it may stand in another record's text.
        if _is_record(path, record) and (head.start() == end + 1 or not record.endswith(b" {}\n")):
            yield record
            end = stop


def _is_record(path: Path, line: bytes) -> bool:
    if len(line) > MAX_LINE_BYTES or not is_whole(line):
        return False
    try:
        parsed(path, 0, line)
    except DamagedFileError:
        return False
    return True


def _kept_beside(path: Path, content: bytes) -> Path:
    """Write ``content`` to a new file beside ``path``, and return where."""
    names = (path.with_name(f"{path.name}.damaged{'' if n == 1 else f'.{n}'}") for n in count(1))
    old = next(name for name in names if not os.path.lexists(name))
    with io.FileIO(old, "x") as file:
        write_durably(file, content)
    sync_folder(path.parent)
    return old
