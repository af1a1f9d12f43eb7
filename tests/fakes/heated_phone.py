"""A played phone that heats up as a real one did: speed, thermal status and battery follow a trace.

Under load the phone moves along its trace by its own clock, a minute of it each minute. At rest it moves
back: what lies behind it decays as ``exp(-t / T)``. ``T`` is the phone's own time constant. A body that is
heated evenly warms and cools with one time constant (Newton's law of cooling), and the trace shows the
warming: ``T`` is the time after which its battery has risen by 1 - 1/e of the whole rise, 4 minutes (Exynos)
to 11 (Dimensity) on four phones. No trace was recorded at rest, so that the law is the player's assumption.

Between two minutes of a trace, latency and temperature run straight; status is that of the minute begun.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from devices import Device
from latency_tables import Conditions, Measurement
from profilers.runtimes._runtime import Runtime, Sampler, Workload
from tests.fakes.played_phone import PlayedPhone

_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

#: Work that is done at one speed.
_STEP_S = 0.25

#: Seconds in which a process starts and warms up: they are not timed, but heat.
PROCESS_S = 0.3


@dataclass(frozen=True)
class HeatTrace:
    """Minutes of load on a phone.

    Attributes:
        latency_ms: Of a fixed workload, in each minute.
        status: Android's thermal status then; ``None``: the phone has no such sensor.
        battery_c: Temperature of the battery then.
        time_constant_s: How fast the phone cools.
    """

    latency_ms: Sequence[float]
    status: Sequence[int | None]
    battery_c: Sequence[float]
    time_constant_s: float

    @classmethod
    def read(cls, path: Path) -> "HeatTrace":
        """Read a file of columns ``minute,median_ms,p90_ms,thermal_status,battery_percent,battery_c``."""
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        battery_c = [float(row["battery_c"]) for row in rows]
        return cls(
            [float(row["median_ms"]) for row in rows],
            [_STATUS.index(row["thermal_status"]) for row in rows],
            battery_c,
            _time_constant_s(battery_c),
        )

    def slowness(self, minute: float) -> float:
        """Return the latency after so many minutes of load, relative to the first minute's."""
        return _between(self.latency_ms, minute) / self.latency_ms[0]

    def status_at(self, minute: float) -> int | None:
        """Return the thermal status then."""
        return self.status[min(int(minute), len(self.status) - 1)]

    def battery_c_at(self, minute: float) -> float:
        """Return the temperature of the battery then."""
        return _between(self.battery_c, minute)


class HeatedPhone(PlayedPhone):
    """A phone below ``folder`` that follows ``trace``.

    Args:
        folder: As of ``PlayedPhone``.
        trace: What load does to it.
        minute: How many minutes of load it has behind it.

    Attributes:
        minute: As the argument.
        loaded_s: Seconds of work that it has done.
    """

    def __init__(self, folder: Path, trace: HeatTrace, *, minute: float = 0.0) -> None:
        super().__init__(folder)
        self.trace, self.minute, self.loaded_s = trace, minute, 0.0
        self._shown: tuple[int | None, int] | None = None
        self._show()

    def work(self, seconds: float) -> float:
        """Do what takes ``seconds`` at the speed of the first minute; return the seconds that it took."""
        before_s, left_s = self.loaded_s, seconds
        while left_s > 0:
            step_s = min(left_s, _STEP_S)
            took_s = step_s * self.trace.slowness(self.minute)
            self.minute += took_s / 60
            self.loaded_s += took_s
            left_s -= step_s
        self.now_s += self.loaded_s - before_s
        self._show()
        return self.loaded_s - before_s

    def sleep(self, seconds: float) -> None:
        self.minute *= math.exp(-seconds / self.trace.time_constant_s)
        super().sleep(seconds)
        self._show()

    def _show(self) -> None:
        status, tenths_c = self.trace.status_at(self.minute), round(10 * self.trace.battery_c_at(self.minute))
        if (status, tenths_c) == self._shown:
            return
        self._shown = (status, tenths_c)
        self.charge(tenths_c=tenths_c)
        if status is None:
            (self.folder / "dumpsys/thermalservice").unlink(missing_ok=True)
        else:
            self.heat(status=status)


class HeatedRuntime(Runtime):
    """Lets a ``HeatedPhone`` work: each block is a process there.

    Args:
        phone: The phone.
        latency_s: Seconds of one call at the speed of the first minute, by kind of operation.
    """

    def __init__(self, phone: HeatedPhone, latency_s: Mapping[str, float]) -> None:
        super().__init__(1)
        self._phone, self.latency_s = phone, latency_s

    def version(self, device: Device) -> str:
        return "0"

    def prepare(self, workload: Workload, device: Device) -> AbstractContextManager[Sampler]:
        return nullcontext(_HeatedSampler(self._phone, self.latency_s[workload.spec.kind]))


@dataclass(frozen=True)
class _HeatedSampler:
    phone: HeatedPhone
    latency_s: float

    def __call__(self, n: int) -> Sequence[float]:
        self.phone.work(PROCESS_S)
        return (self.phone.work(n * self.latency_s) / n,)

    def facts(self) -> Conditions:
        return {}


def largest_deviation(measured: Iterable[Measurement], latency_s: Mapping[str, float]) -> float:
    """Return how far a block of ``measured`` is from the level, relative: that of the sentinel beside them.

    Where there was no sentinel, the level is that of the fastest block.

    Args:
        measured: Entries of one phone.
        latency_s: As of ``HeatedRuntime``.
    """
    slowness: list[float] = []
    levels: list[float] = []
    for entry in measured:
        slowness += (sample_s / latency_s[entry.spec.kind] for sample_s in entry.samples_s)
        level_s = entry.conditions.get("sentinel_level_s")
        levels += [level_s / latency_s["sentinel"]] if isinstance(level_s, float) else []
    level = min(levels or slowness, default=1.0)
    return max((abs(one / level - 1) for one in slowness), default=0.0)


def _between(values: Sequence[float], minute: float) -> float:
    last = len(values) - 1
    before = min(int(minute), last)
    return values[before] + (values[min(before + 1, last)] - values[before]) * (minute - before)


def _time_constant_s(battery_c: Sequence[float]) -> float:
    """Return when a battery has risen by 1 - 1/e of its rise."""
    coldest_c, hottest_c = battery_c[0], max(battery_c)
    reached_c = coldest_c + (hottest_c - coldest_c) * (1 - math.exp(-1))
    return 60.0 * next(minute for minute, celsius in enumerate(battery_c) if celsius >= reached_c)
