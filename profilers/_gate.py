"""Gates: whether blocks count that were measured just now, and what to wait for where they do not.

The *level* of a device in a table is one number: the latency of a fixed workload, the sentinel, at the
device's best. Each entry keeps it (``sentinel_level_s``) beside the sentinel's own latency. It never gets
slower. Where the device proves faster by more than the drift that is accepted, the level follows, and what
was measured at the slower one is measured anew.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from statistics import fmean, median
from typing import TYPE_CHECKING, Self, TypeVar

from devices import Device
from latency_tables import Conditions, Measurement, OpSpec
from profilers.errors import FellBackError, ThrottledError, UnsupportedOperationError
from profilers.plan import SentinelPlan
from profilers.runtimes._runtime import Runtime, Sampler, Workload
from profilers.statistics import calls_lasting

if TYPE_CHECKING:
    from torch import nn

#: A convolution of 9.4 million multiplications: about a millisecond on a phone's large core.
_CHANNELS, _SIZE, _KERNEL = 32, 32, 3
SENTINEL_SPEC = OpSpec.of("sentinel", (1, _CHANNELS, _SIZE, _SIZE), kernel=_KERNEL)

#: Runs of the sentinel before the first blocks; the middle one is the level, so that no lucky one is.
_FIRST_RUNS = 3

_FIRST_CALLS = 3

#: Each further rest is so much longer, up to a minute: asking a phone every few seconds keeps it warm.
_LONGER, _LONGEST_REST_S = 1.5, 60.0

#: Before blocks that were disturbed are run anew, the drift that is accepted is halved, at most so often: a
#: device that is barely fast enough would be too slow again before they end.
_MOST_HALVINGS = 2

#: Longest that nobody is asked whether to go on.
_NAP_S = 1.0

#: Conditions of an entry: the sentinel's latency beside it, the level that it was compared with, and, where
#: the runtime lacks the sentinel's operation, what it says of that.
_SENTINEL_S, LEVEL_S, _NO_SENTINEL = "sentinel_s", "sentinel_level_s", "sentinel_missing"

#: Condition of an entry that says which of several devices measured it.
_SERIAL = "serial_hash"

Found = TypeVar("Found")


class Gate(AbstractContextManager["Gate"], ABC):
    """Runs blocks, a few at once, and gives only what was measured undisturbed.

    A context manager: what it needs on the device is there while it is entered. It may be entered again.
    """

    #: Blocks that are run, and discarded, together.
    blocks_at_once: int = 1

    #: Seconds that were waited for the device to be ready, in all.
    resting_s: float = 0.0

    @abstractmethod
    def undisturbed(self, run: Callable[[], Found]) -> Found:
        """Call ``run`` until nothing disturbed it; return what it returned then.

        Raises:
            ThrottledError: The device stayed disturbed for longer than is waited.
        """

    def remember(self, measurements: Iterable[Measurement]) -> None:
        """Learn what was measured earlier under the same header."""

    def outdated(self, measurements: Iterable[Measurement]) -> set[OpSpec]:
        """Return the specs of those of ``measurements`` whose device was slower then than it can be."""
        return set()

    def facts(self) -> Conditions:
        """Return what is kept with each entry that is finished now."""
        return {}

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind; a gate that loads something overrides this."""


class OpenGate(Gate):
    """Lets everything pass."""

    def __enter__(self) -> Self:
        return self

    def undisturbed(self, run: Callable[[], Found]) -> Found:
        """Call ``run`` once."""
        return run()


class SentinelGate(Gate):
    """Lets pass what was measured while the device was ready, and at its level.

    What a device reports of its heat explains why it is slow. It decides only where the sentinel cannot be
    run, because the runtime lacks its operation.

    Args:
        device: What is measured on.
        runtime: Runs the sentinel.
        plan: How much drift is accepted, and how long is waited.
        before_run: Called before each try, and at least every second of a rest; may raise to end it.

    Attributes:
        level_s: Latency of the sentinel at the device's best; ``None``: it has not run yet, or cannot.
    """

    def __init__(
        self,
        device: Device,
        runtime: Runtime,
        plan: SentinelPlan,
        *,
        before_run: Callable[[], None] = lambda: None,
    ) -> None:
        self.blocks_at_once = plan.blocks_between
        self.level_s: float | None = None
        self._device, self._runtime, self._plan = device, runtime, plan
        self._before_run = before_run
        self._loaded = ExitStack()
        self._sampler: Sampler | None = None
        self._missing = ""
        self._calls = 1
        self._last_s: float | None = None
        self._is_fresh = False
        self._patience_s = plan.patience_s

    def __enter__(self) -> Self:
        """Load the sentinel, and run it where no latency of it is known.

        Raises:
            ProfilingError: It does not run, though the runtime has its operation: nothing else would either.
            DeviceError: The device was lost.
        """
        workload = Workload(SENTINEL_SPEC, _convolution)
        self._sampler, self._last_s, self._is_fresh = None, None, False
        with ExitStack() as on_error:
            try:
                sampler = on_error.enter_context(self._runtime.prepare(workload, self._device))
                self._calls = calls_lasting(self._plan.block_s, fmean(sampler(_FIRST_CALLS)))
            except (UnsupportedOperationError, FellBackError) as error:
                self._missing = str(error)
                return self
            self._loaded = on_error.pop_all()
        self._sampler = sampler
        if self.level_s is None:
            self.level_s = median(self._sentinel_s(sampler) for _ in range(_FIRST_RUNS))
        return self

    def __exit__(self, *_: object) -> None:
        """Unload the sentinel."""
        self._sampler = None
        self._loaded.close()

    def undisturbed(self, run: Callable[[], Found]) -> Found:
        """Call ``run`` between two checks, until both find the device ready; rest before each further try.

        Where nothing passed since it was given up the last time, half as long is waited as then: a device
        that never recovers costs twice the plan's patience, however much there is to measure.
        """
        rested_s, rest_s, halvings = 0.0, self._plan.rest_s, 0
        while True:
            self._before_run()
            disturbance = self._disturbance(self._plan.max_drift / 2**halvings)
            has_run = disturbance is None
            if disturbance is None:
                level_s, found = self.level_s, run()
                self._is_fresh = False
                disturbance = self._disturbance(self._plan.max_drift)
                if disturbance is None:
                    if self.level_s == level_s:
                        self._patience_s = self._plan.patience_s
                        return found
                    continue  # the device proved faster: there is nothing to wait for
            if rested_s >= self._patience_s:
                self._patience_s /= 2
                raise ThrottledError(f"{self._explained(disturbance)}; {rested_s:.0f} s of rest did not help")
            rest_s = min(rest_s, self._patience_s - rested_s)
            self._rest(rest_s)
            if has_run or not halvings:
                halvings = min(halvings + 1, _MOST_HALVINGS)
            rested_s += rest_s
            rest_s = max(rest_s, min(rest_s * _LONGER, _LONGEST_REST_S))
            self._is_fresh = False

    def remember(self, measurements: Iterable[Measurement]) -> None:
        """Take over the level of the device in ``measurements``, unless a faster one is known."""
        found = [self.level_s, *(_level_s(measured) for measured in self._own(measurements))]
        self.level_s = min((level_s for level_s in found if level_s is not None), default=None)

    def outdated(self, measurements: Iterable[Measurement]) -> set[OpSpec]:
        """Return the specs of what was measured at a slower level than this device's."""
        levels = {measured.spec: _level_s(measured) for measured in self._own(measurements)}
        return {spec for spec, level_s in levels.items() if self._is_slower(level_s, self.level_s)}

    def facts(self) -> Conditions:
        """Return the sentinel's latency at its last run, and the level; or why there is no sentinel."""
        if self._last_s is None or self.level_s is None:
            return {_NO_SENTINEL: self._missing}
        return {_SENTINEL_S: self._last_s, LEVEL_S: self.level_s}

    def _own(self, measurements: Iterable[Measurement]) -> list[Measurement]:
        """Return what this device measured, of what several may have."""
        mine = (None, self._device.info().serial_hash)
        return [measured for measured in measurements if measured.conditions.get(_SERIAL) in mine]

    def _rest(self, rest_s: float) -> None:
        left_s = rest_s
        while left_s > 0:
            self._before_run()
            self._device.pause(min(_NAP_S, left_s))
            left_s -= _NAP_S
        self.resting_s += rest_s

    def _disturbance(self, max_drift: float) -> str | None:
        """Return what disturbs the device now; a check that passed holds until something else has run."""
        if self._is_fresh:
            return None
        disturbance = self._device.why_not_ready()
        if disturbance is not None:
            return disturbance
        if self._sampler is None or self.level_s is None:
            return self._device.signs_of_heat()
        sentinel_s = self._sentinel_s(self._sampler)
        excess, most = sentinel_s / self.level_s - 1, self._plan.max_drift
        if excess > max_drift:
            compared = f"over {most:.0%}" if excess > most else f"after over {most:.0%}"
            return f"the sentinel takes {excess:.0%} longer than at its best, {compared}"
        if self._is_slower(self.level_s, sentinel_s):
            sentinel_s = self._sentinel_s(self._sampler)  # a second run, for one alone may be luck
            if self._is_slower(self.level_s, sentinel_s):
                self.level_s = sentinel_s
        self._last_s, self._is_fresh = sentinel_s, True
        return None

    def _is_slower(self, latency_s: float | None, level_s: float | None) -> bool:
        """Tell whether a run of the sentinel is slower than another, both known, by more than drift."""
        if latency_s is None or level_s is None:
            return False
        return latency_s / level_s - 1 > self._plan.max_drift

    def _explained(self, disturbance: str) -> str:
        """Return ``disturbance``, and what the device reports that explains it."""
        signs = self._device.signs_of_heat()
        return disturbance if signs in (None, disturbance) else f"{disturbance}; {signs}"

    def _sentinel_s(self, sampler: Sampler) -> float:
        return fmean(sampler(self._calls))


def _level_s(measured: Measurement) -> float | None:
    """Return the level that an entry was compared with; ``None`` where there was no sentinel."""
    level_s = measured.conditions.get(LEVEL_S)
    return level_s if isinstance(level_s, float) and level_s > 0 else None


def _convolution() -> "nn.Module":
    from torch import nn  # measuring loads torch anyway; importing this module does not

    return nn.Conv2d(_CHANNELS, _CHANNELS, _KERNEL, padding=_KERNEL // 2).eval()
