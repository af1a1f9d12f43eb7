"""A phone's USB interface, claimed by ourselves; libusb is loaded only for it."""

from collections.abc import Callable, Iterable
from typing import Protocol

from adb_shell import exceptions

from devices._errors import DeviceError

#: What libusb's errors mean for the user; they are known by name, since the library may not be there.
_REASONS = {
    "USBErrorBusy": "an adb server owns its USB interface; go through that: android:SERIAL",
    "USBErrorAccess": "no permission for USB; install Debian's android-sdk-platform-tools-common",
    "USBErrorNoDevice": "it was unplugged",
}
_TIME_OUT = "USBErrorTimeout"


class UsbInterface(Protocol):
    """What adb-shell makes of a phone's USB interface."""

    @property
    def serial_number(self) -> str:
        """What the phone calls itself on USB."""
        ...

    def connect(self, transport_timeout_s: float) -> None:
        """Claim it."""
        ...

    def bulk_read(self, numbytes: int, transport_timeout_s: float) -> bytes:
        """Return at most ``numbytes`` bytes."""
        ...

    def bulk_write(self, data: bytes, transport_timeout_s: float) -> int:
        """Send a part of ``data``; return how much."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


def find(serial: str) -> UsbInterface:
    """Return the interface of the phone ``serial``.

    Raises:
        DeviceError: libusb is not installed, or there is no such phone, or more than one.
    """
    try:
        from adb_shell.transport.usb_transport import UsbTransport
    except (ImportError, OSError) as error:
        raise DeviceError(
            "USB without an adb server needs libusb: pip install 'cars-hw[usb]', and Debian's libusb-1.0-0; "
            "or go through the adb server: android:SERIAL"
        ) from error
    return only(UsbTransport.find_all_adb_devices(), serial)


def only(interfaces: Iterable[UsbInterface], serial: str) -> UsbInterface:
    """Return the one interface of the phone ``serial``: never the first of two.

    Raises:
        DeviceError: There is none, or more than one.
    """
    found = [interface for interface in interfaces if _serial(interface) == serial]
    if not found:
        raise DeviceError(
            f"no phone {serial[:64]!r} on USB; plug it in, enable debugging; udev must allow you USB"
        )
    if len(found) > 1:
        raise DeviceError(
            f"{len(found)} phones on USB have the serial {serial[:64]!r}; unplug all but one, or go through "
            "the adb server, which numbers them: android:SERIAL"
        )
    return found[0]


def _serial(interface: UsbInterface) -> str:
    """Return the serial of a phone; empty where USB may not be asked for it."""
    try:
        return interface.serial_number
    except _libusb_errors():
        return ""


class UsbCarrier:
    """Takes bytes over USB.

    Args:
        serial: The phone's serial number.
        find: How to find its interface, anew for each connection.
    """

    def __init__(self, serial: str, find: Callable[[str], UsbInterface] = find) -> None:
        self._serial = serial
        self._find = find
        self._interface: UsbInterface | None = None

    def connect(self, timeout_s: float) -> None:
        """Find the phone and claim its interface."""
        self.close()
        interface = self._find(self._serial)
        try:
            interface.connect(timeout_s)
        except _libusb_errors() as error:
            raise _failure(error) from error
        self._interface = interface

    def read(self, n: int, timeout_s: float) -> bytes:
        """Return at most ``n`` bytes; none where an empty packet ends a transfer."""
        try:
            return self._claimed().bulk_read(n, max(timeout_s, 0.001))  # 0 would mean for ever
        except exceptions.UsbReadFailedError as error:
            raise _failure(error.usb_error) from error

    def write(self, content: bytes | memoryview, timeout_s: float) -> int:
        """Send a part of ``content``; return how much."""
        try:
            return self._claimed().bulk_write(bytes(content), max(timeout_s, 0.001))
        except exceptions.UsbWriteFailedError as error:
            raise _failure(error.args[-1]) from error

    def _claimed(self) -> UsbInterface:
        if self._interface is None:
            raise ConnectionError("its USB interface is not claimed")
        return self._interface

    def close(self) -> None:
        """Release the interface; a second time does nothing."""
        if self._interface is not None:
            self._interface.close()
            self._interface = None


def _libusb_errors() -> tuple[type[Exception], ...]:
    try:
        import usb1
    except (ImportError, OSError):
        return ()
    return (usb1.USBError,)


def _failure(error: object) -> OSError:
    """Return what libusb's ``error`` is to those who know sockets only."""
    name = type(error).__name__
    if name == _TIME_OUT:
        return TimeoutError(name)
    return ConnectionError(_REASONS.get(name, f"USB: {name}"))
