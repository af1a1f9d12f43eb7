"""What is asked of a card's driver."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Readings:
    """What a card reports of itself now; ``None`` where it does not.

    Attributes:
        clock_mhz: Clock of its processors.
        base_clock_mhz: Clock that it is built to sustain.
        memory_clock_mhz: Clock of its memory.
        temperature_c: Its hottest sensor.
        power_w: What it draws.
        throttling: Names of what holds its clock down.
        others: How many processes of others use it.
    """

    clock_mhz: float | None = None
    base_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    throttling: tuple[str, ...] = ()
    others: int | None = None


class Driver:
    """A card's driver; this one tells nothing, and holds no clock."""

    def readings(self) -> Readings:
        """Return what the card reports now.

        Raises:
            DeviceLostError: The card is gone.
        """
        return Readings()

    def energy_j(self) -> float | None:
        """Return the joules used since some moment; ``None``: it does not tell."""
        return None

    def settings(self) -> Mapping[str, str]:
        """Return what holding the clock changes, as it stands now; empty where it cannot be held."""
        return {}

    def hold(self) -> float | None:
        """Hold the clock; return at how many MHz, or ``None`` where that is not permitted."""
        return None

    def restore(self, settings: Mapping[str, str]) -> bool:
        """Set again what ``settings`` returned before; tell whether the driver took it."""
        return not settings

    def close(self) -> None:
        """Release the driver."""
