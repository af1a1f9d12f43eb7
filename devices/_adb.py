"""The ADB transports: shell, push and pull on an Android phone; no policy.

An address chooses the transport: ``tcp:HOST:PORT`` and ``usb:SERIAL`` speak to the phone directly (no adb
server needed), ``SERIAL`` goes through the adb server (whatever ``adb devices`` prints), and an empty one
means the only phone of that server.
"""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from devices._device import Completed
from devices._errors import DeviceError


@dataclass(frozen=True)
class ListedDevice:
    """A phone that the adb server knows.

    Attributes:
        serial: As ``adb devices`` prints it; not trusted.
        state: ``"device"`` when it can be used, or what the server says, in one line: ``"unauthorized"``,
            ``"offline"``, ``"no permissions (...)"``.
    """

    serial: str
    state: str


class Transport(ABC):
    """One connection to a phone. A context manager: leaving it closes the connection.

    Whatever comes from the phone is bytes that nobody trusts, and bounded. Not thread-safe: one owner.
    """

    @abstractmethod
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

    @abstractmethod
    def push(self, content: bytes, path: str, *, mode: int = 0o644, timeout_s: float) -> None:
        """Write ``content`` to the file ``path``, replacing what is there, be it a file or a link.

        Returns when the phone says that it has all of it. A file that could not be written whole is removed.

        Raises:
            DeviceError: The phone refuses or is full, or ``path`` is not absolute, or climbs.
            DeviceTimeoutError: It took longer than ``timeout_s``.
            DeviceLostError: The connection broke.
        """

    @abstractmethod
    def pull(self, path: str, *, max_bytes: int, timeout_s: float) -> bytes:
        """Return the content of the file ``path``.

        Raises:
            DeviceError: There is no such file, it is larger than ``max_bytes``, or ``path`` is not absolute.
            DeviceTimeoutError: It took longer than ``timeout_s``.
            DeviceLostError: The connection broke.
        """

    @abstractmethod
    def reconnect(self) -> None:
        """Connect anew, in at most three attempts with a growing pause; end what we left running there.

        Raises:
            DeviceLostError: The phone did not come back.
            DeviceError: It came back, but may not be used.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the connection; a second time does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
    raise DeviceError(f"no phone at {address[:64]!r}; the transports follow")


def list_devices() -> list[ListedDevice]:
    """List the phones that the adb server knows, those too that cannot be used.

    Raises:
        DeviceError: There is no adb server, and none can be started; the message names the remedy.
    """
    return []
