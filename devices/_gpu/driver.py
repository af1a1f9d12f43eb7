"""What is asked of a card's driver."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Pulse:
    """By what a block of calls that just ended may not count; ``None`` where the card does not report it.

    Attributes:
        clock_mhz: Present clock of its processors; ``None`` too where they sleep.
        base_clock_mhz: Clock that it is built to sustain.
        throttling: Names of what holds its clock down.
        others: How many processes of others work on it.
    """

    clock_mhz: float | None = None
    base_clock_mhz: float | None = None
    throttling: tuple[str, ...] = ()
    others: int | None = None


@dataclass(frozen=True)
class Readings:
    """What else a card reports now.

    Attributes:
        memory_clock_mhz: Clock of its memory.
        temperature_c: Its hottest sensor.
        power_w: What it draws.
    """

    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None


class Driver:
    """A card's driver; this one tells nothing, and holds no clock."""

    def pulse(self) -> Pulse:
        """Return what may disturb a block, within a millisecond; in ten where all processes are listed anew.

        Raises:
            DeviceLostError: The card is gone.
        """
        return Pulse()

    def readings(self) -> Readings:
        """Return what else the card reports.

        Raises:
            DeviceLostError: The card is gone.
        """
        return Readings()

    def energy_j(self) -> float | None:
        """Return the joules used since some moment; ``None``: it does not tell."""
        return None

    def settings(self) -> Mapping[str, str]:
        """Return what ``hold`` changes, as it stands now; empty where the clock cannot be held."""
        return {}

    def hold(self) -> bool:
        """Hold the clock where the card can sustain it; tell whether that was permitted."""
        return False

    def restore(self, settings: Mapping[str, str]) -> bool:
        """Set again what ``settings`` returned before, not trusted; tell whether the driver took it."""
        return not settings

    def close(self) -> None:
        """Release the driver; twice is allowed."""
