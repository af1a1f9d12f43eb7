"""Phones without an adb server: adb-shell's socket and USB carriers under our own session."""

import socket
from pathlib import Path

from adb_shell import exceptions
from adb_shell.transport.tcp_transport import TcpTransport

from devices._adb.keys import Key, default_folder
from devices._adb.link import Deadline, Link, Stream
from devices._adb.packets import MAX_PAYLOAD_BYTES, Carrier
from devices._adb.session import Session
from devices._errors import DeviceError

#: A link that went silent (Wi-Fi gone, cable cut) is given up after idle + count * interval seconds.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3}

_CONNECT_S = 5.0


class TcpCarrier(TcpTransport):  # type: ignore[misc]  # adb-shell has no types
    """A socket to a phone: no delay of small packets (40 ms), room for large ones, dead links noticed."""

    def connect(self, timeout_s: float) -> None:
        super().connect(timeout_s)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_PAYLOAD_BYTES)
        for option, value in _KEEPALIVE.items():
            self._connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def read(self, n: int, timeout_s: float) -> bytes:
        """Return at most ``n`` bytes, at least one."""
        try:
            content: bytes = self.bulk_read(n, timeout_s)
        except exceptions.TcpTimeoutException as error:
            raise TimeoutError from error
        if not content:
            raise ConnectionError("it was closed there")
        return content

    def write(self, content: bytes | memoryview, timeout_s: float) -> int:
        """Send a part of ``content``; return how much."""
        try:
            n: int = self.bulk_write(content, timeout_s)
        except exceptions.TcpTimeoutException as error:
            raise TimeoutError from error
        except BlockingIOError:
            return 0
        return n


class DirectLink(Link):
    """A phone that we speak to ourselves.

    Args:
        carrier: What takes the bytes.
        name: How messages call the phone.
        keys: The folder of this computer's key; used only when the phone asks who we are.
        authorization_s: How long the user has for accepting that key on the phone.
    """

    def __init__(
        self, carrier: Carrier, name: str, *, keys: Path | None = None, authorization_s: float = 10.0
    ) -> None:
        self._name = name
        self._session = Session(
            carrier, lambda: Key(keys or default_folder()), authorization_s=authorization_s
        )

    def open(self, service: str, deadline: Deadline) -> Stream:
        return self._session.open(service, deadline)

    def reconnect(self) -> None:
        self._session.close()
        try:
            self._session.connect(Deadline(_CONNECT_S))
        except DeviceError as error:
            raise type(error)(f"{self._name}: {error}") from error

    def close(self) -> None:
        self._session.close()
