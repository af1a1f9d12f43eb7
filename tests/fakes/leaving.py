"""A scripted phone that leaves when its clock was read so often: a plug-in from outside.

``tests.fakes.leaving:SERIAL/N`` is the one of that serial number, which leaves at the N-th reading.
"""

from dataclasses import replace
from typing import Self

from devices import DeviceInfo, DeviceLostError, Fake


class Leaving(Fake):
    """A fake device with a serial number that is lost in the middle of measuring."""

    serial, left = "", 1_000_000

    @classmethod
    def connect(cls, address: str) -> Self:
        """Connect to the phone ``SERIAL/N``; without ``/N``, it stays."""
        device = cls()
        device.serial, _, readings = address.partition("/")
        device.left = int(readings) if readings else cls.left
        return device

    def info(self) -> DeviceInfo:
        """Return an identity."""
        return replace(super().info(), serial_hash=self.serial)

    def clock_s(self) -> float:
        """Return the time, until it leaves.

        Raises:
            DeviceLostError: It has left.
        """
        self.left -= 1
        if self.left < 0:
            raise DeviceLostError(f"{self.serial} was unplugged")
        return super().clock_s()
