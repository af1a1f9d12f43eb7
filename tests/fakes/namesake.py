"""Scripted phones of one serial number, as cheap ones leave the factory: a plug-in from outside.

``tests.fakes.namesake:N`` is the one of boot N.
"""

from dataclasses import replace
from typing import Self

from devices import DeviceInfo, Fake

SERIAL_HASH = "0123456789abcdef"


class Namesake(Fake):
    """A fake device with the serial number of many others, and a boot of its own."""

    boot = ""

    @classmethod
    def connect(cls, address: str) -> Self:
        """Connect to the phone of boot ``address``."""
        device = cls()
        device.boot = address
        return device

    def info(self) -> DeviceInfo:
        """Return what all of them are."""
        return replace(super().info(), serial_hash=SERIAL_HASH)

    def boot_id(self) -> str:
        """Return the phone's own boot."""
        return self.boot
