"""The phones that an adb server lists: how each is named, its state, and what makes it usable."""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from devices._errors import DeviceError, DeviceLostError
from devices.foundation.text import one_line, printable

#: Serials are shown up to here, and no longer ones are taken.
LONGEST_SERIAL = 256

#: What adb prints in place of a serial that a phone does not have; it is found under no such name.
_NO_SERIAL = "(no serial number)"

#: How adb names a connection of its own; for phones that their serials do not tell apart.
_TRANSPORT_ID = re.compile(r"transport_id:(?P<id>\d{1,19})")
_NETWORK_SERIAL = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]):\d{1,5}")

#: States of a phone that cannot be used: how they begin, what to do.
REMEDIES = {
    "unauthorized": "unlock it and accept this computer's key; no question there? revoke USB debugging "
    "authorizations in its developer options and plug it in again",
    "authorizing": "unlock it and accept this computer's key",
    "offline": "plug it in again, or switch its debugging off and on",
    "connecting": "wait, then repeat",
    "no permissions": "install Debian's android-sdk-platform-tools-common (udev rules), join the group "
    "plugdev, and plug it in again",
    "recovery": "start Android on it",
    "rescue": "start Android on it",
    "sideload": "start Android on it",
    "bootloader": "start Android on it",
    "host": "it is a computer that runs adb, no phone: connect the phone itself",
    "detached": "another program has taken it from adb: end that, then `adb attach` it",
    "unknown": "plug it in again",
}

#: States that may pass by themselves.
_PASSING = ("offline", "connecting", "authorizing")


@dataclass(frozen=True)
class ListedDevice:
    """A phone that the adb server knows.

    Attributes:
        serial: As ``adb devices`` prints it, in one line; not trusted.
        state: ``"device"`` when it can be used, or what the server reports, in one line: ``"unauthorized"``,
            ``"offline"``, ``"no permissions (...)"``.
        transport_id: The server's own number for its connection to it; 0 where it was not asked for.
        port: Where it is plugged in, ``"usb:1-4"``; empty where it was not asked for.
    """

    serial: str
    state: str
    transport_id: int = 0
    port: str = ""

    @property
    def address(self) -> str:
        """By what it is connected to: the serial, or ``transport_id:N`` where that names no single phone."""
        return f"transport_id:{self.transport_id}" if self.transport_id else self.serial

    def remedy(self) -> str:
        """Return what makes the phone usable; empty when it is."""
        if self.state == "device":
            return ""
        known = (remedy for state, remedy in REMEDIES.items() if self.state.startswith(state))
        return next(known, "plug it in again")


def parsed(listing: str) -> list[ListedDevice]:
    """Return the phones in the answer to ``host:devices``: lines of serial, tabulator and state."""
    pairs = (line.partition("\t") for line in listing.split("\n") if line.strip())
    return [
        ListedDevice(printable(serial[:LONGEST_SERIAL]) or _NO_SERIAL, one_line(state) or "unknown")
        for serial, _, state in pairs
    ]


def are_ambiguous(listed: Sequence[ListedDevice]) -> bool:
    """Tell whether there is a phone among them that its serial does not name."""
    return any(_is_ambiguous(device, listed) for device in listed)


def told_apart(listed: Sequence[ListedDevice], long_listing: str) -> list[ListedDevice]:
    """Give each phone that its serial does not name the number of its connection.

    Args:
        listed: What ``host:devices`` answered.
        long_listing: What ``host:devices-l`` answered: the same phones, with ``usb:1-4`` and
            ``transport_id:3`` at the end of each line. Where it does not fit, no phone gets a number.
    """
    lines = [line for line in long_listing.split("\n") if line.strip()]
    fits = len(lines) == len(listed) and all(
        printable(line).startswith(device.serial)
        for line, device in zip(lines, listed, strict=True)
        if device.serial != _NO_SERIAL
    )
    if not fits:
        return list(listed)
    return [
        _numbered(device, line) if _is_ambiguous(device, listed) else device
        for device, line in zip(listed, lines, strict=True)
    ]


def transport_id(address: str) -> int:
    """Return the number in ``transport_id:N``; 0 where the address is a serial."""
    match = _TRANSPORT_ID.fullmatch(address)
    return int(match["id"]) if match else 0


def is_on_network(serial: str) -> bool:
    """Tell whether the server can be told to connect to ``serial``."""
    return not transport_id(serial) and _NETWORK_SERIAL.fullmatch(serial) is not None


def demand_usable(address: str, listed: Sequence[ListedDevice]) -> None:
    """Refuse a phone that cannot be used.

    Args:
        address: The phone: its serial, or ``transport_id:N``.
        listed: What the server knows.

    Raises:
        DeviceLostError: It is not among them, or not yet.
        DeviceError: Its state forbids it, or several have that serial; the message names the remedy.
    """
    number = transport_id(address)
    found = [
        device for device in listed if address == device.address or (not number and address == device.serial)
    ]
    if len(found) > 1:
        raise DeviceError(
            f"the adb server knows {len(found)} phones by the serial {address}: {choices(found)}"
        )
    for device in found:
        if device.state != "device":
            kind = DeviceLostError if device.state in _PASSING else DeviceError
            raise kind(f"{device.serial} is {device.state}: {device.remedy()}")
        if device.address == _NO_SERIAL:
            raise DeviceError(
                "the adb server has no name for a phone without a serial number; name it directly: "
                "android:tcp:HOST:PORT"
            )
        return
    known = ", ".join(device.address for device in listed) or "none"
    way = f"`{shlex.join(['adb', 'connect', address])}`" if is_on_network(address) else "`adb connect` it"
    raise DeviceLostError(f"the adb server knows no {address!r} (it knows: {known}); plug it in, or {way}")


def choices(listed: Sequence[ListedDevice]) -> str:
    """Return the phones, and how a command line names one of them; quoted, so that it can be pasted."""
    names = ", ".join(f"{_place(device)} ({device.state})" for device in listed)
    usable = [device for device in listed if device.state == "device"] or list(listed)
    if len({device.address for device in listed}) < len(listed):
        return f"{names}; unplug all but one, or name one directly: android:tcp:HOST:PORT"
    option = shlex.join(["--device", f"android:{usable[0].address}"])
    return f"{names}; name one: android:SERIAL, as in {option}"


def _place(device: ListedDevice) -> str:
    return f"{device.address} at {device.port}" if device.port else device.address


def _is_ambiguous(device: ListedDevice, listed: Sequence[ListedDevice]) -> bool:
    is_without = device.serial == _NO_SERIAL and device.state == "device"
    return is_without or Counter(other.serial for other in listed)[device.serial] > 1


def _numbered(device: ListedDevice, line: str) -> ListedDevice:
    words = line[len(device.serial) :].split()
    number = next((transport_id(word) for word in reversed(words) if transport_id(word)), 0)
    port = next((word for word in words if word.startswith("usb:")), "")
    return replace(device, transport_id=number, port=one_line(port))
