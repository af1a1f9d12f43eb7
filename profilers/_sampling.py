"""Sampling: a loaded workload, what was sampled of it so far, and whether that is enough."""

from dataclasses import replace
from datetime import UTC, datetime
from statistics import fmean

from devices._device import Device
from devices._errors import (
    FellBackError,
    ProfilingError,
    TableError,
    ThrottledError,
    UnsupportedOperationError,
    WrongOutputError,
)
from latency_tables.measurement import Conditions, Entry, Failure, FailureStatus, Measurement
from latency_tables.spec import OpSpec
from profilers._conditions import recorded
from profilers.plan import MeasurementPlan
from profilers.runtimes._runtime import Sampler
from profilers.statistics import inner_calls, is_precise

#: A block below this share of the plan's shows that the search for its length met a slow mode.
_SHORTEST_SHARE = 0.9

#: Each restart at least doubles the calls of a block, so that three allow for modes eight times as slow.
_MOST_RESTARTS = 3


class Sampling:
    """A loaded workload that is sampled block by block until its plan is fulfilled.

    Making one finds how many calls a block takes; the blocks of that search warm up and are discarded. Where
    a later block is too short, because the search met a slow mode of the machine, sampling starts anew with
    longer blocks.

    Args:
        spec: What is measured.
        sampler: Runs it.
        device: Tells the conditions before and after.
        plan: When to stop.

    Raises:
        ProfilingError: The workload does not run.
    """

    def __init__(self, spec: OpSpec, sampler: Sampler, *, device: Device, plan: MeasurementPlan) -> None:
        self._spec, self._sampler, self._device, self._plan = spec, sampler, device, plan
        self._restarts = 0
        self._start(least_calls=1)

    def sample(self) -> Entry | None:
        """Run one block; return the entry if that was the last one."""
        try:
            latency_s = self._block(self._inner_calls)
            if self._is_too_short(latency_s):
                self._restarts += 1
                self._start(least_calls=2 * self._inner_calls)
                return None
            self._samples_s += (latency_s,)
            measured = Measurement(self._spec, self._samples_s)
        except (ProfilingError, TableError) as error:  # TableError: the clock gave what is no latency
            return failure(self._spec, error)
        is_enough = is_precise(measured, self._plan)
        if is_enough or self._is_spent():
            return replace(measured, conditions=self._conditions(precision_reached=is_enough))
        return None

    def _start(self, *, least_calls: int) -> None:
        self._samples_s: tuple[float, ...] = ()
        self._inner_calls = inner_calls(self._block, self._plan.block_s, least=least_calls)
        self._started = datetime.now(UTC)
        self._before = self._device.state()

    def _is_too_short(self, latency_s: float) -> bool:
        block_s = latency_s * self._inner_calls
        return self._restarts < _MOST_RESTARTS and 0 < block_s < _SHORTEST_SHARE * self._plan.block_s

    def _block(self, n: int) -> float:
        """Run a block of ``n`` calls and return their mean latency in seconds."""
        return fmean(self._sampler(n))

    def _is_spent(self) -> bool:
        spent_s = sum(self._samples_s) * self._inner_calls
        return len(self._samples_s) >= self._plan.max_rounds or spent_s >= self._plan.budget_s

    def _conditions(self, *, precision_reached: bool) -> Conditions:
        own: Conditions = {
            "inner_calls": self._inner_calls,
            "rounds": len(self._samples_s),
            "precision_reached": precision_reached,
            "seed": self._plan.seed,
            "started": self._started.isoformat(timespec="seconds"),
        }
        return {**own, **recorded(self._before, self._device.state()), **self._sampler.facts()}


def failure(spec: OpSpec, error: ProfilingError | TableError) -> Failure:
    """Return what ``error`` means for the operation that it ended."""
    match error:
        case UnsupportedOperationError():
            status = FailureStatus.UNSUPPORTED
        case FellBackError():
            status = FailureStatus.FELL_BACK
        case ThrottledError():
            status = FailureStatus.THROTTLED
        case WrongOutputError():
            status = FailureStatus.WRONG_OUTPUT
        case _:
            status = FailureStatus.CRASHED
    return Failure(spec, status, str(error))
