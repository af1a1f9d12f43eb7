"""When a phone is fit to be measured on: limits, each with its reason, and what to do about it."""

from dataclasses import dataclass

from devices._android.sensors import Battery, Heat

#: Android calls 1 "light": the system slows down already, though nobody notices.
_LEAST_THROTTLING = 1
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
    """Return what makes the phone unfit, the most pressing first, and what helps; ``None``: it is fit.

    Args:
        now: What it reports now.
        at_start: What it reported when measuring began; a sensor that reports nothing since may hide heat.
    """
    found = (
        _heat(now.heat),
        _faked(now.battery),
        _silence(now, at_start),
        _charge(now),
        _cable(now.battery, at_start.battery),
    )
    return next((text for text in found if text is not None), None)


def _heat(heat: Heat) -> str | None:
    if heat.status is not None and heat.status >= _LEAST_THROTTLING:
        return (
            f"thermal status {heat.status} ({_STATUS_NAMES[heat.status]}): the phone throttles; let it cool"
        )
    if heat.cooling:
        return f"{heat.cooling[0]} slows the phone down to cool it; let it cool"
    if heat.skin_c is not None and heat.skin_c > _WARMEST_SKIN_C:
        return f"skin at {heat.skin_c:.1f} °C, above {_WARMEST_SKIN_C:.0f}: let it cool, out of its case"
    return None


def _faked(battery: Battery) -> str | None:
    if battery.is_faked:
        return (
            "the phone reports faked values of its battery (UPDATES STOPPED), which may hide its heat and "
            "charge: run `adb shell dumpsys battery reset`"
        )
    return None


def _silence(now: Fitness, at_start: Fitness) -> str | None:
    sensors = (
        ("thermal status", now.heat.status, at_start.heat.status),
        ("skin temperature", now.heat.skin_c, at_start.heat.skin_c),
        ("battery level", now.battery.percent, at_start.battery.percent),
    )
    for name, value, value_at_start in sensors:
        if value is None and value_at_start is not None:
            return f"the phone no longer reports its {name}; wait, or restart it"
    return None


def _charge(now: Fitness) -> str | None:
    battery = now.battery
    if battery.temperature_c is not None and battery.temperature_c > _WARMEST_BATTERY_C:
        return f"battery at {battery.temperature_c:.1f} °C, above {_WARMEST_BATTERY_C:.0f}: let it cool"
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
