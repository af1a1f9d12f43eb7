"""The ADB transports: shell, push and pull on an Android phone; no policy.

An address chooses the transport: ``tcp:HOST:PORT`` and ``usb:SERIAL`` speak to the phone directly (no adb
server needed), ``SERIAL`` goes through the adb server (whatever ``adb devices`` prints), and an empty one
means the only phone of that server.
"""

import logging
import os
import random
import re
import secrets
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Self

from devices._adb.direct import DirectLink, TcpCarrier
from devices._adb.link import Deadline, Link
from devices._adb.listing import LONGEST_SERIAL, choices, demand_usable
from devices._adb.server import ServerLink, list_devices
from devices._adb.services import ShellOutput, read_shell, receive_file, send_file
from devices._adb.usb import UsbCarrier
from devices._device import Completed
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError

logger = logging.getLogger(__name__)

#: Raw: what the command writes arrives as it is, both outputs apart, and its exit status with them.
_SHELL = "shell,v2,raw:"

_HOST_AND_PORT = re.compile(
    r"(?:(?P<host>[A-Za-z0-9._-]{1,253})|\[(?P<ipv6>[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,15})?)\]):(?P<port>[0-9]{1,5})"
)
_MAX_PATH_BYTES = 1024

#: An adb server takes requests of at most 65535 bytes, and we add to the command.
_MAX_COMMAND_BYTES = 65_000

_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.5
_KILL_S = 1.5


class Transport:
    """One connection to a phone, over a link. A context manager: leaving it closes the connection.

    Whatever comes from the phone is bytes that nobody trusts, and bounded. Not thread-safe: one owner.

    Args:
        link: The way to the phone; closed by the transport.
        pause: Waits so many seconds; for the pauses between attempts to reconnect.
    """

    def __init__(self, link: Link, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._link = link
        self._pause = pause
        self._left_running: list[str] = []

    def shell(self, command: str, *, timeout_s: float) -> Completed:
        """Run one command line in the phone's ``sh`` to its end; standard input is empty.

        Args:
            command: Already quoted: see ``quoted``.
            timeout_s: After that the program and all that it started are killed.

        Raises:
            DeviceTimeoutError: It took longer than ``timeout_s``; it was killed.
            DeviceLostError: The connection broke, or the shell ended without an exit status.
            DeviceError: It wrote more than 16 MiB and was killed, or the phone refuses.
        """
        run = _Run(command)
        deadline = Deadline(timeout_s)
        output = ShellOutput()
        try:
            with closing(self._link.open(run.service, deadline)) as stream:
                status = read_shell(stream, output, deadline)
        except DeviceLostError:
            self._left_running += run.kill_commands(output.stderr)
            raise
        except BaseException as error:  # when the user interrupts, too
            self._kill(run.kill_commands(output.stderr))
            if isinstance(error, DeviceTimeoutError):
                raise DeviceTimeoutError(
                    f"a program on the phone took longer than {timeout_s:g} s"
                ) from error
            raise
        return Completed(bytes(output.stdout), run.without_mark(output.stderr), status)

    def _kill(self, kill_commands: Sequence[str]) -> None:
        """End a process group now, or, where the phone does not answer, when it is connected again."""
        for command in kill_commands:
            deadline = Deadline(_KILL_S)
            try:
                with closing(self._link.open(_SHELL + command, deadline)) as stream:
                    read_shell(stream, ShellOutput(), deadline)
            except DeviceError:
                logger.warning("a program may still run on the phone; it is ended at the next connection")
                self._left_running.append(command)

    def push(self, content: bytes, path: str, *, mode: int = 0o644, timeout_s: float) -> None:
        """Write ``content`` to the file ``path``, replacing what is there, be it a file or a link.

        Returns when the phone confirms that all of it arrived. A file that could not be written
        whole is removed. A phone gives everybody the rights that ``mode`` gives the owner: make its folder
        private.

        Raises:
            DeviceError: The phone refuses or is full, or ``path`` is not absolute, or climbs.
            DeviceTimeoutError: It took longer than ``timeout_s``.
            DeviceLostError: The connection broke.
        """
        _check_path(path)
        deadline = Deadline(timeout_s)
        with closing(self._link.open("sync:", deadline)) as stream:
            send_file(stream, content, path, mode, deadline)

    def pull(self, path: str, *, max_bytes: int, timeout_s: float) -> bytes:
        """Return the content of the file ``path``.

        Raises:
            DeviceError: There is no such file, it is larger than ``max_bytes``, or ``path`` is not absolute.
            DeviceTimeoutError: It took longer than ``timeout_s``.
            DeviceLostError: The connection broke.
        """
        _check_path(path)
        deadline = Deadline(timeout_s)
        with closing(self._link.open("sync:", deadline)) as stream:
            return receive_file(stream, path, max_bytes, deadline)

    def reconnect(self) -> None:
        """Connect anew, in at most three attempts with a growing pause; end what we left running there.

        Raises:
            DeviceLostError: The phone did not come back.
            DeviceError: It came back, but may not be used.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._pause(_FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)
            try:
                self._link.reconnect()
                break
            except DeviceLostError:  # what is there but may not be used does not change by waiting
                if attempt == _ATTEMPTS - 1:
                    raise
        left_running, self._left_running = self._left_running, []
        self._kill(left_running)

    def close(self) -> None:
        """Release the connection; a second time does nothing."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Run:
    """One command line in a shell that first prints its process id, so that its process group can be killed.

    adbd makes each shell the leader of its process group; a number of our own in its command line
    distinguishes it from another process that has got the same id since.
    """

    def __init__(self, command: str) -> None:
        if "\0" in command:
            raise DeviceError("a command line cannot hold a NUL character; leave it out")
        if len(command.encode()) > _MAX_COMMAND_BYTES:
            raise DeviceError(
                f"a command line of {len(command.encode())} bytes is longer than {_MAX_COMMAND_BYTES}, "
                "which is what adb takes; push what is long as a file"
            )
        self._mark = secrets.token_hex(8)
        # "exit $?" keeps the shell: the last command of a line would take its place.
        self.service = f"{_SHELL}echo $$ {self._mark} >&2; {command}\nexit $?"

    def _first_line(self, stderr: bytes | bytearray) -> re.Match[bytes] | None:
        return re.match(rb"([0-9]{1,10}) %s\n" % self._mark.encode(), stderr)

    def without_mark(self, stderr: bytes | bytearray) -> bytes:
        """Return what the command itself wrote there."""
        mark = self._first_line(stderr)
        return bytes(stderr[mark.end() :] if mark else stderr)

    def kill_commands(self, stderr: bytes | bytearray) -> list[str]:
        """Return what ends the run's process group, one command; none where it has not begun."""
        mark = self._first_line(stderr)
        if mark is None:
            return []
        pid = mark[1].decode()
        return [f"if grep -qF {self._mark} /proc/{pid}/cmdline; then kill -9 -{pid}; fi"]


def _check_path(path: str) -> None:
    is_climbing = ".." in path.split("/")
    is_long = len(path.encode(errors="replace")) > _MAX_PATH_BYTES
    if not path.startswith("/") or is_climbing or is_long or not path.isprintable():
        raise DeviceError(
            f"{path[:80]!r} is no path on a phone: give an absolute one without '..', printable, of at most "
            f"{_MAX_PATH_BYTES} bytes"
        )


def quoted(argv: Sequence[str]) -> str:
    """Return the one command line with which the phone's ``sh`` runs ``argv``, taking no word of it apart.

    The only place where words become a command line.

    Raises:
        DeviceError: There is no word, or one holds a NUL, which no program can be given.
    """
    if not argv or any("\0" in word for word in argv):
        raise DeviceError(f"no command line can be made of {str(list(argv))[:64]}; leave out NUL characters")
    return shlex.join(argv)


def connect(address: str) -> Transport:
    """Connect to the phone at ``address``: ``tcp:HOST:PORT``, ``usb:SERIAL``, ``SERIAL``, or empty.

    An empty address means ``ANDROID_SERIAL`` where that is set, else the only phone of the adb server:
    never the first of two.

    Raises:
        DeviceError: There is no such phone, or it cannot be used; the message names the remedy.
    """
    link = link_to(address)
    try:
        link.reconnect()
    except DeviceError:
        link.close()
        raise
    return Transport(link)


def link_to(address: str) -> Link:
    """Return the way to the phone at ``address``, not connected yet."""
    kind, _, rest = address.partition(":")
    if kind == "tcp":
        match = _HOST_AND_PORT.fullmatch(rest)
        if match is None or not 0 < int(match["port"]) < 1 << 16:
            raise DeviceError(
                f"no phone can be at {address[:64]!r}; write tcp:HOST:PORT, as in tcp:192.168.0.7:5555"
            )
        return DirectLink(TcpCarrier(match["host"] or match["ipv6"], int(match["port"])), address)
    if kind == "usb":
        return DirectLink(UsbCarrier(_checked_serial(rest)), address)
    return ServerLink(_checked_serial(address or os.environ.get("ANDROID_SERIAL", "") or _only_serial()))


def _checked_serial(serial: str) -> str:
    if not serial.strip() or len(serial) > LONGEST_SERIAL or not serial.isprintable():
        raise DeviceError(
            f"{serial[:64]!r} is no phone's serial; write it as `adb devices` prints it, or tcp:HOST:PORT"
        )
    return serial


def _only_serial() -> str:
    listed = list_devices()
    if not listed:
        raise DeviceError(
            "the adb server knows no phone; plug one in, enable USB debugging on it, and accept this "
            "computer's key there"
        )
    if len(listed) > 1:
        raise DeviceError(f"the adb server knows several phones: {choices(listed)}")
    demand_usable(listed[0].address, listed)
    return listed[0].address
