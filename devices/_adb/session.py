"""A connection to a phone that many streams share: who we are, what the phone is, and its services.

Protocol: system/core/adb/protocol.txt of AOSP. Written because the client of adb-shell knows neither exit
codes nor a bound on what a phone sends, loses the rest of a packet of which a socket takes half, and sums
bytes in Python. Its carriers, keys and constants are used.
"""

import re
from collections.abc import Callable
from typing import Protocol

from adb_shell import constants

from devices._adb.link import Deadline, EndOfStreamError, Stream
from devices._adb.packets import MAX_PAYLOAD_BYTES, VERSION_WITHOUT_CHECKSUM, Carrier, Packet, PacketChannel
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices.foundation.text import one_line

_BANNER = b"host::features=shell_v2"
_FEATURES = re.compile(r"features=([A-Za-z0-9_,]*)")

#: What a phone asks to have signed has the size of a SHA-1 digest; nothing else is ever signed.
_TOKEN_BYTES = 20

_CLOSE_S = 1.0

_AUTHORIZE = "unlock the phone, plug it in again, and accept this computer's key (tick 'Always allow')"


class Signer(Protocol):
    """A private key of this computer."""

    def sign(self, token: bytes) -> bytes:
        """Return the signature of a token that the phone made up."""
        ...

    def public_key(self) -> bytes:
        """Return the public half, as phones keep it."""
        ...


class Session:
    """A connection to a phone, from the first packet on.

    Args:
        carrier: What takes the bytes; connected and closed by the session.
        signer: The key, asked for only when the phone wants one.
        authorization_s: How long the user has for accepting the key on the phone.

    Attributes:
        max_payload_bytes: Most that the phone takes in a packet.
    """

    def __init__(
        self, carrier: Carrier, signer: Callable[[], Signer], *, authorization_s: float = 10.0
    ) -> None:
        self.max_payload_bytes: int = constants.MAX_LEGACY_ADB_DATA
        self._channel = PacketChannel(carrier)
        self._signer = signer
        self._authorization_s = authorization_s
        self._streams: dict[int, SessionStream] = {}
        self._last_id = 0

    def connect(self, deadline: Deadline) -> None:
        """Connect, and prove to the phone who we are.

        Raises:
            DeviceError: Nothing answers, it is no phone, or it does not accept this computer's key.
        """
        self._streams.clear()
        try:
            self._greet(deadline)
        except DeviceTimeoutError as error:
            self.close()
            raise DeviceError("what is there does not answer; restart the phone's debugging") from error
        except DeviceLostError as error:
            raise DeviceLostError(f"{error}; is it a phone with debugging enabled?") from error
        except OSError as error:
            raise DeviceLostError(f"nothing to connect to ({error}); is debugging enabled there?") from error
        except DeviceError:
            self.close()
            raise

    def _greet(self, deadline: Deadline) -> None:
        self._channel.connect(deadline)
        greeting = Packet(b"CNXN", VERSION_WITHOUT_CHECKSUM, MAX_PAYLOAD_BYTES, _BANNER)
        self._channel.send(greeting, deadline)
        answer = self._authorized(self._channel.receive(deadline), deadline)
        _demand_usable(answer)
        self._channel.has_checksums = answer.first < VERSION_WITHOUT_CHECKSUM
        self.max_payload_bytes = max(1, min(answer.second, MAX_PAYLOAD_BYTES))

    def _authorized(self, answer: Packet, deadline: Deadline) -> Packet:
        """Answer a phone that asks who we are: with a signature, then with the key for its user to see."""
        if answer.command != b"AUTH":
            return answer
        signer = self._signer()
        try:
            self._prove(answer, constants.AUTH_SIGNATURE, signer.sign, deadline)
            answer = self._channel.receive(deadline)
            if answer.command == b"AUTH":
                deadline = Deadline(self._authorization_s)
                public_key = signer.public_key() + b"\0"
                self._prove(answer, constants.AUTH_RSAPUBLICKEY, lambda _: public_key, deadline)
            while answer.command == b"AUTH":
                answer = self._channel.receive(deadline)
        except DeviceTimeoutError as error:
            raise DeviceError(
                f"the phone does not know this computer (unauthorized): {_AUTHORIZE}"
            ) from error
        return answer

    def _prove(
        self, question: Packet, kind: int, reply: Callable[[bytes], bytes], deadline: Deadline
    ) -> None:
        if question.first != constants.AUTH_TOKEN or len(question.payload) != _TOKEN_BYTES:
            raise self._channel.lost("it asks for a key in a way that ADB does not know")
        self._channel.send(Packet(b"AUTH", kind, 0, reply(bytes(question.payload))), deadline)

    def open(self, service: str, deadline: Deadline) -> "SessionStream":
        """Open a service of the phone.

        Raises:
            DeviceError: The phone has no such service.
        """
        name = service.encode() + b"\0"
        self._last_id += 1
        stream = SessionStream(self, self._channel, self._last_id)
        self._streams[self._last_id] = stream
        try:
            self._channel.send(Packet(b"OPEN", self._last_id, 0, name), deadline)
            stream.wait_until_taken(deadline)
        except DeviceTimeoutError:
            self.forget(stream.local_id)
            raise
        except EndOfStreamError as error:
            self.forget(stream.local_id)
            raise DeviceError(f"the phone refuses the service {one_line(name)}") from error
        return stream

    def pump(self, deadline: Deadline) -> None:
        """Receive one packet, and give it to its stream."""
        packet = self._channel.receive(deadline)
        stream = self._streams.get(packet.second)
        if stream is not None:
            stream.take(packet)
        elif packet.command in (b"OKAY", b"WRTE"):  # of a stream that we gave up
            self._channel.send(Packet(b"CLSE", packet.second, packet.first), deadline)

    def forget(self, local_id: int) -> None:
        """Drop what still comes for a stream."""
        self._streams.pop(local_id, None)

    def close(self) -> None:
        """Close the connection and all that is on it; a second time does nothing."""
        self._channel.close()


def _demand_usable(answer: Packet) -> None:
    """Refuse what is no running Android that we understand."""
    banner = bytes(answer.payload)
    features = _FEATURES.search(banner.decode("utf-8", "replace"))
    if answer.command == b"STLS":
        raise DeviceError(
            "this port asks for TLS (wireless debugging), which only adb speaks: pair with `adb pair`, "
            "`adb connect`, and name the phone as `adb devices` prints it (android:SERIAL)"
        )
    if answer.command != b"CNXN" or not banner.startswith(b"device:"):
        raise DeviceError(f"what is there is no running Android ({one_line(banner)}); start Android on it")
    if features is None or "shell_v2" not in features[1].split(","):
        raise DeviceError("the phone does not know shell_v2 (exit codes); Android 7 or newer is needed")


class SessionStream(Stream):
    """A stream of a session, from OPEN to CLSE. At most one packet is under way in each direction.

    Args:
        session: The connection.
        channel: Its packets.
        local_id: Our number for it.
    """

    def __init__(self, session: Session, channel: PacketChannel, local_id: int) -> None:
        self.local_id = local_id
        self._session = session
        self._channel = channel
        self._remote_id = 0
        self._received = bytearray()
        self._is_taken = False
        self._owes_okay = False
        self._is_ended = False

    def take(self, packet: Packet) -> None:
        """Take a packet that came for this stream.

        Raises:
            DeviceLostError: The phone sends on before we confirmed what it sent.
        """
        if packet.command == b"OKAY":
            self._remote_id = self._remote_id or packet.first
            self._is_taken = True
        elif packet.command == b"WRTE":
            if self._owes_okay:
                raise self._channel.lost("it sends more than was confirmed")
            self._received += packet.payload
            self._owes_okay = True
        elif packet.command == b"CLSE":
            self._is_ended = True

    def wait_until_taken(self, deadline: Deadline) -> None:
        """Wait until the phone has taken the last packet.

        Raises:
            EndOfStreamError: It ended the service instead.
        """
        while not self._is_taken:
            if self._is_ended:
                raise EndOfStreamError
            self._session.pump(deadline)

    def read(self, n: int, deadline: Deadline) -> bytes:
        while len(self._received) < n:
            if self._is_ended:
                raise EndOfStreamError
            if self._owes_okay:
                self._owes_okay = False
                self._channel.send(Packet(b"OKAY", self.local_id, self._remote_id), deadline)
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
            self._channel.send(Packet(b"WRTE", self.local_id, self._remote_id, part), deadline)
            rest = rest[len(part) :]

    def close(self) -> None:
        self._session.forget(self.local_id)
        if not self._is_ended:
            self._is_ended = True
            try:
                self._channel.send(Packet(b"CLSE", self.local_id, self._remote_id), Deadline(_CLOSE_S))
            except DeviceError:
                return  # it broke, and the service ended with it
