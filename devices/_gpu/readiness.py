"""When a card is fit to be measured on, and when a block of calls on it does not count."""

from devices._gpu.driver import Pulse

#: Of the clock that the card sustains: NVIDIA's own nvbench discards what ran below it.
_LEAST_CLOCK = 0.75


def disturbance(now: Pulse, sustained_mhz: float | None) -> str | None:
    """Return why the block that just ended does not count; ``None``: it does.

    Args:
        now: What the card reports.
        sustained_mhz: The clock that it sustains; ``None`` where that is not known.
    """
    if now.others:
        return f"{_counted(now.others)} on the card"
    if now.throttling:
        return f"the card throttles: {', '.join(now.throttling)}"
    if now.clock_mhz is None or sustained_mhz is None:
        return None
    if now.clock_mhz < _LEAST_CLOCK * sustained_mhz:
        return (
            f"the card's clock is {now.clock_mhz:.0f} MHz, below {100 * _LEAST_CLOCK:.0f} % of the "
            f"{sustained_mhz:.0f} MHz that it sustains"
        )
    return None


def why_not_ready(now: Pulse) -> str | None:
    """Return why measuring now would mislead, and what helps; ``None``: the card is fit."""
    if now.others:
        return f"{_counted(now.others)} on the card: wait until it has none, or end them"
    return None


def signs_of_heat(now: Pulse) -> str | None:
    """Return what slows the card down, and what helps; ``None``: it reports nothing of it."""
    if now.throttling:
        return (
            f"the card throttles ({', '.join(now.throttling)}): let it cool, give it more air, "
            "or raise its power limit"
        )
    return None


def _counted(others: int) -> str:
    return "1 process of others works" if others == 1 else f"{others} processes of others work"
