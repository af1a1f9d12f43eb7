"""A scripted phone that leaves when its clock was read so often: a plug-in from outside.

``tests.fakes.leaving:SERIAL/N`` is the one of that serial number, which leaves at the N-th reading.
"""

import itertools
from dataclasses import replace
from typing import Self

from devices import DeviceInfo, DeviceLostError, Fake


class Leaving(Fake):
    """A fake device with a serial number that is lost in the middle of measuring."""

    serial, readings = "", 0

    @classmethod
    def connect(cls, address: str) -> Self:
        """Connect to the phone ``SERIAL/N``; without ``/N``, it stays."""
        device = cls()
        device.serial, _, readings = address.partition("/")
        device.readings = int(readings or 1_000_000)
        device._read = itertools.count()
        return device

    def info(self) -> DeviceInfo:
        """Return an identity."""
        return replace(super().info(), serial_hash=self.serial)

    def clock_s(self) -> float:
        """Return the time, until it leaves.

        Raises:
            DeviceLostError: It has left.
        """
        if next(self._read) >= self.readings:
            raise DeviceLostError(f"{self.serial} was unplugged")
        return super().clock_s()
