"""Messages over a pipe: a JSON object and raw bytes, each with its length ahead, bounded and checked."""

import json
import signal
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from profilers.errors import GarbledOutputError

#: What every message begins with, then the lengths of its JSON and of its bytes.
_HEAD = struct.Struct(">4sIQ")
_MARK = b"CHW1"

#: What a worker's pipe of progress holds: numbers of what it began to load or run.
PLACE = struct.Struct("=q")

#: A round of blocks is the longest text: some 100 bytes a block.
_MOST_TEXT_BYTES = 1 << 24

#: A model, of at most 1 GiB, and what torch computes of it.
_MOST_CONTENT_BYTES = 1 << 32

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes:
        fields: Its JSON object.
        content: Its raw bytes.
    """

    fields: Mapping[str, Any]
    content: bytes = b""


def send(
    write: Callable[[bytes], object], fields: Mapping[str, object], contents: Sequence[bytes] = ()
) -> None:
    """Write a message.

    Args:
        write: Takes all of the bytes that it is given.
        fields: Its JSON object.
        contents: Its raw bytes, in pieces.
    """
    text = json.dumps(fields).encode()
    write(_HEAD.pack(_MARK, len(text), sum(map(len, contents))) + text)
    for content in contents:
        write(content)


def receive(read: Callable[[int], bytes], *, most_content_bytes: int = _MOST_CONTENT_BYTES) -> Message | None:
    """Read a message; ``None`` where the pipe has ended before it began.

    Args:
        read: Returns up to so many bytes, and none at the end.
        most_content_bytes: The most raw bytes that it may have.

    Raises:
        GarbledOutputError: It is cut, too long, or no message.
    """
    head = _exactly(read, _HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size:
        raise GarbledOutputError("a message was cut")
    mark, text_bytes, content_bytes = _HEAD.unpack(head)
    if mark != _MARK or text_bytes > _MOST_TEXT_BYTES or content_bytes > most_content_bytes:
        raise GarbledOutputError(f"{head.hex()} is not the beginning of a message")
    text, content = _exactly(read, text_bytes), _exactly(read, content_bytes)
    if len(text) < text_bytes or len(content) < content_bytes:
        raise GarbledOutputError("a message was cut")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GarbledOutputError("a message has no JSON") from error
    if not isinstance(fields, dict):
        raise GarbledOutputError(f"a message has {text[:80]!r} in the place of an object")
    return Message(fields, content)


def signal_name(number: int) -> str:
    """Return the name of a signal and what it means: how a process may end that answers no more."""
    try:
        return f"{signal.Signals(number).name}, {signal.strsignal(number)}"
    except ValueError:
        return f"signal {number}"


def _exactly(read: Callable[[int], bytes], n: int) -> bytes:
    """Return ``n`` bytes, or fewer where the pipe ends before."""
    found = bytearray()
    while len(found) < n:
        piece = read(min(_PIECE_BYTES, n - len(found)))
        if not piece:
            break
        found += piece
    return bytes(found)
