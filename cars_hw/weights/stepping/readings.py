"""Readings: numbers that stay on the device until one of them is asked for; then all are read at once."""

import torch
from torch import Tensor


class Reading:
    """A number that is on the device, or was.

    Args:
        readings: Those among which it is read.
    """

    def __init__(self, readings: "Readings") -> None:
        self._readings = readings
        self.value: float | None = None

    def __float__(self) -> float:
        if self.value is None:
            self._readings.read()
        if self.value is None:
            raise RuntimeError("a number on the device is none of those that are read")
        return self.value

    def __repr__(self) -> str:
        return "<a number on the device>" if self.value is None else repr(self.value)


class Readings:
    """Numbers on one device."""

    def __init__(self) -> None:
        self._unread: list[tuple[Reading, Tensor]] = []

    def __len__(self) -> int:
        return len(self._unread)

    def add(self, number: Tensor) -> Reading:
        """Return a reading of ``number``, of no shape, as it is now."""
        reading = Reading(self)
        self._unread.append((reading, number))
        return reading

    def read(self) -> None:
        """Read all numbers that were not read yet, in one copy to the host."""
        if not self._unread:
            return
        values = torch.stack([number for _, number in self._unread]).tolist()
        for (reading, _), value in zip(self._unread, values, strict=True):
            reading.value = value
        # Only now: whoever is interrupted while it waits reads them another time.
        self._unread.clear()
