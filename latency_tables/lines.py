"""Lines of a journal: one JSON object each, framed so that damage shows, and what can have happened to one.

A line is ``LENGTH CRC32 JSON``: the bytes of the JSON in decimal, their CRC-32 in eight hexadecimal digits,
the JSON in ASCII. It ends in a line feed, and no other control character occurs in it.
"""

import json
import os
import re
import shlex
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from latency_tables.errors import DamagedFileError, EditedFileError, TableError

#: The JSON object of a line: its fields by name.
Fields = Mapping[str, Any]

#: Longest line: what a reader will hold in memory. A line with 100 000 samples takes 2.5 MB.
MAX_LINE_BYTES = 16 << 20

#: What editors put before a text in UTF-8, and before one in UTF-16.
MARK = b"\xef\xbb\xbf"
MARKS_16 = (b"\xff\xfe", b"\xfe\xff")

_HEAD = re.compile(rb"([0-9]{1,8}) ([0-9a-f]{8}) ")
_PART_OF_HEAD = re.compile(rb"(?:[0-9]{1,8}(?: [0-9a-f]{0,8})?)?\0*")

#: What editors add and take away around a line.
BLANKS = b" \t\r\n"


def encoded(fields: Fields) -> bytes:
    """Return the line that holds ``fields``.

    Raises:
        TableError: They are not JSON, or too many.
    """
    try:
        line = framed(json.dumps(fields, allow_nan=False, separators=(",", ":")).encode("ascii"))
    except (TypeError, ValueError, RecursionError) as error:
        raise TableError(f"a line that cannot be written as JSON: {error}") from error
    if len(line) > MAX_LINE_BYTES:
        raise TableError(f"a line of {len(line)} bytes; at most {MAX_LINE_BYTES} are written")
    return line


def framed(payload: bytes) -> bytes:
    """Return ``payload`` as a line, with its length and its checksum."""
    return b"%d %08x %b\n" % (len(payload), zlib.crc32(payload), payload)


def is_whole(line: bytes) -> bool:
    """Tell whether length, checksum and the line feed at the end hold."""
    return line == framed(_payload(line))


def is_torn(tail: bytes) -> bool:
    """Tell whether the end of a file is the beginning of a line, as a crash leaves it: without a line feed.

    A crash may also leave zeros, for what had a place on the disk but was not written there yet.
    """
    if tail.endswith(b"\n"):  # so it is whole, or damaged: in its length, for one
        return False
    head = _HEAD.match(tail)
    if head is None:
        return _PART_OF_HEAD.fullmatch(tail) is not None
    return len(tail) <= MAX_LINE_BYTES and len(tail) - head.end() < int(head[1])


def parsed(path: Path, number: int, line: bytes) -> Fields:
    """Return the fields of a line that is whole.

    Raises:
        DamagedFileError: They are not a JSON object.
    """
    try:
        fields = _DECODER.decode(_payload(line).decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(path, f"line {number}", f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise DamagedFileError(path, f"line {number}", "not a JSON object")
    return fields


def damage(path: Path, number: int, line: bytes) -> DamagedFileError:
    """Return the error of a line that does not hold, with the command that helps where one does."""
    where, remedy = f"line {number}", f"run `{repair_command(path)}` to see what can be kept"
    edit = edit_of(line)
    if edit:
        return EditedFileError(path, where, edit, remedy=remedy)
    what = "its length or checksum does not hold"
    return DamagedFileError(path, where, what, remedy="" if number == 1 else remedy)


def repair_command(path: Path) -> str:
    """Return the command that shows what can be kept of a damaged file, ready to be pasted."""
    name = str(path)
    return shlex.join(["cars-hw", "table", "repair", os.path.join(".", name) if name[0] == "-" else name])


def edit_of(line: bytes) -> str:
    """Return what an editor did to a line whose record holds; empty where it does not hold."""
    if line.startswith(MARKS_16):
        return "it begins with the mark of UTF-16"
    core = line.removeprefix(MARK).strip(BLANKS)
    if not is_whole(core.split(b"\r", 1)[0] + b"\n"):
        return ""
    if line.startswith(MARK):
        return "it begins with a byte-order mark"
    if b"\r" in core or line.endswith(b"\r"):
        return "it ends in CR instead of LF"
    if core == line:
        return "its line feed is missing"
    return "it ends in CRLF instead of LF" if line.endswith(b"\r\n") else "there are blanks around it"


def _payload(line: bytes) -> bytes:
    return line.removesuffix(b"\n").split(b" ", 2)[-1]


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _distinct(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field occurs twice")
    return fields


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_distinct)
