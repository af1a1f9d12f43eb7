"""Errors of devices: those that cannot be reached or used."""

from devices.foundation.errors import CarsHwError


class DeviceError(CarsHwError):
    """A device that cannot be reached or used."""


class DeviceLostError(DeviceError):
    """A device that went away, or restarted, while it was in use; what was measured before is kept."""


class DeviceTimeoutError(DeviceError):
    """A program on a device that took longer than it may; it was killed."""
