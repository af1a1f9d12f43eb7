"""ADB's packets: one connection to a phone that many streams share.

Protocol: system/core/adb/protocol.txt of AOSP. Speaks the newer version, without checksums, where the phone
does. Written because the client of adb-shell knows neither exit codes nor a bound on what a phone sends, loses the
rest of a packet of which a socket takes half, and sums every byte in Python. Its carriers, keys and constants are
used.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from adb_shell import constants

from devices._adb_link import Deadline, EndOfStreamError, Stream, one_line
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError

#: Versions of the protocol: from the newer on, checksums are left out.
_VERSION, _VERSION_WITHOUT_CHECKSUM = 0x01000000, 0x01000001

#: Largest payload of a packet that we take; what we may send is the phone's to say.
_MAX_PAYLOAD_BYTES = constants.MAX_ADB_DATA

_BANNER = b"host::features=shell_v2"
_FEATURES = re.compile(r"features=([A-Za-z0-9_,]*)")

#: What a phone asks to have signed has the size of a SHA-1 digest; nothing else is ever signed.
_TOKEN_BYTES = 20
_HEADER = struct.Struct("<6I")
_ID = {**constants.ID_TO_WIRE, b"STLS": int.from_bytes(b"STLS", "little")}
_NAME = {number: name for name, number in _ID.items()}

_AUTHORIZE = "unlock the phone, plug it in again, and accept this computer's key (tick 'Always allow')"


class Carrier(Protocol):
    """What takes bytes to a phone and back: a socket or a USB interface.

    Failures are ``OSError``, ``TimeoutError`` where time ran out.
    """

    def connect(self, timeout_s: float) -> None:
        """Connect, anew where it was."""
        ...

    def read(self, n: int, timeout_s: float) -> bytes:
        """Return at most ``n`` bytes, at least one."""
        ...

    def write(self, content: bytes | memoryview, timeout_s: float) -> int:
        """Send a part of ``content``; return how much."""
        ...

    def close(self) -> None:
        """Release it; a second time does nothing."""
        ...


class Signer(Protocol):
    """A private key of this computer."""

    def sign(self, token: bytes) -> bytes:
        """Return the signature of a token that the phone made up."""
        ...

    def public_key(self) -> bytes:
        """Return the public half, as phones keep it."""
        ...


@dataclass(frozen=True)
class _Packet:
    command: bytes
    first: int
    second: int
    payload: bytes


class Session:
    """A connection to a phone, from the first packet on.

    Args:
        carrier: What takes the bytes; connected and closed by the session.
        signer: The key, asked for only when the phone wants one.
        authorization_s: How long the user has for accepting the key on the phone.
    """

    def __init__(
        self, carrier: Carrier, signer: Callable[[], Signer], *, authorization_s: float = 10.0
    ) -> None:
        self._carrier = carrier
        self._signer = signer
        self._authorization_s = authorization_s
        self._received = bytearray()
        self._streams: dict[int, SessionStream] = {}
        self._last_id = 0
        self._has_checksums = True
        self._is_open = False
        self.max_payload_bytes = constants.MAX_LEGACY_ADB_DATA

    def connect(self, deadline: Deadline) -> None:
        """Connect, and prove to the phone who we are.

        Raises:
            DeviceError: Nothing answers, it is no phone, or it does not accept this computer's key.
        """
        try:
            self._carrier.connect(deadline.left_s())
            self._is_open = True
            self.send(b"CNXN", _VERSION_WITHOUT_CHECKSUM, _MAX_PAYLOAD_BYTES, _BANNER, deadline)
            answer = self._authorized(self._receive(deadline), deadline)
        except DeviceTimeoutError as error:
            self.close()
            raise DeviceError("what is there does not answer; restart the phone's debugging") from error
        except DeviceLostError as error:
            raise DeviceError(f"{error}; is it a phone with debugging enabled?") from error
        except OSError as error:
            self.close()
            raise DeviceError(f"nothing to connect to ({error}); is debugging enabled there?") from error
        except DeviceError:
            self.close()
            raise
        self._greeted(answer)

    def _authorized(self, answer: _Packet, deadline: Deadline) -> _Packet:
        """Answer a phone that asks who we are: with a signature, then with the key for its user to see."""
        if answer.command != b"AUTH":
            return answer
        try:
            self._prove(answer, constants.AUTH_SIGNATURE, self._signer().sign, deadline)
            answer = self._receive(deadline)
            if answer.command == b"AUTH":
                deadline = Deadline(self._authorization_s)
                public_key = self._signer().public_key() + b"\0"
                self._prove(answer, constants.AUTH_RSAPUBLICKEY, lambda _: public_key, deadline)
            while answer.command == b"AUTH":
                answer = self._receive(deadline)
        except DeviceTimeoutError as error:
            raise DeviceError(
                f"the phone does not know this computer (unauthorized): {_AUTHORIZE}"
            ) from error
        return answer

    def _prove(
        self, question: _Packet, kind: int, reply: Callable[[bytes], bytes], deadline: Deadline
    ) -> None:
        if question.first != constants.AUTH_TOKEN or len(question.payload) != _TOKEN_BYTES:
            raise DeviceLostError("it asks for a key in a way that ADB does not know")
        self.send(b"AUTH", kind, 0, reply(question.payload), deadline)

    def _greeted(self, answer: _Packet) -> None:
        banner = answer.payload.decode("utf-8", "replace")
        features = _FEATURES.search(banner)
        if answer.command == b"STLS":
            self.close()
            raise DeviceError(
                "this port asks for TLS (wireless debugging), which only adb speaks: pair with `adb pair`, "
                "`adb connect`, and name the phone as `adb devices` prints it (android:SERIAL)"
            )
        if answer.command != b"CNXN" or not banner.startswith("device:"):
            self.close()
            raise DeviceError(
                f"what is there is no running Android ({one_line(answer.payload)}); start the phone"
            )
        if features is None or "shell_v2" not in features[1].split(","):
            self.close()
            raise DeviceError(
                "the phone does not know shell_v2, without which no exit code comes back: "
                "Android 7 or newer is needed"
            )
        self._has_checksums = answer.first < _VERSION_WITHOUT_CHECKSUM
        self.max_payload_bytes = max(1, min(answer.second, _MAX_PAYLOAD_BYTES))

    def open(self, service: str, deadline: Deadline) -> "SessionStream":
        """Open a service of the phone.

        Raises:
            DeviceError: The phone has no such service.
        """
        self._last_id += 1
        stream = SessionStream(self, self._last_id)
        self._streams[self._last_id] = stream
        try:
            self.send(b"OPEN", stream.local_id, 0, service.encode() + b"\0", deadline)
            stream.wait_until_taken(deadline)
        except DeviceTimeoutError:
            self.forget(stream.local_id)
            raise
        except EndOfStreamError as error:
            raise DeviceError(f"the phone refuses the service {one_line(service.encode())}") from error
        return stream

    def pump(self, deadline: Deadline) -> None:
        """Receive one packet, and give it to its stream."""
        packet = self._receive(deadline)
        stream = self._streams.get(packet.second)
        if stream is not None:
            if not stream.take(packet.command, packet.first, packet.payload):
                raise self._lost("it sends more before we took what it sent")
        elif packet.command in (b"OKAY", b"WRTE"):
            self.send(b"CLSE", packet.second, packet.first, b"", deadline)  # we gave that stream up

    def forget(self, local_id: int) -> None:
        """Drop what still comes for a stream."""
        self._streams.pop(local_id, None)

    def send(
        self, command: bytes, first: int, second: int, payload: bytes | memoryview, deadline: Deadline
    ) -> None:
        """Send one packet, whole."""
        number = _ID[command]
        total = sum(payload) & 0xFFFFFFFF if self._has_checksums else 0
        self._write(_HEADER.pack(number, first, second, len(payload), total, number ^ 0xFFFFFFFF), deadline)
        if payload:
            self._write(payload, deadline)

    def _write(self, content: bytes | memoryview, deadline: Deadline) -> None:
        rest = memoryview(content)
        try:
            while rest:
                self._demand_open()
                rest = rest[self._carrier.write(rest, deadline.left_s()) :]
        except TimeoutError as error:
            self.close()  # half a packet is out: nobody would understand what follows
            raise DeviceTimeoutError(f"the phone takes no data for {deadline.timeout_s:g} s") from error
        except OSError as error:
            raise self._lost(str(error)) from error

    def _receive(self, deadline: Deadline) -> _Packet:
        """Return the next packet; when time runs out, what has come of it stays for the next call."""
        self._fill(_HEADER.size, deadline)
        number, first, second, n_bytes, _, magic = _HEADER.unpack_from(self._received)
        if number not in _NAME or magic != number ^ 0xFFFFFFFF or n_bytes > _MAX_PAYLOAD_BYTES:
            raise self._lost("what comes from there is not ADB's protocol")
        self._fill(_HEADER.size + n_bytes, deadline)
        payload = bytes(memoryview(self._received)[_HEADER.size : _HEADER.size + n_bytes])
        del self._received[: _HEADER.size + n_bytes]
        return _Packet(_NAME[number], first, second, payload)

    def _fill(self, n: int, deadline: Deadline) -> None:
        try:
            while len(self._received) < n:
                self._demand_open()
                self._received += self._carrier.read(n - len(self._received), deadline.left_s())
        except TimeoutError as error:
            raise DeviceTimeoutError(f"no answer from the phone within {deadline.timeout_s:g} s") from error
        except OSError as error:
            raise self._lost(str(error)) from error

    def _demand_open(self) -> None:
        if not self._is_open:
            raise DeviceLostError("the connection to the phone is closed; connect again")

    def _lost(self, reason: str) -> DeviceLostError:
        self.close()
        return DeviceLostError(f"the connection to the phone broke: {reason}")

    def close(self) -> None:
        """Close the connection and all that is on it; a second time does nothing."""
        self._is_open = False
        self._received.clear()
        self._carrier.close()


class SessionStream(Stream):
    """A stream of a session, from OPEN to CLSE. At most one packet is under way in each direction.

    Args:
        session: The connection.
        local_id: Our number for it.
    """

    def __init__(self, session: Session, local_id: int) -> None:
        self.local_id = local_id
        self._session = session
        self._remote_id = 0
        self._received = bytearray()
        self._is_taken = False
        self._owes_okay = False
        self._is_ended = False

    def take(self, command: bytes, remote_id: int, payload: bytes) -> bool:
        """Take a packet that came for this stream; tell whether the phone was allowed to send it."""
        if command == b"OKAY":
            self._remote_id = self._remote_id or remote_id
            self._is_taken = True
        elif command == b"WRTE":
            if self._owes_okay:
                return False
            self._received += payload
            self._owes_okay = True
        elif command == b"CLSE":
            self._is_ended = True
        return True

    def wait_until_taken(self, deadline: Deadline) -> None:
        """Wait until the phone has taken the last packet.

        Raises:
            EndOfStreamError: It ended the service instead.
        """
        while not self._is_taken:
            if self._is_ended:
                self._session.forget(self.local_id)
                raise EndOfStreamError
            self._session.pump(deadline)

    def read(self, n: int, deadline: Deadline) -> bytes:
        while len(self._received) < n:
            if self._is_ended:
                raise EndOfStreamError
            if self._owes_okay:
                self._owes_okay = False
                self._session.send(b"OKAY", self.local_id, self._remote_id, b"", deadline)
            self._session.pump(deadline)
        content = bytes(memoryview(self._received)[:n])
        del self._received[:n]
        return content

    def write(self, content: bytes | memoryview, deadline: Deadline) -> None:
        rest = memoryview(content)
        while rest:
            self.wait_until_taken(deadline)
            part = rest[: self._session.max_payload_bytes]
            self._is_taken = False
            self._session.send(b"WRTE", self.local_id, self._remote_id, part, deadline)
            rest = rest[len(part) :]

    def close(self) -> None:
        self._session.forget(self.local_id)
        if not self._is_ended:
            self._is_ended = True
            try:
                self._session.send(b"CLSE", self.local_id, self._remote_id, b"", Deadline(1.0))
            except DeviceError:
                return  # it broke: the service ended with it
