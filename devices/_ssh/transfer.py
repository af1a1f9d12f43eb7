"""Files to a board, by the system's ``sftp`` over the connection that is there, and back, up to a size."""

import secrets

from devices._errors import DeviceError, DeviceLostError
from devices._ssh.connection import Connection
from devices.foundation.text import one_line

#: Slowest transfer that is waited for, in bytes a second: a wireless board at the edge of its network.
_SLOWEST = 100_000

#: Most that sftp says, in bytes.
_MOST_BYTES = 1 << 20

#: Prints what the file $1 holds, and one byte more than $2 at most.
_READ = """
[ -f "$1" ] || { echo "there is no such file" >&2; exit 1; }
head -c "$(($2 + 1))" "$1"
"""


class UnwrittenError(DeviceError):
    """A file that a board does not take."""


def push(connection: Connection, content: bytes, path: str) -> None:
    """Write ``content`` to the file ``path``, connecting anew once where the connection breaks.

    Raises:
        UnwrittenError: The board refuses the file, or is full; some of it may be there.
        DeviceError: The board was lost, or this machine's disk is full.
    """
    local = connection.folder / secrets.token_hex(8)
    try:
        try:
            local.write_bytes(content)
        except OSError as error:
            raise DeviceError(
                f"{local} cannot be written: {error.strerror}; free space here, or set TMPDIR"
            ) from error
        connection.retried(lambda: _put(connection, local.name, path, _seconds(len(content))))
    finally:
        local.unlink(missing_ok=True)


def pull(connection: Connection, path: str, max_bytes: int) -> bytes:
    """Return the content of the file ``path``, of which no more is sent than ``max_bytes`` and one.

    Raises:
        DeviceError: There is no such file, it is larger than ``max_bytes``, or the board was lost.
    """
    done = connection.answer(
        _READ, path, str(max_bytes), timeout_s=_seconds(max_bytes), most_bytes=max_bytes + 1 + _MOST_BYTES
    )
    if done.exit_status != 0:
        said = one_line(done.stderr) or "it cannot be read"
        raise DeviceError(f"{one_line(path)} cannot be pulled from the board: {said}")
    if len(done.stdout) > max_bytes:
        raise DeviceError(f"{one_line(path)} on the board has more than {max_bytes} bytes")
    return done.stdout


def _put(connection: Connection, name: str, path: str, timeout_s: float) -> None:
    channel = connection.client("sftp", ["-b-", f"-oControlPath={connection.socket}"])
    try:
        channel.send(f"put {name} {_quoted(path)}\n".encode(errors="surrogateescape"))
        channel.move_until(lambda: not channel.unsent_bytes, timeout_s)
        channel.end_input()
        channel.run(timeout_s, _MOST_BYTES)
    finally:
        channel.close()
    if channel.exit_status == 0:
        return
    refusal = connection.lost(bytes(channel.errors))
    if not (connection.is_alive() and isinstance(refusal, DeviceLostError)):
        raise refusal
    said = one_line(bytes(channel.errors).strip().rpartition(b"\n")[2]) or "sftp says nothing"
    raise UnwrittenError(f"{path} cannot be written on {connection.host} ({said})")


def _quoted(path: str) -> str:
    """Return a path as sftp reads one word."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _seconds(size_bytes: int) -> float:
    return 60.0 + size_bytes / _SLOWEST
