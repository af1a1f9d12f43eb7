"""When a phone is fit to be measured on: limits, each with its reason, and what to do about it.

Heat alone is no such limit. On four phones under half an hour of load (megadetector-int8-ptq, sustained runs)
Android's thermal status lagged the slowing by minutes or never moved, stood at severe while speed was flat,
and two batteries passed 35 °C within five minutes. So a reference workload tells whether a phone is slow;
what it reports of its heat explains, and decides only at ``critical``, or where no such workload runs.
"""

from dataclasses import dataclass

from devices._android.sensors import Battery, Heat

#: Android calls 1 "light": the system slows down already, though nobody notices.
_LEAST_THROTTLING = 1

#: "critical": the platform has done all it can to lower power, and what runs may be ended.
_LEAST_CRITICAL = 4
_STATUS_NAMES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

#: Makers lower clocks from about 40 °C of skin on, without any status; two degrees of reserve for one entry.
_WARMEST_SKIN_C = 38.0

#: What MLPerf Mobile's conditions come down to: a room of 20 to 25 °C and a phone at rest before each run.
_WARMEST_BATTERY_C = 35.0

#: Battery savers start between 15 and 20 %.
_LEAST_BATTERY_PERCENT = 20.0


@dataclass(frozen=True)
class Fitness:
    """What decides whether a phone is fit to be measured on.

    Attributes:
        heat: Its temperatures.
        battery: Its charge.
        is_saving: Whether the battery saver is on.
    """

    heat: Heat
    battery: Battery
    is_saving: bool | None = None


def why_not_ready(now: Fitness, at_start: Fitness) -> str | None:
    """Return what makes the phone unfit whatever its speed, and what helps; ``None``: it is fit.

    Args:
        now: What it reports now.
        at_start: What it reported when measuring began; a battery that reports nothing since may be empty.
    """
    found = (
        _throttling(now.heat, _LEAST_CRITICAL),
        _faked(now.battery),
        _silence("battery level", now.battery.percent, at_start.battery.percent),
        _charge(now),
        _cable(now.battery, at_start.battery),
    )
    return next((text for text in found if text is not None), None)


def signs_of_heat(now: Fitness, at_start: Fitness) -> str | None:
    """Return what the phone reports of its heat, the most telling first, and what helps; ``None``: nothing.

    Args:
        now: What it reports now.
        at_start: What it reported when measuring began; a sensor that reports nothing since may hide heat.
    """
    found = (
        _throttling(now.heat, _LEAST_THROTTLING),
        _warmth(now),
        _silence("thermal status", now.heat.status, at_start.heat.status),
        _silence("skin temperature", now.heat.skin_c, at_start.heat.skin_c),
    )
    return next((text for text in found if text is not None), None)


def _throttling(heat: Heat, least: int) -> str | None:
    if heat.status is None or heat.status < least:
        return None
    return f"thermal status {heat.status} ({_STATUS_NAMES[heat.status]}): the phone throttles; let it cool"


def _warmth(now: Fitness) -> str | None:
    heat, battery_c = now.heat, now.battery.temperature_c
    if heat.cooling:
        return f"{heat.cooling[0]} slows the phone down to cool it; let it cool"
    if heat.skin_c is not None and heat.skin_c > _WARMEST_SKIN_C:
        return f"skin at {heat.skin_c:.1f} °C, above {_WARMEST_SKIN_C:.0f}: let it cool, out of its case"
    if battery_c is not None and battery_c > _WARMEST_BATTERY_C:
        return f"battery at {battery_c:.1f} °C, above {_WARMEST_BATTERY_C:.0f}: let it cool"
    return None


def _faked(battery: Battery) -> str | None:
    if battery.is_faked:
        return (
            "the phone reports faked values of its battery (UPDATES STOPPED), which may hide its heat and "
            "charge: run `adb shell dumpsys battery reset`"
        )
    return None


def _silence(name: str, value: float | None, value_at_start: float | None) -> str | None:
    if value is None and value_at_start is not None:
        return f"the phone no longer reports its {name}; wait, or restart it"
    return None


def _charge(now: Fitness) -> str | None:
    battery = now.battery
    if battery.percent is not None and battery.percent < _LEAST_BATTERY_PERCENT:
        return f"battery at {battery.percent:.0f} %, below {_LEAST_BATTERY_PERCENT:.0f}: charge it first"
    if now.is_saving:
        return "the battery saver lowers the clocks: turn it off"
    return None


def _cable(now: Battery, at_start: Battery) -> str | None:
    if now.supplies == at_start.supplies or at_start.is_faked:
        return None
    names = [", ".join(battery.supplies) or "battery alone" for battery in (at_start, now)]
    return f"power changed from {names[0]} to {names[1]} while measuring: restore it, or measure anew"
