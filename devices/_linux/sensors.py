"""Heat, power and clocks of a board, as its kernel and its maker's tools report them; ``None`` where not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from devices import _proc
from devices.foundation.text import plain

#: Degrees Celsius; a reading outside of these is an absent or broken sensor.
_COLDEST_C, _HOTTEST_C = 1.0, 150.0

#: Zones that give a constant: Jetson's power chip stands at 100 °C, whatever happens.
_CONSTANT = re.compile(r"pmic", re.IGNORECASE)

#: Cooling devices that slow computing down; a fan does not.
_SLOWING = re.compile(r"(thermal-)?(cpufreq|devfreq|cpuidle|idle)\b.*|Processor|intel_powerclamp")

_ZONE = re.compile(
    r"^(thermal_zone[0-9]{1,3}|cooling_device[0-9]{1,3})/([a-z0-9_]{1,40}):([^\n]{1,64})$", re.MULTILINE
)
_ALARM = re.compile(
    r"^hwmon[0-9]{1,3}/(in[0-9]_lcrit_alarm|oc[0-9]{1,2}_event_cnt):([0-9]{1,9})$", re.MULTILINE
)

#: ``vcgencmd get_throttled``, or the same number from the firmware's file.
_THROTTLED = re.compile(r"\s*(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})\s*")

#: Its bits, as Raspberry Pi documents them. The same 16 places higher: it has happened since the start.
_NOW = {0: "under-voltage", 1: "a capped clock", 2: "throttling", 3: "the soft temperature limit"}

_TEMPERATURE = re.compile(r"(?:^| )([A-Za-z][A-Za-z0-9_]{0,31})@(-?[0-9]{1,4}(?:\.[0-9]{1,4})?)C(?= |$)")


@dataclass(frozen=True)
class Heat:
    """What the kernel's thermal zones report.

    Attributes:
        hottest_c: Hottest plausible sensor.
        over: Name and temperature of a zone above the point at which its processor is slowed down.
        cooling: Names of what slows computing down now.
    """

    hottest_c: float | None = None
    over: tuple[str, float] | None = None
    cooling: tuple[str, ...] = ()


@dataclass(frozen=True)
class Power:
    """What tells of supply and throttling.

    Attributes:
        throttling: Names of what holds the clocks down now.
        happened: Names of what has held them down since the board started.
        overcurrents: How often a Jetson's supply was overloaded since then.
    """

    throttling: tuple[str, ...] = ()
    happened: tuple[str, ...] = ()
    overcurrents: int | None = None


@dataclass(frozen=True)
class Tegra:
    """A line of ``tegrastats``.

    Attributes:
        temperatures_c: By sensor.
    """

    temperatures_c: Mapping[str, float] = field(default_factory=dict)

    @property
    def hottest(self) -> tuple[str, float] | None:
        """The hottest sensor and its temperature."""
        return max(self.temperatures_c.items(), key=lambda item: item[1], default=None)


def heat(reports: str) -> Heat:
    """Read lines ``thermal_zone0/temp:48000`` of zones, of their trip points, and of cooling devices."""
    found: dict[str, dict[str, str]] = {}
    for folder, name, text in _ZONE.findall(reports):
        found.setdefault(folder, {})[name] = plain(text)
    zones = {
        folder: (name, temperature_c)
        for folder, files in found.items()
        if not _CONSTANT.search(name := files.get("type", folder))
        and (temperature_c := _proc.hottest_c([files.get("temp", "")])) is not None
    }
    over = [
        (name, temperature_c)
        for folder, (name, temperature_c) in zones.items()
        if temperature_c >= _slowed_from_c(found[folder])
    ]
    cooling = [
        files["type"]
        for files in found.values()
        if _SLOWING.fullmatch(files.get("type", "")) and (_proc.number(files.get("cur_state", "")) or 0) > 0
    ]
    return Heat(
        max((temperature_c for _, temperature_c in zones.values()), default=None),
        max(over, key=lambda one: one[1], default=None),
        tuple(dict.fromkeys(cooling)),
    )


def power(throttled: str, alarms: str) -> Power:
    """Read ``vcgencmd get_throttled``, and lines ``hwmon1/in0_lcrit_alarm:1`` of the kernel's monitors."""
    match = _THROTTLED.fullmatch(throttled)
    bits = int(match[1], 16) if match else 0
    counts = _ALARM.findall(alarms)
    now = {name for bit, name in _NOW.items() if bits >> bit & 1}
    if any(name.startswith("in") and value != "0" for name, value in counts):
        now.add("under-voltage")
    events = [int(value) for name, value in counts if name.startswith("oc")]
    return Power(
        tuple(name for name in _NOW.values() if name in now),
        tuple(name for bit, name in _NOW.items() if bits >> bit + 16 & 1),
        sum(events) if events else None,
    )


def tegra(tegrastats: str) -> Tegra:
    """Read the last whole line of ``tegrastats``."""
    line = next((line for line in reversed(tegrastats.splitlines()) if "RAM " in line), "")
    temperatures_c = {
        name: float(text)
        for name, text in _TEMPERATURE.findall(line)
        if not _CONSTANT.search(name) and _COLDEST_C <= float(text) <= _HOTTEST_C
    }
    return Tegra(temperatures_c)


def _slowed_from_c(files: Mapping[str, str]) -> float:
    """Return the lowest temperature at which the kernel slows a zone's processor down."""
    points = [
        milli_c / 1e3
        for name, kind in files.items()
        if name.startswith("trip_point_")
        and name.endswith("_type")
        and kind == "passive"
        and (milli_c := _proc.number(files.get(name.removesuffix("type") + "temp", ""))) is not None
        and milli_c > 0
    ]
    return min(points, default=float("inf"))
