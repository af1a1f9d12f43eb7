"""What goes over a stream: a shell command (protocol shell_v2) and files (protocol sync).

Formats: system/core/adb/shell_protocol.h and SYNC.TXT of AOSP. All that comes from the phone is bounded
before it is kept.
"""

import stat
import struct
from dataclasses import dataclass, field

from devices._adb.link import Deadline, EndOfStreamError, Stream
from devices._errors import DeviceError, DeviceLostError
from devices.foundation.text import one_line

#: Most that a command may write, both outputs together.
MAX_OUTPUT_BYTES = 16 << 20

_SHELL_HEADER = struct.Struct("<BI")
_STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = 1, 2, 3, 4

_SYNC_HEADER = struct.Struct("<4sI")
_CHUNK_BYTES = 64 << 10
_CHUNKS_AT_ONCE = 15  # with their headers just below the largest packet of ADB
_MAX_REASON_BYTES = 4096

#: When files say that they were written: no clock is asked that somebody may set.
_MODIFIED_S = 0


@dataclass
class ShellOutput:
    """What a command has written so far.

    Attributes:
        stdout: Not trusted.
        stderr: Not trusted.
    """

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)


def read_shell(stream: Stream, output: ShellOutput, deadline: Deadline) -> int:
    """Follow a command to its end with an empty standard input; return its exit status.

    Args:
        stream: That of the service ``shell,v2``.
        output: Filled as it comes.
        deadline: When it must have ended.

    Raises:
        DeviceError: It wrote more than 16 MiB.
        DeviceLostError: The stream ended, or turned to garbage, before an exit status came.
    """
    try:
        stream.write(_SHELL_HEADER.pack(_CLOSE_STDIN, 0), deadline)
        while True:
            kind, n_bytes = _SHELL_HEADER.unpack(stream.read(_SHELL_HEADER.size, deadline))
            if len(output.stdout) + len(output.stderr) + n_bytes > MAX_OUTPUT_BYTES:
                raise DeviceError(f"a command wrote more than {MAX_OUTPUT_BYTES >> 20} MiB and was killed")
            content = stream.read(n_bytes, deadline)
            if kind == _EXIT and n_bytes == 1:
                return content[0]
            if kind == _STDOUT:
                output.stdout += content
            elif kind == _STDERR:
                output.stderr += content
            else:
                raise DeviceLostError("the phone's shell answers with garbage; connect again")
    except EndOfStreamError as error:
        raise DeviceLostError(
            "the shell ended without an exit status: the phone went away, or ended it"
        ) from error


def send_file(stream: Stream, content: bytes, path: str, mode: int, deadline: Deadline) -> None:
    """Write ``content`` to the phone's file ``path``.

    Args:
        stream: That of the service ``sync:``.
        content: All of it.
        path: Absolute.
        mode: Permission bits.
        deadline: When the phone must have it.

    Raises:
        DeviceError: The phone refuses, or is full.
        DeviceLostError: The stream ended before the phone confirmed.
    """
    name = f"{path},{stat.S_IFREG | mode}".encode()
    step = _CHUNK_BYTES * _CHUNKS_AT_ONCE
    try:
        stream.write(_SYNC_HEADER.pack(b"SEND", len(name)) + name, deadline)
        for start in range(0, len(content), step):
            stream.write(_framed(memoryview(content)[start : start + step]), deadline)
        stream.write(_SYNC_HEADER.pack(b"DONE", _MODIFIED_S), deadline)
    except EndOfStreamError:
        pass  # it gave up early; its answer has the reason
    try:
        answer, n_bytes = _SYNC_HEADER.unpack(stream.read(_SYNC_HEADER.size, deadline))
        if answer != b"OKAY":
            raise _refusal("write", path, answer, n_bytes, stream, deadline)
    except EndOfStreamError as error:
        raise DeviceLostError(f"the phone did not confirm {path[:80]}; connect and push again") from error


def _framed(content: memoryview) -> bytes:
    parts: list[bytes | memoryview] = []
    for start in range(0, len(content), _CHUNK_BYTES):
        chunk = content[start : start + _CHUNK_BYTES]
        parts += (_SYNC_HEADER.pack(b"DATA", len(chunk)), chunk)
    return b"".join(parts)


def receive_file(stream: Stream, path: str, max_bytes: int, deadline: Deadline) -> bytes:
    """Return the content of the phone's file ``path``.

    Args:
        stream: That of the service ``sync:``.
        path: Absolute.
        max_bytes: Most that is taken.
        deadline: When it must be here.

    Raises:
        DeviceError: There is no such file, or it is larger than ``max_bytes``.
        DeviceLostError: The stream ended, or turned to garbage, before the file did.
    """
    content = bytearray()
    name = path.encode()
    try:
        stream.write(_SYNC_HEADER.pack(b"RECV", len(name)) + name, deadline)
        while True:
            answer, n_bytes = _SYNC_HEADER.unpack(stream.read(_SYNC_HEADER.size, deadline))
            if answer == b"DONE":
                return bytes(content)
            if answer != b"DATA" or n_bytes > _CHUNK_BYTES:
                raise _refusal("read", path, answer, n_bytes, stream, deadline)
            if len(content) + n_bytes > max_bytes:
                raise DeviceError(
                    f"{path[:80]} on the phone is larger than {max_bytes} bytes; it is not what was made"
                )
            content += stream.read(n_bytes, deadline)
    except EndOfStreamError as error:
        raise DeviceLostError(f"{path[:80]} did not come whole; connect and pull again") from error


def _refusal(
    verb: str, path: str, answer: bytes, n_bytes: int, stream: Stream, deadline: Deadline
) -> DeviceError:
    if answer != b"FAIL" or n_bytes > _MAX_REASON_BYTES:
        return DeviceLostError("the phone's file service answers with garbage; connect again")
    reason = stream.read(n_bytes, deadline)
    remedy = "; free space there" if b"No space left" in reason else ""
    return DeviceError(f"the phone does not {verb} {path[:80]}: {one_line(reason)}{remedy}")
