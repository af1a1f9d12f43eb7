"""When a board is fit to be measured on: what its supply, governor and sensors report, and what helps.

As on phones, heat explains what a reference workload finds; a supply that is too weak and a governor that
holds clocks low do not pass by waiting, and decide.
"""

from dataclasses import dataclass, field

from devices._linux.sensors import Heat, Power, Tegra

#: Governors that keep clocks low, or raise them slowly, whatever runs.
_SLOW_GOVERNORS = ("powersave", "conservative")

#: Jetsons slow down between 95 and 99 °C of their hottest junction; a few degrees of reserve for one entry.
_WARMEST_TEGRA_C = 90.0

#: Signs of heat among what ``vcgencmd get_throttled`` names.
_OF_HEAT = ("throttling", "the soft temperature limit", "a capped clock")


@dataclass(frozen=True)
class Fitness:
    """What decides whether a board is fit to be measured on.

    Attributes:
        heat: Of the kernel's sensors.
        power: Of its supply, and what throttles.
        tegra: Of ``tegrastats``, on a Jetson.
        governors: Of the processors that are measured.
    """

    heat: Heat = field(default_factory=Heat)
    power: Power = field(default_factory=Power)
    tegra: Tegra = field(default_factory=Tegra)
    governors: tuple[str, ...] = ()


def why_not_ready(now: Fitness, at_start: Fitness) -> str | None:
    """Return what makes the board unfit whatever its speed, and what helps; ``None``: it is fit.

    Args:
        now: What it reports now.
        at_start: What it reported when measuring began.
    """
    found = (
        _supply(now.power),
        _governor(now.governors),
        _silence(now.heat.hottest_c, at_start.heat.hottest_c),
    )
    return next((text for text in found if text is not None), None)


def signs_of_heat(now: Fitness, at_start: Fitness) -> str | None:
    """Return what the board reports of its heat, the most telling first, and what helps; ``None``: nothing.

    Args:
        now: What it reports now.
        at_start: What it reported when measuring began.
    """
    found = (
        _throttling(now.power),
        _cooling(now),
        _since(now.power, at_start.power),
    )
    return next((text for text in found if text is not None), None)


def _supply(power: Power) -> str | None:
    if "under-voltage" in power.throttling:
        return (
            "under-voltage: the board lowers its clocks; give it a stronger supply and a short, thick cable"
        )
    return None


def _governor(governors: tuple[str, ...]) -> str | None:
    slow = next((name for name in governors if name in _SLOW_GOVERNORS), None)
    if slow is None:
        return None
    return (
        f"the governor {slow} holds clocks low: run `echo performance | sudo tee "
        "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor` there"
    )


def _silence(value_c: float | None, value_at_start_c: float | None) -> str | None:
    if value_c is None and value_at_start_c is not None:
        return "the board no longer reports its temperature; wait, or restart it"
    return None


def _throttling(power: Power) -> str | None:
    names = [name for name in power.throttling if name in _OF_HEAT]
    return (
        f"the firmware reports {' and '.join(names)}: let the board cool, or give it a fan" if names else None
    )


def _cooling(now: Fitness) -> str | None:
    if now.heat.cooling:
        return f"{now.heat.cooling[0]} slows the board down to cool it: let it cool, or give it a fan"
    if now.heat.over is not None:
        name, temperature_c = now.heat.over
        return f"{name} at {temperature_c:.1f} °C, where it is slowed down: let it cool, or give it a fan"
    hottest = now.tegra.hottest
    if hottest is not None and hottest[1] >= _WARMEST_TEGRA_C:
        return f"{hottest[0]} at {hottest[1]:.1f} °C, above {_WARMEST_TEGRA_C:.0f}: let it cool"
    return None


def _since(now: Power, at_start: Power) -> str | None:
    """Return what has happened since measuring began, though it is over."""
    new = [name for name in now.happened if name not in at_start.happened]
    if new:
        return f"{' and '.join(new)} came and went while measuring: cool the board, and check its supply"
    before, after = at_start.overcurrents, now.overcurrents
    if before is not None and after is not None and after > before:
        return "its supply was overloaded while measuring: use a stronger one, or a lower `nvpmodel`"
    return None
