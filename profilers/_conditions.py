"""What of a device's state is kept with an entry."""

from devices import DeviceState
from latency_tables import Conditions


def recorded(before: DeviceState, after: DeviceState) -> Conditions:
    """Return the conditions that hold between two states, without those that the device does not report."""
    found: dict[str, float | int | str | None] = {
        "load_before": before.load,
        "load_after": after.load,
        "steal_s": _difference(before.steal_s, after.steal_s),
        "clock_mhz_before": before.clock_mhz,
        "clock_mhz": after.clock_mhz,
        "mean_clock_mhz": after.mean_clock_mhz(before),
        "governor": after.governor,
        "is_clock_fixed": after.is_clock_fixed,
        "temperature_c": after.temperature_c,
        "skin_c": after.skin_c,
        "thermal_status": _highest(before.thermal_status, after.thermal_status),
        "cooling": _joined(before.cooling + after.cooling),
        "battery_percent": after.battery_percent,
        "battery_c": after.battery_c,
        "is_charging": after.is_charging,
        "affinity": _joined(after.affinity),
        "cpuset": after.cpuset,
        "threads": after.threads,
        "memory_clock_mhz": after.memory_clock_mhz,
        "base_clock_mhz": after.base_clock_mhz,
        "power_w": after.power_w,
        "throttling": _joined(before.throttling + after.throttling),
        "other_processes": _highest(before.other_processes, after.other_processes),
    }
    return {name: value for name, value in found.items() if value is not None}


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _highest(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _joined(values: tuple[object, ...]) -> str | None:
    return ",".join(dict.fromkeys(map(str, values))) or None
