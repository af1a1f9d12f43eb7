"""Phones through the adb server: whatever ``adb devices`` prints, wireless ones too.

The server is started where none runs, as adb itself does, by the adb that adbutils finds, and never killed.
"""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from types import ModuleType

from devices._adb.link import Deadline, EndOfStreamError, Link, Stream
from devices._adb.listing import (
    REMEDIES,
    ListedDevice,
    are_ambiguous,
    demand_usable,
    is_on_network,
    parsed,
    told_apart,
    transport_id,
)
from devices._adb.server_address import ServerAddress, server_address
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices.foundation.text import one_line

_CONNECT_S = 5.0
_START_S = 20.0
_PIECE_BYTES = 1 << 20
_SHORTEST_S = 0.001  # 0 would mean not to wait at all

_VERSION = re.compile(r"Android Debug Bridge version \d+\.\d+\.(\d{1,4})")

#: What the server reports of a lost phone.
_LOST = ("not found", "offline", "closed")


def list_devices() -> list[ListedDevice]:
    """List the phones that the adb server knows, those too that cannot be used.

    Raises:
        DeviceError: adbutils or the server is missing, or another version of adb would end it.
    """
    _demand_one_version()
    listed = parsed(_ask("host:devices"))
    if not are_ambiguous(listed):
        return listed
    try:
        long_listing = _ask("host:devices-l")
    except DeviceLostError:
        raise
    except DeviceError:  # a server from before there were numbers
        return listed
    return told_apart(listed, long_listing)


class ServerLink(Link):
    """A phone that the adb server speaks to.

    Args:
        address: Its serial, as ``adb devices`` prints it, or ``transport_id:N``, as ``adb devices -l`` does.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._number = transport_id(address)

    def open(self, service: str, deadline: Deadline) -> Stream:
        way = f"transport-id:{self._number}" if self._number else f"transport:{self._address}"
        return _requested((f"host:{way}", service), deadline)

    def reconnect(self) -> None:
        listed = list_devices()
        is_known = any(device.serial == self._address for device in listed)
        if is_on_network(self._address) and not is_known:
            _ask(f"host:connect:{self._address}")  # a server that was started anew has forgotten it
            listed = list_devices()
        demand_usable(self._address, listed)
        numbers = (device.transport_id for device in listed if device.serial == self._address)
        self._number = transport_id(self._address) or next(numbers, 0)
        of = f"host-transport-id:{self._number}" if self._number else f"host-serial:{self._address}"
        if "shell_v2" not in _ask(f"{of}:features").split(","):
            raise DeviceError(
                f"{self._address} does not know shell_v2, without which no exit code comes back: Android 7 "
                "or newer is needed"
            )

    def close(self) -> None:
        """Do nothing: each stream is a connection to the server of its own."""


class _ServerStream(Stream):
    """A connection to the server that leads on to a service of the phone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()

    def read(self, n: int, deadline: Deadline) -> bytes:
        with _failures(deadline):
            while len(self._received) < n:
                self._connection.settimeout(max(deadline.left_s(), _SHORTEST_S))
                piece = self._connection.recv(max(n - len(self._received), _PIECE_BYTES))
                if not piece:
                    raise EndOfStreamError
                self._received += piece
        content = bytes(memoryview(self._received)[:n])
        del self._received[:n]
        return content

    def write(self, content: bytes | memoryview, deadline: Deadline) -> None:
        with _failures(deadline):
            self._connection.settimeout(max(deadline.left_s(), _SHORTEST_S))
            try:
                self._connection.sendall(content)
            except BrokenPipeError as error:
                raise EndOfStreamError from error

    def close(self) -> None:
        self._connection.close()


def _ask(request: str) -> str:
    """Return the server's one answer to ``request``."""
    deadline = Deadline(_CONNECT_S)
    with closing(_requested((request,), deadline)) as stream:
        return _block(stream, deadline)


def _requested(requests: Sequence[str], deadline: Deadline) -> "_ServerStream":
    """Connect to the server, starting it where none runs, and make ``requests``; return the connection."""
    address, adbutils = server_address(), _adbutils()
    with _failures(deadline):
        stream = _ServerStream(_connection(address, adbutils, deadline))
    try:
        for request in requests:
            content = request.encode()
            stream.write(b"%04x" % len(content) + content, deadline)
            _demand_okay(stream, deadline)
    except EndOfStreamError as error:
        stream.close()
        raise DeviceLostError(
            "the adb server lost the phone: it closed the connection; plug it in again"
        ) from error
    except BaseException:
        stream.close()
        raise
    return stream


def _demand_okay(stream: Stream, deadline: Deadline) -> None:
    status = stream.read(4, deadline)
    if status == b"FAIL":
        raise _refusal(_block(stream, deadline))
    if status != b"OKAY":
        raise _no_server()


def _block(stream: Stream, deadline: Deadline) -> str:
    """Return a text that follows its length."""
    try:
        n_bytes = int(stream.read(4, deadline), 16)
        return stream.read(n_bytes, deadline).decode("utf-8", "replace")
    except (EndOfStreamError, ValueError) as error:
        raise _no_server() from error


def _no_server() -> DeviceError:
    return DeviceError(
        f"what answers at {server_address()} is no adb server; see ANDROID_ADB_SERVER_PORT "
        "and ADB_SERVER_SOCKET"
    )


def _connection(address: ServerAddress, adbutils: ModuleType, deadline: Deadline) -> socket.socket:
    """Connect; start the server where none runs, as adb does: on this machine only."""
    timeout_s = min(_CONNECT_S, max(deadline.left_s(), _SHORTEST_S))
    try:
        return address.connected(timeout_s)
    except (ConnectionRefusedError, FileNotFoundError, socket.gaierror) as error:
        if not address.is_here:
            raise DeviceError(
                f"no adb server answers at {address}: {error.strerror}; start it there, or unset "
                f"{address.source}"
            ) from error
        _start(adbutils, error)
    return address.connected(max(deadline.left_s(), _SHORTEST_S))


def _start(adbutils: ModuleType, cause: OSError) -> None:
    """Start the server as adb does; adbutils would with adb's words on our output, and a socket left open."""
    start = [adbutils.adb_path(), "start-server"]
    started = subprocess.run(start, capture_output=True, timeout=_START_S, check=False)  # noqa: S603
    if started.returncode != 0:
        reason = one_line(
            started.stderr.strip().splitlines()[-1] if started.stderr.strip() else b"no reason given"
        )
        raise DeviceError(f"no adb server runs, and none starts: {reason}; see `adb start-server`") from cause


@contextmanager
def _failures(deadline: Deadline) -> Iterator[None]:
    """Turn the errors of sockets and of starting a server into ours."""
    try:
        yield
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise DeviceTimeoutError(f"no answer from the adb server within {deadline.timeout_s:g} s") from error
    except OSError as error:
        raise DeviceLostError(f"the connection to the adb server broke: {error}") from error


def _refusal(reason: str) -> DeviceError:
    """Return what the server's refusal means."""
    text = one_line(reason.splitlines()[0] if reason else "no reason given")
    if any(sign in text for sign in _LOST):
        return DeviceLostError(f"the adb server lost the phone: {text}; plug it in again")
    remedy = next((remedy for state, remedy in REMEDIES.items() if state in text), "see `adb devices`")
    return DeviceError(f"the adb server refuses: {text}; {remedy}")


def _adbutils() -> ModuleType:
    try:
        import adbutils
    except ImportError as error:
        raise DeviceError(
            "phones behind an adb server need adbutils; install it: pip install 'cars-hw[adb-server]', or "
            "name the phone directly: android:tcp:HOST:PORT, android:usb:SERIAL"
        ) from error
    except ValueError as error:  # it reads the environment when it is imported
        raise DeviceError("ANDROID_ADB_SERVER_PORT is not a number; correct or unset it") from error
    module: ModuleType = adbutils
    return module


def _demand_one_version() -> None:
    """Refuse a server that the next call of the installed adb would end, with all that goes through it."""
    adb = shutil.which("adb")
    if adb is None:
        return
    try:
        answer = subprocess.run([adb, "version"], capture_output=True, timeout=_CONNECT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(
            f"{adb} does not report its version ({type(error).__name__}); install it anew"
        ) from error
    installed = _VERSION.search(answer.stdout.decode("utf-8", "replace"))
    running = _ask("host:version")
    if installed is not None and int(installed[1]) != int(running, 16):
        raise DeviceError(
            f"the adb server is version {int(running, 16)}, but {adb} is {installed[1]}: each ends the "
            "other's connections; keep one adb on PATH, and let its next call start the server anew"
        )
