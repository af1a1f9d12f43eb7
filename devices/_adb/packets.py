"""ADB's packets, on whatever takes bytes to a phone and back.

Format: system/core/adb/protocol.txt of AOSP. The newer version of it, which phones speak since Android 9,
leaves checksums out.
"""

import struct
from dataclasses import dataclass
from typing import Protocol

from adb_shell import constants

from devices._adb.link import Deadline
from devices._errors import DeviceLostError, DeviceTimeoutError

#: From this version of the protocol on, checksums are left out.
VERSION_WITHOUT_CHECKSUM = 0x01000001

#: Largest payload of a packet that we take; what we may send is the phone's to say.
MAX_PAYLOAD_BYTES: int = constants.MAX_ADB_DATA

_HEADER = struct.Struct("<6I")
_ID = {**constants.ID_TO_WIRE, b"STLS": int.from_bytes(b"STLS", "little")}
_NAME = {number: name for name, number in _ID.items()}


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


@dataclass(frozen=True)
class Packet:
    """One packet.

    Attributes:
        command: Its four letters.
        first: The sender's number for a stream, or a fact about the command.
        second: The receiver's number for a stream, or another fact.
        payload: Not trusted.
    """

    command: bytes
    first: int
    second: int
    payload: bytes | memoryview = b""


class PacketChannel:
    """Sends and receives whole packets.

    Args:
        carrier: What takes the bytes; closed when it breaks, or when half a packet is out.

    Attributes:
        has_checksums: Whether the other side wants them.
    """

    def __init__(self, carrier: Carrier) -> None:
        self.has_checksums = True
        self._carrier = carrier
        self._received = bytearray()
        self._is_open = False

    def connect(self, deadline: Deadline) -> None:
        """Connect, anew where it was.

        Raises:
            OSError: Nothing is there.
        """
        self.close()
        self.has_checksums = True
        self._carrier.connect(deadline.left_s())
        self._is_open = True

    def send(self, packet: Packet, deadline: Deadline) -> None:
        """Send one packet, whole.

        Raises:
            DeviceTimeoutError: ``deadline`` passed; the channel is closed.
            DeviceLostError: The channel broke, or is closed.
        """
        number, n_bytes = _ID[packet.command], len(packet.payload)
        total = sum(packet.payload) & 0xFFFFFFFF if self.has_checksums else 0
        header = _HEADER.pack(number, packet.first, packet.second, n_bytes, total, number ^ 0xFFFFFFFF)
        self._write(header, deadline)
        self._write(packet.payload, deadline)

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
            raise self.lost(str(error)) from error

    def receive(self, deadline: Deadline) -> Packet:
        """Return the next packet.

        Raises:
            DeviceTimeoutError: ``deadline`` passed; what has come of the packet stays for the next call.
            DeviceLostError: The channel broke, is closed, or what comes is no packet.
        """
        self._fill(_HEADER.size, deadline)
        number, first, second, n_bytes, _, magic = _HEADER.unpack_from(self._received)
        if number not in _NAME or magic != number ^ 0xFFFFFFFF or n_bytes > MAX_PAYLOAD_BYTES:
            raise self.lost("what comes from there is not ADB's protocol")
        end = _HEADER.size + n_bytes
        self._fill(end, deadline)
        payload = bytes(memoryview(self._received)[_HEADER.size : end])
        del self._received[:end]
        return Packet(_NAME[number], first, second, payload)

    def _fill(self, n: int, deadline: Deadline) -> None:
        try:
            while len(self._received) < n:
                self._demand_open()
                self._received += self._carrier.read(n - len(self._received), deadline.left_s())
        except TimeoutError as error:
            raise DeviceTimeoutError(f"no answer from the phone within {deadline.timeout_s:g} s") from error
        except OSError as error:
            raise self.lost(str(error)) from error

    def _demand_open(self) -> None:
        if not self._is_open:
            raise DeviceLostError("the connection to the phone is closed; connect again")

    def lost(self, reason: str) -> DeviceLostError:
        """Close the channel, and return the error that says why."""
        self.close()
        return DeviceLostError(f"the connection to the phone broke: {reason}")

    def close(self) -> None:
        """Close the carrier; a second time does nothing."""
        self._is_open = False
        self._received.clear()
        self._carrier.close()
