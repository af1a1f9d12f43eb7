"""Heat and charge of a phone, as its services report them; ``None`` where they do not."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from devices._proc import number

#: ``dumpsys thermalservice`` prints cached temperatures too; those before this line are of an unknown age.
_CURRENT = "Current temperatures from HAL:"
_COOLING = "Current cooling devices from HAL:"

_STATUS = re.compile(r"^Thermal Status: ([0-6])\s*$", re.MULTILINE)
_TEMPERATURE = re.compile(
    r"^\s*Temperature\{mValue=(-?[0-9]{1,6}(?:\.[0-9]{1,9})?), mType=([0-9]{1,2}), mName=[^\n]{0,128}\}\s*$",
    re.MULTILINE,
)
_COOLING_DEVICE = re.compile(
    r"^\s*CoolingDevice\{mValue=([0-9]{1,9}), mType=([0-9]{1,2}), mName=([^\n,}]{1,64})[^\n]{0,128}\}\s*$",
    re.MULTILINE,
)
_BATTERY_LINE = re.compile(r"^\s*([A-Za-z][A-Za-z ]{0,40}): (\S{1,32})\s*$", re.MULTILINE)

#: Android's numbers for kinds of temperature: processor, graphics, battery, skin, neural processor.
_CPU, _GPU, _BATTERY, _SKIN, _NPU = 0, 1, 2, 3, 9

#: Kinds of cooling device that slow computing down: processor, graphics, neural processor, component, tensor
#: processor. A fan runs, a charger or a modem is slowed down, without a latency changing.
_SLOWING = frozenset({2, 3, 5, 6, 7})

#: Degrees Celsius. An absent sensor reads 0.0, a broken one anything.
_COLDEST_C, _HOTTEST_C = 1.0, 110.0

#: Zones of the kernel give thousandths, tenths or whole degrees, and do not name their unit; no phone in use
#: is colder than this.
_COLDEST_ZONE_C = 10.0

#: ``BatteryManager.BATTERY_STATUS_CHARGING``.
_CHARGING = 2

#: What the service prints once somebody has set a value, until ``dumpsys battery reset``.
_FAKED = re.compile(r"^\s*\(UPDATES STOPPED\b", re.MULTILINE)

_SUPPLIES = ("AC powered", "USB powered", "Wireless powered", "Dock powered")


@dataclass(frozen=True)
class Heat:
    """What ``dumpsys thermalservice`` reports.

    Attributes:
        status: 0 (none) to 6 (shutdown).
        hottest_c: Hottest of processor, graphics, neural processor, skin and battery.
        skin_c: Hottest point of the surface.
        cooling: Names of what slows computing down now.
    """

    status: int | None = None
    hottest_c: float | None = None
    skin_c: float | None = None
    cooling: tuple[str, ...] = ()


@dataclass(frozen=True)
class Battery:
    """What ``dumpsys battery`` reports; boards and TV boxes without a battery report charge and heat of none.

    Attributes:
        percent: Charge.
        temperature_c: Its temperature.
        is_charging: Whether it is being charged.
        supplies: What powers the phone beside the battery.
        is_faked: Whether the service shows values that somebody has set; none of them is taken over.
    """

    percent: float | None = None
    temperature_c: float | None = None
    is_charging: bool | None = None
    supplies: tuple[str, ...] = ()
    is_faked: bool = False


def heat(thermalservice: str) -> Heat:
    """Read the output of ``dumpsys thermalservice`` (Android 10 and later)."""
    status = _STATUS.search(thermalservice)
    _, _, current = thermalservice.partition(_CURRENT)
    temperatures, _, cooling = current.partition(_COOLING)
    readings = [(float(match[1]), int(match[2])) for match in _TEMPERATURE.finditer(temperatures)]
    return Heat(
        status=int(status[1]) if status else None,
        hottest_c=_hottest(value for value, kind in readings if kind in (_CPU, _GPU, _BATTERY, _SKIN, _NPU)),
        skin_c=_hottest(value for value, kind in readings if kind == _SKIN),
        cooling=tuple(
            match[3].strip()
            for match in _COOLING_DEVICE.finditer(cooling)
            if int(match[2]) in _SLOWING and int(match[1]) > 0
        ),
    )


def battery(dumped: str) -> Battery:
    """Read the output of ``dumpsys battery``."""
    if _FAKED.search(dumped):
        return Battery(is_faked=True)
    found: dict[str, str] = {}
    for match in _BATTERY_LINE.finditer(dumped):
        found.setdefault(match[1], match[2])  # makers append lines of their own, which repeat names
    supplies = tuple(name for name in _SUPPLIES if found.get(name) == "true")
    if found.get("present", "").lower() == "false":
        return Battery(supplies=supplies)
    level, scale = number(found.get("level", "")), number(found.get("scale", "100"))
    tenths, status = number(found.get("temperature", "")), number(found.get("status", ""))
    return Battery(
        percent=100 * level / scale if level is not None and scale and 0 <= level <= scale else None,
        temperature_c=None if tenths is None else _hottest([tenths / 10]),
        is_charging=None if status is None else status == _CHARGING,
        supplies=supplies,
    )


def zones_c(temperatures: Iterable[str]) -> float | None:
    """Return the highest plausible one of ``thermal_zone*/temp`` texts, whatever their unit."""
    readings = [reading for reading in map(number, temperatures) if reading is not None]
    scaled = [(reading, reading / 10, reading / 1000) for reading in readings]
    plausible = (
        next((value for value in values if _COLDEST_ZONE_C <= value <= _HOTTEST_C), None) for values in scaled
    )
    return max((value for value in plausible if value is not None), default=None)


def _hottest(values: Iterable[float]) -> float | None:
    return max((value for value in values if _COLDEST_C <= value <= _HOTTEST_C), default=None)
