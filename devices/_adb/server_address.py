"""Where the adb server is: found in the environment as the adb client finds it."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from devices._errors import DeviceError
from devices.foundation.text import one_line

_DEFAULT_PORT = 5037
_LOOPBACK = "127.0.0.1"
_LONGEST_PATH_BYTES = 107  # what the kernel takes as the name of a Unix socket

_TCP = re.compile(
    r"tcp:(?:(?:(?P<host>[^\[\]:/\s]{1,253})|\[(?P<ipv6>[^\[\]/\s]{2,64})\]):)?(?P<port>\d{1,5})"
)
_UNIX = re.compile(r"(?P<kind>local|localfilesystem|localabstract):(?P<name>.+)")


@dataclass(frozen=True)
class ServerAddress:
    """A place where an adb server listens, or would.

    Attributes:
        text: As adb writes it: ``tcp:5037``, ``tcp:HOST:PORT``, ``localfilesystem:PATH``.
        source: The variable of the environment that names it; empty for the default.
        host: Empty for this machine, and for a Unix socket.
        port: 0 for a Unix socket.
        path: Name of a Unix socket; empty for TCP.
    """

    text: str
    source: str = ""
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_here(self) -> bool:
        """Whether adb would start a server there: not for any host with a name other than ``localhost``."""
        return self.host in ("", "localhost")

    def __str__(self) -> str:
        return f"{self.text} ({self.source})" if self.source else self.text

    def connected(self, timeout_s: float) -> socket.socket:
        """Return a connection to the server.

        Raises:
            OSError: Nobody answers there.
        """
        if not self.path:
            connection = socket.create_connection((self.host or _LOOPBACK, self.port), timeout=timeout_s)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return connection
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout_s)
            connection.connect(self.path)
        except BaseException:
            connection.close()
            raise
        return connection


def server_address(environment: Mapping[str, str] = os.environ) -> ServerAddress:
    """Return where the adb client would look for its server.

    ``ADB_SERVER_SOCKET`` goes before ``ANDROID_ADB_SERVER_ADDRESS`` and ``ANDROID_ADB_SERVER_PORT``, which
    are the two halves of a TCP address.

    Raises:
        DeviceError: A variable is no address, or of a kind that only adb itself knows.
    """
    spec = environment.get("ADB_SERVER_SOCKET")
    if spec is not None:
        return _parsed(spec, "ADB_SERVER_SOCKET", spec)
    port = environment.get("ANDROID_ADB_SERVER_PORT") or str(_DEFAULT_PORT)
    source = "ANDROID_ADB_SERVER_PORT" if environment.get("ANDROID_ADB_SERVER_PORT") else ""
    _parsed(f"tcp:{port}", source, port)
    host = environment.get("ANDROID_ADB_SERVER_ADDRESS")
    if host is None:
        return _parsed(f"tcp:{port}", source, port)
    return _parsed(f"tcp:{host}:{port}", "ANDROID_ADB_SERVER_ADDRESS", host)


def _parsed(spec: str, source: str, value: str) -> ServerAddress:
    """Return the address ``spec``, which the variable ``source`` gives by its ``value``."""
    if tcp := _TCP.fullmatch(spec):
        host, port = tcp["host"] or tcp["ipv6"] or "", int(tcp["port"])
        if spec.isprintable() and 0 < port < 1 << 16:
            return ServerAddress(spec, source, host, port)
    if unix := _UNIX.fullmatch(spec):
        path = f"\0{unix['name']}" if unix["kind"] == "localabstract" else unix["name"]
        if spec.isprintable() and len(os.fsencode(path)) <= _LONGEST_PATH_BYTES:
            return ServerAddress(spec, source, path=path)
    raise DeviceError(f"{source} is {one_line(value)!r}, {_EXPECTED[source]}; correct or unset it")


#: What each variable has to hold, for messages.
_EXPECTED = {
    "ADB_SERVER_SOCKET": "where no adb server can be found; tcp:PORT, tcp:HOST:PORT, tcp:[IPV6]:PORT, "
    "localfilesystem:PATH and localabstract:NAME can be",
    "ANDROID_ADB_SERVER_ADDRESS": "which is no host: give a name, an IPv4 address, or [IPV6]",
    "ANDROID_ADB_SERVER_PORT": "which is not a number from 1 to 65535",
}
