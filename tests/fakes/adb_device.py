"""An ADB device in this process, on a loopback socket: speaks the protocol, and fails where it is told to.

Commands really run in ``sh -c``, or are answered by a function; files really lie in a folder. It knows what
the real daemon of Android 10 knows of: authentication, shell v1 and v2, exec, sync v1.
"""

import base64
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from devices import _adb
from devices._adb.transport import Transport
from tests.fakes.adb_services import Answer, Pipe, Processes, serve_files, serve_shell

_HEADER = struct.Struct("<4s5I")
_MAX_PAYLOAD = 1 << 20
_SIGNATURE = 2
_SHA1_PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")


@dataclass
class Faults:
    """What goes wrong, and when.

    Attributes:
        dies_before_packet: The connection breaks instead of the k-th packet that it sends.
        garbage: Sent instead of the next packet.
        cut_after: Bytes of a service's answer after which its stream ends.
        has_no_exit_code: A shell's stream ends without one.
        disk_bytes: Room on the device; a push beyond it fails like a full disk.
        is_silent: Takes connections, answers nothing.
        refuses: Services that are not there.
    """

    dies_before_packet: int | None = None
    garbage: bytes = b""
    cut_after: int | None = None
    has_no_exit_code: bool = False
    disk_bytes: int | None = None
    is_silent: bool = False
    refuses: tuple[str, ...] = ()


@dataclass
class FakeAdbDevice:
    """The device. A context manager: inside it listens on ``port``.

    Attributes:
        root: Folder that paths below ``/data`` lie in.
        answer: What answers a command.
        banner: What it says of itself.
        version: Of the protocol; before 0x01000001 packets carry checksums.
        keys: Public keys that it knows; ``None`` asks for none.
        user_accepts: Whether its user accepts a key that it does not know.
        shell: What runs commands.
        faults: May be changed while it runs.
        services: Every service that was opened.
        connections: How many were made.
    """

    root: Path
    answer: Callable[[str], Answer] = lambda _: None
    banner: bytes = b"device::ro.product.model=Fake;features=shell_v2,cmd"
    version: int = 0x01000001
    keys: list[bytes] | None = None
    user_accepts: bool = False
    shell: str = "sh"
    faults: Faults = field(default_factory=Faults)
    services: list[str] = field(default_factory=list)
    connections: int = 0
    packets_sent: int = 0
    port: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.processes = Processes(self.shell)
        self.start(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.disconnect()
        self.processes.kill()
        for thread in list(self._threads):
            thread.join(timeout=5)
            assert not thread.is_alive(), "a thread of the fake device does not end"

    def disconnect(self) -> None:
        """Break every connection, as a pulled cable does."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def settle(self) -> None:
        """Wait until what former connections asked for has ended, which may use the same files."""
        for thread in self._threads[1:]:  # the first one listens
            thread.join(timeout=10)

    def start(self, work: Callable[..., None], *arguments: object) -> None:
        """Run ``work`` in a thread that the device waits for at its end."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self.start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, EOFError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Connection(self, connection).serve()

    def is_newest(self, connection: socket.socket) -> bool:
        """Tell whether no connection was taken after this one."""
        return connection is self._open[-1]

    def path(self, path: str) -> Path:
        """Return where a path of the device lies here."""
        return self.root / path.lstrip("/") if path.startswith("/data") else Path(path)


@contextmanager
def connected(device: FakeAdbDevice) -> Iterator[tuple[FakeAdbDevice, Transport]]:
    """Run ``device``, and connect to it directly."""
    with device, _adb.connect(f"tcp:127.0.0.1:{device.port}") as transport:
        yield device, transport


class _Connection:
    """One connection: packets in, packets out."""

    def __init__(self, device: FakeAdbDevice, connection: socket.socket) -> None:
        self.device = device
        self._socket = connection
        self._lock = threading.Lock()
        self._streams: dict[int, _Stream] = {}
        self._last_id = 0
        self._token = b""

    def serve(self) -> None:
        try:
            while True:
                command, first, second, payload = self._receive()
                if self.device.faults.is_silent:
                    continue
                self._take(command, first, second, payload)
        finally:
            for stream in list(self._streams.values()):
                stream.end()

    def _take(self, command: bytes, first: int, second: int, payload: bytes) -> None:
        if command in (b"CNXN", b"AUTH"):
            self._greet(command, first, payload)
        elif command == b"OPEN":
            self._open(first, payload.rstrip(b"\0").decode())
        elif stream := self._streams.get(second):
            if command == b"OKAY":
                stream.acknowledged.release()
            elif command == b"WRTE":
                stream.received(payload)
            else:
                stream.end()

    def _greet(self, command: bytes, kind: int, payload: bytes) -> None:
        """Ask for a signature until one is of a known key, or the user accepts the key that is offered."""
        keys = self.device.keys
        is_known = keys is None
        if keys is not None and command == b"AUTH" and kind == _SIGNATURE:
            is_known = any(_is_signed(self._token, payload, key) for key in keys)
        elif keys is not None and command == b"AUTH":
            is_known = self.device.user_accepts
            keys += [payload.rstrip(b"\0")] if is_known else []
        if is_known:
            self.send(b"CNXN", self.device.version, _MAX_PAYLOAD, self.device.banner)
        elif command == b"CNXN" or kind == _SIGNATURE:
            self._token = secrets.token_bytes(20)
            self.send(b"AUTH", 1, 0, self._token)

    def _open(self, remote_id: int, service: str) -> None:
        self.device.services.append(service)
        if service.startswith(self.device.faults.refuses or ("\0",)):
            self.send(b"CLSE", 0, remote_id)
            return
        self._last_id += 1
        stream = self._streams[self._last_id] = _Stream(self, self._last_id, remote_id)
        self.send(b"OKAY", stream.local_id, remote_id)
        self.device.start(stream.run, service)

    def close_stream(self, stream: "_Stream") -> None:
        if self._streams.pop(stream.local_id, None) is not None:
            with suppress(OSError):
                self.send(b"CLSE", stream.local_id, stream.remote_id)

    def send(self, command: bytes, first: int, second: int, payload: bytes = b"") -> None:
        faults = self.device.faults
        with self._lock:
            # What an earlier connection still sends while it ends would make the count a matter of luck; so
            # would adding 0 for it, which writes back a count that a test has reset meanwhile.
            if self.device.is_newest(self._socket):
                self.device.packets_sent += 1
            if self.device.packets_sent == faults.dies_before_packet:
                self._socket.shutdown(socket.SHUT_RDWR)
                raise OSError("unplugged")
            if faults.garbage:
                self._socket.sendall(faults.garbage)
                faults.garbage = b""
                return
            total = sum(payload) & 0xFFFFFFFF if self.device.version < 0x01000001 or command == b"CNXN" else 0
            magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
            self._socket.sendall(_HEADER.pack(command, first, second, len(payload), total, magic) + payload)

    def _receive(self) -> tuple[bytes, int, int, bytes]:
        command, first, second, n_bytes, total, magic = _HEADER.unpack(self._exactly(_HEADER.size))
        assert magic == int.from_bytes(command, "little") ^ 0xFFFFFFFF
        payload = self._exactly(n_bytes)
        if self.device.version < 0x01000001:
            assert total == sum(payload) & 0xFFFFFFFF, "a phone that wants checksums got a wrong one"
        return command, first, second, payload

    def _exactly(self, n: int) -> bytes:
        content = bytearray()
        while len(content) < n:
            piece = self._socket.recv(n - len(content))
            if not piece:
                raise EOFError
            content += piece
        return bytes(content)


def _is_signed(token: bytes, signature: bytes, key: bytes) -> bool:
    """Check an RSA signature (PKCS #1 v1.5, SHA-1) against a key in the form in which phones keep it."""
    words, _, modulus, _, exponent = struct.unpack("<II256s256sI", base64.b64decode(key.split()[0]))
    assert words == 64
    signed = pow(int.from_bytes(signature, "big"), exponent, int.from_bytes(modulus, "little"))
    return signed.to_bytes(256, "big").endswith(b"\xff\0" + _SHA1_PREFIX + token)


class _Stream(Pipe):
    """One service in use."""

    def __init__(self, connection: _Connection, local_id: int, remote_id: int) -> None:
        self.local_id, self.remote_id = local_id, remote_id
        self.acknowledged = threading.Semaphore(0)
        self._connection = connection
        self._device = connection.device
        self._input = bytearray()
        self._has_input = threading.Condition()
        self._is_ended = False
        self._n_written = 0

    def received(self, payload: bytes) -> None:
        with self._has_input:
            self._input += payload
            self._has_input.notify_all()
        self._connection.send(b"OKAY", self.local_id, self.remote_id)

    def end(self) -> None:
        with self._has_input:
            self._is_ended = True
            self._has_input.notify_all()
        self.acknowledged.release()

    def run(self, service: str) -> None:
        with suppress(OSError, EOFError):
            kind, _, command = service.partition(":")
            if kind == "sync":
                serve_files(self, self._device.path, self._device.faults.disk_bytes)
            else:
                is_v2 = "v2" in kind.split(",")
                has_code = is_v2 and not self._device.faults.has_no_exit_code
                serve_shell(
                    self, command, self._device.answer(command), self._device.processes, (is_v2, has_code)
                )
        self._connection.close_stream(self)

    def read(self, n: int) -> bytes:
        with self._has_input:
            while len(self._input) < n:
                if self._is_ended:
                    raise EOFError
                self._has_input.wait()
            content = bytes(self._input[:n])
            del self._input[:n]
            return content

    def write(self, content: bytes) -> None:
        if self._is_ended:
            raise EOFError
        cut = self._device.faults.cut_after
        rest = content if cut is None else content[: max(0, cut - self._n_written)]
        self._n_written += len(content)
        if rest:
            self._connection.send(b"WRTE", self.local_id, self.remote_id, rest)
        if len(rest) < len(content):
            raise EOFError
        self.acknowledged.acquire()

    @property
    def is_ended(self) -> bool:
        return self._is_ended
