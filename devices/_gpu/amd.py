"""The driver of AMD's cards: the files of the kernel's ``amdgpu``."""

import re
import struct
from collections.abc import Mapping

from devices._gpu.driver import Driver, Pulse, Readings
from devices._gpu.processes import Clients
from devices._gpu.sysfs import Files

#: What the driver does with the clock, and what it is told; ``profile_standard`` is a fixed clock, the same
#: for all cards of a kind, that they can sustain. Where it stands at ``manual`` or ``perf_determinism``,
#: somebody has chosen clocks, which the name alone would not bring back.
_LEVEL = "device/power_dpm_force_performance_level"
_LEVELS = ("auto", "low", "high", "profile_standard", "profile_min_sclk", "profile_min_mclk", "profile_peak")
_FIXED = "profile_standard"

#: The line of ``pp_dpm_sclk`` and ``pp_dpm_mclk`` that holds now: ``1: 2304Mhz *``.
_PRESENT = re.compile(r"^[0-9]{1,2}: ([0-9]{1,5})M[Hh]z \*$", re.MULTILINE)

#: Where ``gpu_metrics`` of a version has the throttling that is the same for all chips (kgd_pp_interface.h).
_OFFSETS = {(1, 3): 112, (2, 2): 120, (2, 3): 120, (2, 4): 120}

#: What each sixteen bits of it are about.
_LIMITS = ("power", "current", "temperature", "other limits")


class Amd(Driver):
    """An AMD card.

    Args:
        files: Its files.
        clients: Who else has it open.
    """

    def __init__(self, files: Files, clients: Clients) -> None:
        self._files, self._clients = files, clients

    def pulse(self) -> Pulse:
        self._files.require_in_place()
        return Pulse(
            clock_mhz=self._clock_mhz("sclk"), throttling=self._throttling(), others=self._clients.busy()
        )

    def readings(self) -> Readings:
        self._files.require_in_place()
        power_uw = self._sensor("power1_average") or self._sensor("power1_input")
        return Readings(
            self._clock_mhz("mclk"), self._files.hottest_c(), None if power_uw is None else power_uw / 1e6
        )

    def settings(self) -> Mapping[str, str]:
        level = self._files.text(_LEVEL)
        return {"level": level} if level in _LEVELS else {}

    def hold(self) -> bool:
        """Hold the clock at the one that AMD has profiled with."""
        return self._files.write(_LEVEL, _FIXED)

    def restore(self, settings: Mapping[str, str]) -> bool:
        return settings.get("level") in _LEVELS and self._files.write(_LEVEL, settings["level"])

    def _clock_mhz(self, name: str) -> float | None:
        """Return a clock, by the sensor of its name, else the step that is marked; asleep it has none."""
        for label in self._files.found("device/hwmon/hwmon*/freq*_label"):
            if self._files.text(label) == name:
                hz = self._files.number(label.removesuffix("label") + "input")
                return hz / 1e6 if hz else None
        present = _PRESENT.search(self._files.text(f"device/pp_dpm_{name}"))
        return float(present[1]) if present and present[1] != "0" else None

    def _sensor(self, name: str) -> float | None:
        return next(map(self._files.number, self._files.found(f"device/hwmon/hwmon*/{name}")), None)

    def _throttling(self) -> tuple[str, ...]:
        """Return what limits the clock; nothing too where the metrics are of another version."""
        metrics = self._files.content("device/gpu_metrics")
        offset = _OFFSETS.get((metrics[2], metrics[3])) if len(metrics) > 3 else None
        if offset is None or len(metrics) < offset + 8:
            return ()
        (bits,) = struct.unpack_from("<Q", metrics, offset)
        if bits == 0xFFFF_FFFF_FFFF_FFFF:  # what this chip does not report
            return ()
        return tuple(name for i, name in enumerate(_LIMITS) if bits >> 16 * i & 0xFFFF)
