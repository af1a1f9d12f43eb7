"""Phones through the adb server, by adbutils: whatever ``adb devices`` prints, wireless ones too.

The server is started where none runs, as adb itself does, and never killed.
"""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import ModuleType

from devices._adb.link import Deadline, EndOfStreamError, Link, Stream
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices.foundation.text import one_line

_CONNECT_S = 5.0
_START_S = 20.0
_PIECE_BYTES = 1 << 20
_SHORTEST_S = 0.001  # 0 would mean not to wait at all

_VERSION = re.compile(r"Android Debug Bridge version \d+\.\d+\.(\d{1,4})")
_NETWORK_SERIAL = re.compile(r"[A-Za-z0-9._-]+:\d{1,5}")

#: States of a phone that cannot be used: how they begin, what to do.
_REMEDIES = {
    "unauthorized": "unlock it and accept this computer's key; no question there? revoke USB debugging "
    "authorizations in its developer options and plug it in again",
    "authorizing": "unlock it and accept this computer's key",
    "offline": "plug it in again, or switch its debugging off and on",
    "connecting": "wait, then repeat",
    "no permissions": "install Debian's android-sdk-platform-tools-common (udev rules), join the group "
    "plugdev, and plug it in again",
    "recovery": "start Android on it",
    "sideload": "start Android on it",
    "bootloader": "start Android on it",
    "unknown": "plug it in again",
}


#: What the server, or adbutils where the server closes the connection without a word, report of a lost phone.
_LOST = ("not found", "offline", "closed", "Unknown data: b''")

#: States that may pass by themselves.
_PASSING = ("offline", "connecting", "authorizing")


@dataclass(frozen=True)
class ListedDevice:
    """A phone that the adb server knows.

    Attributes:
        serial: As ``adb devices`` prints it; not trusted.
        state: ``"device"`` when it can be used, or what the server reports, in one line: ``"unauthorized"``,
            ``"offline"``, ``"no permissions (...)"``.
    """

    serial: str
    state: str

    def remedy(self) -> str:
        """Return what makes the phone usable; empty when it is."""
        if self.state == "device":
            return ""
        known = (remedy for state, remedy in _REMEDIES.items() if self.state.startswith(state))
        return next(known, "plug it in again")


def list_devices() -> list[ListedDevice]:
    """List the phones that the adb server knows, those too that cannot be used.

    Raises:
        DeviceError: adbutils or the server is missing, or another version of adb would end it.
    """
    _demand_one_version()
    lines = _ask("host:devices").splitlines()
    pairs = (line.partition("\t") for line in lines)
    return [ListedDevice(one_line(serial), one_line(state)) for serial, _, state in pairs]


class ServerLink(Link):
    """A phone that the adb server speaks to.

    Args:
        serial: As ``adb devices`` prints it.
    """

    def __init__(self, serial: str) -> None:
        self._serial = serial

    def open(self, service: str, deadline: Deadline) -> Stream:
        return _ServerStream(_requested((f"host:transport:{self._serial}", service), deadline))

    def reconnect(self) -> None:
        if _NETWORK_SERIAL.fullmatch(self._serial):
            _ask(f"host:connect:{self._serial}")  # a server that was started anew has forgotten it
        demand_usable(self._serial, list_devices())
        if "shell_v2" not in _ask(f"host-serial:{self._serial}:features").split(","):
            raise DeviceError(
                f"{self._serial} does not know shell_v2, without which no exit code comes back: Android 7 or "
                "newer is needed"
            )

    def close(self) -> None:
        """Do nothing: each stream is a connection to the server of its own."""


def demand_usable(serial: str, listed: Sequence[ListedDevice]) -> None:
    """Refuse a phone that cannot be used.

    Args:
        serial: The phone.
        listed: What the server knows.

    Raises:
        DeviceLostError: It is not among them, or not yet.
        DeviceError: Its state forbids it; the message names the remedy.
    """
    for device in listed:
        if device.serial == serial:
            if device.state != "device":
                kind = DeviceLostError if device.state in _PASSING else DeviceError
                raise kind(f"{serial} is {device.state}: {device.remedy()}")
            return
    known = ", ".join(device.serial for device in listed) or "none"
    raise DeviceLostError(
        f"the adb server knows no {serial!r} (it knows: {known}); plug it in, or `adb connect` it"
    )


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
    with closing(_ServerStream(_requested((request,), deadline))) as stream:
        try:
            n_bytes = int(stream.read(4, deadline), 16)
            return stream.read(n_bytes, deadline).decode("utf-8", "replace")
        except (EndOfStreamError, ValueError) as error:
            raise DeviceError("what answers there is no adb server; see ANDROID_ADB_SERVER_PORT") from error


def _requested(requests: Sequence[str], deadline: Deadline) -> socket.socket:
    """Connect to the server, starting it where none runs, and make ``requests``; return the connection."""
    client = _adbutils().AdbClient()
    with _failures(deadline):
        _start_where_none_runs(client.host, client.port)
        connection = client.make_connection(timeout=max(deadline.left_s(), _SHORTEST_S))
        try:
            for request in requests:
                connection.send_command(request)
                connection.check_okay()
        except BaseException:
            connection.conn.close()
            raise
    opened: socket.socket = connection.conn  # its own close() sleeps
    return opened


def _start_where_none_runs(host: str, port: int) -> None:
    """Start the server as adb does; adbutils would with adb's words on our output, and a socket left open."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except ConnectionRefusedError as error:
        start = [_adbutils().adb_path(), "start-server"]
        started = subprocess.run(start, capture_output=True, timeout=_START_S, check=False)  # noqa: S603
        if started.returncode != 0:
            reason = one_line(
                started.stderr.strip().splitlines()[-1] if started.stderr.strip() else b"no reason given"
            )
            raise DeviceError(
                f"no adb server runs, and none starts: {reason}; see `adb start-server`"
            ) from error


@contextmanager
def _failures(deadline: Deadline) -> Iterator[None]:
    """Turn the errors of adbutils and of sockets into ours."""
    adbutils = _adbutils()
    try:
        yield
    except (TimeoutError, adbutils.AdbTimeout, subprocess.TimeoutExpired) as error:
        raise DeviceTimeoutError(f"no answer from the adb server within {deadline.timeout_s:g} s") from error
    except adbutils.AdbError as error:
        raise _refusal(str(error)) from error
    except OSError as error:
        raise DeviceLostError(f"the connection to the adb server broke: {error}") from error


def _refusal(reason: str) -> DeviceError:
    """Return what the server's refusal means."""
    text = one_line(reason.splitlines()[0] if reason else "no reason given")
    if any(sign in text for sign in _LOST):
        return DeviceLostError(f"the adb server lost the phone: {text}; plug it in again")
    remedy = next((remedy for state, remedy in _REMEDIES.items() if state in text), "see `adb devices`")
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
