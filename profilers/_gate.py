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

#: Looks before the first blocks; the best of them is where the level starts.
_FIRST_LOOKS = 3

_FIRST_CALLS = 3

#: Longest that nobody is asked whether to go on.
_NAP_S = 1.0

#: Name of the condition that an entry keeps it under.
_LOOK = "sentinel_s"

Found = TypeVar("Found")


class Gate(AbstractContextManager["Gate"], ABC):
    """Runs stretches of blocks, and gives only what was measured undisturbed.

    A context manager: what it needs on the device is there while it is entered. It may be entered again.
    """

    #: Blocks that are run at once.
    stretch: int = 1

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
        """Return what belongs on record with each entry that is finished now."""
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

    The level is the fast mode of all looks at the sentinel that passed; those of earlier sessions count, so
    that a table is not filled at two speeds.

    Args:
        device: What is measured on.
        runtime: Runs the sentinel.
        plan: How much drift is accepted, and how long is waited.
        before_run: Called before each try, and at least every second of a rest; may raise to end it.

    Attributes:
        looks_s: Latencies of the sentinel that passed.
    """

    def __init__(
        self,
        device: Device,
        runtime: Runtime,
        plan: SentinelPlan,
        *,
        before_run: Callable[[], None] = lambda: None,
    ) -> None:
        self.stretch = plan.stretch
        self.looks_s: list[float] = []
        self._device, self._runtime, self._plan = device, runtime, plan
        self._before_run = before_run
        self._loaded = ExitStack()
        self._sampler: Sampler | None = None
        self._calls = 1
        self._is_fresh = False

    def __enter__(self) -> Self:
        """Load the sentinel, and look at it where it was never seen.

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
        if not self.looks_s:
            self.looks_s = [min(self._look_s(sampler) for _ in range(_FIRST_LOOKS))]
        return self

    def __exit__(self, *_: object) -> None:
        """Unload the sentinel."""
        self._sampler = None
        self._loaded.close()

    def undisturbed(self, run: Callable[[], Found]) -> Found:
        """Call ``run`` between two looks, until both find the device ready; rest before each further try."""
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
        """Hold the sentinel against its looks when ``measurements`` were made, unless it was seen since."""
        if self.looks_s:
            return  # a table's entries are those looks, and would outweigh the others each time it is opened
        looks_s = [measured.conditions.get(_LOOK) for measured in measurements]
        self.looks_s += [look_s for look_s in looks_s if isinstance(look_s, float) and look_s > 0]

    def facts(self) -> Conditions:
        """Return the sentinel's latency at the last look, and the level that it was held against."""
        return {_LOOK: self.looks_s[-1], "sentinel_level_s": self._level_s()}

    def _rest(self) -> None:
        left_s = self._plan.rest_s
        while left_s > 0:
            self._before_run()
            self._device.pause(min(_NAP_S, left_s))
            left_s -= _NAP_S
        self.resting_s += self._plan.rest_s

    def _disturbance(self) -> str | None:
        """Say what is wrong now; a look that passed is good until something else has run."""
        if self._is_fresh:
            return None
        disturbance = self._device.why_not_ready()
        if disturbance is not None or self._sampler is None:
            return disturbance
        look_s = self._look_s(self._sampler)
        drift = look_s / self._level_s() - 1
        if drift > self._plan.max_drift:
            return f"the sentinel takes {drift:.0%} longer than at its best, over {self._plan.max_drift:.0%}"
        self.looks_s.append(look_s)
        self._is_fresh = True
        return None

    def _level_s(self) -> float:
        return float(np.quantile(self.looks_s, FAST_MODE_QUANTILE))

    def _look_s(self, sampler: Sampler) -> float:
        return fmean(sampler(self._calls))


def _convolution() -> "nn.Module":
    from torch import nn  # measuring loads torch anyway; importing this module does not

    return nn.Conv2d(_CHANNELS, _CHANNELS, _KERNEL, padding=_KERNEL // 2).eval()
