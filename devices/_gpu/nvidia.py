"""The driver of NVIDIA's cards, through NVML."""

import time
from collections.abc import Callable, Mapping

from devices._errors import DeviceError
from devices._gpu.driver import Driver, Pulse, Readings
from devices._gpu.nvml import Nvml
from devices._gpu.processes import Family

#: NVML_CLOCK_SM, NVML_CLOCK_MEM; NVML_CLOCK_ID_APP_CLOCK_DEFAULT; NVML_TEMPERATURE_GPU.
_PROCESSORS, _MEMORY, _DEFAULT, _CHIP = 1, 2, 2, 0

#: NVML_CLOCK_LIMIT_ID_TDP: the clock that the card sustains within its power limit.
_SUSTAINED = 0xFFFF_FF01

#: Reasons for a lower clock that slow what runs; that it idles, or was told to, is none.
_THROTTLING = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}

#: Under both names of one function: drivers before 535 know the second.
_REASONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")

#: The driver samples what each process uses a few times a second; it is not asked more often, in seconds.
_SAMPLED_S = 0.1

#: For so long what a process used last holds where the driver has no newer sample: it takes one each second
#: at the least, and none of a process that uses nothing.
_HOLDS_S = 1.0


class Nvidia(Driver):
    """An NVIDIA card.

    Args:
        nvml: The library; it is initialised here, and given back by ``close``.
        uuid: The card's.
        family: Us.
        now_s: A monotonic time.

    Raises:
        DeviceError: The driver is gone, or the card.
    """

    def __init__(
        self, nvml: Nvml, uuid: str, family: Family, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        if not nvml.begin():
            raise DeviceError("NVIDIA's driver does not answer; `nvidia-smi` says why")
        self._nvml, self._family, self._now_s = nvml, family, now_s
        self._is_open = True
        try:
            self._handle = nvml.ask("nvmlDeviceGetHandleByUUID", uuid)
            if self._handle is None:
                raise DeviceError(f"NVIDIA's driver no longer shows the card {uuid}; restart the machine")
            self._base_mhz = self._whole("nvmlDeviceGetClock", _PROCESSORS, _DEFAULT)
        except DeviceError:
            self.close()
            raise
        self._counts_others = family.has_the_systems_numbers()
        self._asked_s: float | None = None
        self._sampled_us, self._sampled_s = 0, -_HOLDS_S
        self._at_work: set[int | None] = set()
        self._others: int | None = None

    def pulse(self) -> Pulse:
        reasons = next((n for n in map(self._whole, _REASONS) if n is not None), 0)
        return Pulse(
            self._whole("nvmlDeviceGetClockInfo", _PROCESSORS),
            self._base_mhz,
            tuple(name for bit, name in _THROTTLING.items() if reasons & bit),
            self._working() if self._counts_others else None,
        )

    def readings(self) -> Readings:
        power_mw = self._whole("nvmlDeviceGetPowerUsage")
        return Readings(
            self._whole("nvmlDeviceGetClockInfo", _MEMORY),
            self._whole("nvmlDeviceGetTemperature", _CHIP),
            None if power_mw is None else power_mw / 1e3,
        )

    def energy_j(self) -> float | None:
        used_mj = self._whole("nvmlDeviceGetTotalEnergyConsumption")
        return None if used_mj is None else used_mj / 1e3

    def settings(self) -> Mapping[str, str]:
        """Return that the clock is not locked; NVML cannot tell whether somebody else has locked it."""
        return {"locked_clocks": "none"}

    def hold(self) -> bool:
        """Lock the clock at what the power limit sustains; drivers that do not know that, at its default."""
        if self._nvml.do("nvmlDeviceSetGpuLockedClocks", self._handle, _SUSTAINED, _SUSTAINED):
            return True
        if self._base_mhz is None:
            return False
        return self._nvml.do("nvmlDeviceSetGpuLockedClocks", self._handle, self._base_mhz, self._base_mhz)

    def restore(self, settings: Mapping[str, str]) -> bool:
        return "locked_clocks" not in settings or self._nvml.do(
            "nvmlDeviceResetGpuLockedClocks", self._handle
        )

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._nvml.end()

    def _whole(self, function: str, *arguments: object) -> int | None:
        return self._nvml.whole(function, self._handle, *arguments)

    def _working(self) -> int | None:
        """Return how many others had work on the card since this was asked last.

        A process that only keeps memory there disturbs nobody. Where the driver does not tell what each has
        used, every process that could compute there counts.
        """
        now_s = self._now_s()
        if self._asked_s is None or now_s - self._asked_s >= _SAMPLED_S:
            self._asked_s = now_s
            self._others = self._counted(now_s)
        return self._others

    def _counted(self, now_s: float) -> int | None:
        listed = self._nvml.listed("nvmlDeviceGetComputeRunningProcesses", self._handle)
        if listed is None:
            return None
        others = {pid for pid in map(_pid, listed) if pid is not None and not self._family.includes(pid)}
        if not others:
            return 0
        samples = self._nvml.listed("nvmlDeviceGetProcessUtilization", self._handle, self._sampled_us)
        if samples is None:
            return len(others)
        if samples:
            self._sampled_us = max(getattr(sample, "timeStamp", 0) for sample in samples)
            self._sampled_s = now_s
            self._at_work = {_pid(sample) for sample in samples if getattr(sample, "smUtil", 0) > 0}
        elif now_s - self._sampled_s > _HOLDS_S:
            self._at_work = set()
        return len(others & self._at_work)


def _pid(found: object) -> int | None:
    pid = getattr(found, "pid", None)
    return pid if isinstance(pid, int) and pid > 0 else None
