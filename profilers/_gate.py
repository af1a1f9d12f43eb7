"""Gates: whether blocks count that were measured just now, and what to wait for where they do not."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from statistics import fmean
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

from devices import Device
from latency_tables import FAST_MODE_QUANTILE, Conditions, Measurement, OpSpec
from profilers.errors import ThrottledError
from profilers.plan import SentinelPlan
from profilers.runtimes._runtime import Runtime, Sampler, Workload
from profilers.statistics import calls_lasting

if TYPE_CHECKING:
    from torch import nn

#: A convolution of 9.4 million multiplications: about a millisecond on a phone's large core.
_CHANNELS, _SIZE, _KERNEL = 32, 32, 3
SENTINEL_SPEC = OpSpec.of("sentinel", (1, _CHANNELS, _SIZE, _SIZE), kernel=_KERNEL)

#: Runs of the sentinel before the first blocks; the fastest of them is where the level starts.
_FIRST_RUNS = 3

_FIRST_CALLS = 3

#: Longest that nobody is asked whether to go on.
_NAP_S = 1.0

#: Name of the condition of an entry that holds the sentinel's latency beside it.
_SENTINEL_S = "sentinel_s"

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
    """Lets pass what was measured while the device was ready, and as fast as at its best.

    The level is the fast mode of all runs of the sentinel that passed; those beside a table's earlier entries
    count, so that the table is not filled at two speeds.

    Args:
        device: What is measured on.
        runtime: Runs the sentinel.
        plan: How much drift is accepted, and how long is waited.
        before_run: Called before each try, and at least every second of a rest; may raise to end it.

    Attributes:
        passed_s: Latency of the sentinel at each run that passed.
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
        self.passed_s: list[float] = []
        self._device, self._runtime, self._plan = device, runtime, plan
        self._before_run = before_run
        self._loaded = ExitStack()
        self._sampler: Sampler | None = None
        self._calls = 1
        self._is_fresh = False

    def __enter__(self) -> Self:
        """Load the sentinel, and run it where no latency of it is known.

        Raises:
            ProfilingError: It does not run: then nothing else would either.
            DeviceError: The device was lost.
        """
        workload = Workload(SENTINEL_SPEC, _convolution)
        with ExitStack() as on_error:
            sampler = on_error.enter_context(self._runtime.prepare(workload, self._device))
            self._calls = calls_lasting(self._plan.block_s, fmean(sampler(_FIRST_CALLS)))
            self._loaded = on_error.pop_all()
        self._sampler, self._is_fresh = sampler, False
        if not self.passed_s:
            self.passed_s = [min(self._sentinel_s(sampler) for _ in range(_FIRST_RUNS))]
        return self

    def __exit__(self, *_: object) -> None:
        """Unload the sentinel."""
        self._sampler = None
        self._loaded.close()

    def undisturbed(self, run: Callable[[], Found]) -> Found:
        """Call ``run`` between two checks, until both find the device ready; rest before each further try."""
        rested_s = 0.0
        while True:
            self._before_run()
            disturbance = self._disturbance()
            if disturbance is None:
                found = run()
                self._is_fresh = False
                disturbance = self._disturbance()
                if disturbance is None:
                    return found
            if rested_s >= self._plan.patience_s:
                raise ThrottledError(f"{disturbance}; {rested_s:.0f} s of rest did not help")
            self._rest()
            rested_s += self._plan.rest_s
            self._is_fresh = False

    def remember(self, measurements: Iterable[Measurement]) -> None:
        """Take over the sentinel's latencies beside ``measurements``, unless it has run since."""
        if self.passed_s:
            return  # a table's entries hold those runs, and would outweigh the others each time it is opened
        earlier_s = [measured.conditions.get(_SENTINEL_S) for measured in measurements]
        self.passed_s += [run_s for run_s in earlier_s if isinstance(run_s, float) and run_s > 0]

    def facts(self) -> Conditions:
        """Return the sentinel's latency at its last run, and the level that it was compared with."""
        return {_SENTINEL_S: self.passed_s[-1], "sentinel_level_s": self._level_s()}

    def _rest(self) -> None:
        left_s = self._plan.rest_s
        while left_s > 0:
            self._before_run()
            self._device.pause(min(_NAP_S, left_s))
            left_s -= _NAP_S
        self.resting_s += self._plan.rest_s

    def _disturbance(self) -> str | None:
        """Return what disturbs the device now; a check that passed holds until something else has run."""
        if self._is_fresh:
            return None
        disturbance = self._device.why_not_ready()
        if disturbance is not None or self._sampler is None:
            return disturbance
        sentinel_s = self._sentinel_s(self._sampler)
        drift = sentinel_s / self._level_s() - 1
        if drift > self._plan.max_drift:
            return f"the sentinel takes {drift:.0%} longer than at its best, over {self._plan.max_drift:.0%}"
        self.passed_s.append(sentinel_s)
        self._is_fresh = True
        return None

    def _level_s(self) -> float:
        return float(np.quantile(self.passed_s, FAST_MODE_QUANTILE))

    def _sentinel_s(self, sampler: Sampler) -> float:
        return fmean(sampler(self._calls))


def _convolution() -> "nn.Module":
    from torch import nn  # measuring loads torch anyway; importing this module does not

    return nn.Conv2d(_CHANNELS, _CHANNELS, _KERNEL, padding=_KERNEL // 2).eval()
