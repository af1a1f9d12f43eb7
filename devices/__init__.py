"""Hardware to measure on: one file per kind of device."""

from devices._device import Completed, Device, DeviceInfo, DeviceState, HostDevice, RemoteDevice
from devices.foundation.errors import CarsHwError
from devices.foundation.plugins import load_plugin, plugin_names

__all__ = [
    "CarsHwError",
    "Completed",
    "Device",
    "DeviceInfo",
    "DeviceState",
    "HostDevice",
    "RemoteDevice",
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
