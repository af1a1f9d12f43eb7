"""Hardware to measure on: one file per kind of device."""

from devices._device import (
    Accelerator,
    Adapter,
    Completed,
    Conversation,
    Device,
    DeviceInfo,
    DeviceState,
    HostDevice,
    RemoteDevice,
    RemoteHost,
    ThreadUse,
)
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices.fake import Fake
from devices.foundation.errors import CarsHwError
from devices.foundation.plugins import load_plugin, plugin_names

__all__ = [
    "Accelerator",
    "Adapter",
    "CarsHwError",
    "Completed",
    "Conversation",
    "Device",
    "DeviceError",
    "DeviceInfo",
    "DeviceLostError",
    "DeviceState",
    "DeviceTimeoutError",
    "Fake",
    "HostDevice",
    "RemoteDevice",
    "RemoteHost",
    "ThreadUse",
    "addresses",
    "connect",
    "names",
]


def connect(text: str) -> Device:
    """Connect to the device that ``text`` names: ``NAME`` or ``NAME:ADDRESS`` (``cpu``, ``cpu:1``).

    All that follows the first colon is the address, whose form is the device's own.

    Raises:
        UnknownNameError: There is no such kind of device.
        DeviceError: The device cannot be reached or used.
    """
    name, _, address = text.partition(":")
    return load_plugin("devices", name, Device, what="device").connect(address)


def names() -> tuple[str, ...]:
    """List the kinds of device of this project."""
    return plugin_names("devices")


def addresses(name: str) -> list[str]:
    """List what ``connect`` takes now for devices of the kind ``name``: ``cpu``, ``android:SERIAL``.

    Raises:
        UnknownNameError: There is no such kind of device.
        DeviceError: They cannot be found out; the message names the remedy.
    """
    found = load_plugin("devices", name, Device, what="device").addresses()
    return [f"{name}:{address}" if address else name for address in found]
