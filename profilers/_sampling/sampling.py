"""Sampling: a loaded workload, what was sampled of it so far, and whether that is enough."""

from dataclasses import replace
from datetime import UTC, datetime
from statistics import fmean

from devices import Device, DeviceTimeoutError
from devices.foundation import CarsHwError
from latency_tables import Conditions, Entry, Failure, FailureStatus, Measurement, OpSpec, TableError
from profilers._conditions import recorded
from profilers._gate import LEVEL_S
from profilers._sampling.unfinished import Blocks
from profilers.errors import (
    FellBackError,
    ProfilingError,
    ThrottledError,
    UnsupportedOperationError,
    WrongOutputError,
)
from profilers.plan import MeasurementPlan
from profilers.runtimes._runtime import Sampler
from profilers.statistics import calls_lasting, inner_calls, is_precise

#: A block below this share of the plan's shows that the search for its length met a slow mode.
_SHORTEST_SHARE = 0.9

#: What ends one workload and leaves the others alone. A ``TableError`` is a clock that gave no latency;
#: a time-out, a program that hangs on this workload.
MEASURING_ERRORS = (ProfilingError, TableError, DeviceTimeoutError)

#: Each restart at least doubles the calls of a block, so that three allow for modes eight times as slow.
_MOST_RESTARTS = 3


class Sampling:
    """A loaded workload that is sampled block by block until its plan is fulfilled.

    Making one finds how many calls a block takes; the blocks of that search warm up and are discarded. Where
    a later block is too short, because the search met a slow mode of the machine, sampling starts anew with
    longer blocks. Running a block and keeping what it gave are two steps: between them, a gate decides.

    Args:
        spec: What is measured.
        sampler: Runs it.
        device: Reports the conditions before and after.
        plan: When to stop.
        earlier: What was measured before an interruption: it is gone on with.

    Attributes:
        rounds: Rounds of its group in which it had its block; whoever runs the rounds counts them.

    Raises:
        ProfilingError: The workload does not run.
        DeviceTimeoutError: It takes longer than it may.
    """

    def __init__(
        self,
        spec: OpSpec,
        sampler: Sampler,
        *,
        device: Device,
        plan: MeasurementPlan,
        earlier: Blocks | None = None,
    ) -> None:
        self._spec, self._sampler, self._device, self._plan = spec, sampler, device, plan
        self.rounds = self._restarts = self._interruptions = 0
        self._samples_s: tuple[float, ...] = ()
        self._level_s: object = None
        if earlier is None:
            self._start(least_calls=1)
        else:
            self._go_on(earlier)

    @property
    def spec(self) -> OpSpec:
        """What is measured."""
        return self._spec

    def blocks(self, facts: Conditions) -> Blocks:
        """Return what was kept so far, to go on with after an interruption; ``facts`` are the gate's."""
        return Blocks(
            self._samples_s,
            self._inner_calls,
            rounds=self.rounds,
            restarts=self._restarts,
            started=self._started.isoformat(timespec="seconds"),
            interruptions=self._interruptions,
            facts=facts,
        )

    @property
    def kept(self) -> int:
        """Blocks that were kept."""
        return len(self._samples_s)

    def block(self) -> float | Failure:
        """Run one block; return its mean latency in seconds, which is not kept yet, or why there is none."""
        try:
            return self._block(self._inner_calls)
        except MEASURING_ERRORS as error:
            return failure(self._spec, error)

    def keep(self, latency_s: float, facts: Conditions) -> Entry | None:
        """Keep what a block gave; return the entry if that was the last one.

        Blocks of another level of the device than this one's are dropped.

        Args:
            latency_s: What ``block`` returned.
            facts: What else is kept with an entry that is finished now.
        """
        if facts.get(LEVEL_S) != self._level_s:
            self._samples_s, self._level_s = (), facts.get(LEVEL_S)
        try:
            if self._is_too_short(latency_s):
                self._restarts += 1
                self._start(least_calls=2 * self._inner_calls)
                return None
            self._samples_s += (latency_s,)
            measured = Measurement(self._spec, self._samples_s)
        except MEASURING_ERRORS as error:
            return failure(self._spec, error)
        is_enough = is_precise(measured, self._plan)
        if is_enough or self._is_spent():
            conditions = self._conditions(precision_reached=is_enough)
            return replace(measured, conditions={**conditions, **facts})
        return None

    def throttled(self, error: ThrottledError) -> Failure:
        """Return what a device that stays too hot means for this workload."""
        return failure(self._spec, error)

    def _start(self, *, least_calls: int) -> None:
        plan = self._plan
        self._samples_s = ()
        if plan.first_calls:
            self._inner_calls = calls_lasting(plan.block_s, self._block(plan.first_calls))
        else:
            self._inner_calls = inner_calls(self._block, plan.block_s, least=least_calls)
        self._started = datetime.now(UTC)
        self._before = self._device.state()

    def _go_on(self, earlier: Blocks) -> None:
        self._samples_s, self._inner_calls = earlier.samples_s, earlier.inner_calls
        self.rounds, self._restarts = earlier.rounds, earlier.restarts
        self._interruptions, self._level_s = earlier.interruptions + 1, earlier.facts.get(LEVEL_S)
        self._started = datetime.fromisoformat(earlier.started)
        if not self._plan.first_calls:  # a block that is a process of its own warms up by itself
            self._block(self._inner_calls)
        self._before = self._device.state()

    def _is_too_short(self, latency_s: float) -> bool:
        """Tell whether a block must be sized anew; one sized by a single mean is as good as that was."""
        block_s = latency_s * self._inner_calls
        may_restart = self._restarts < _MOST_RESTARTS and not self._plan.first_calls
        return may_restart and 0 < block_s < _SHORTEST_SHARE * self._plan.block_s

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
        if self._interruptions:
            own = {**own, "interruptions": self._interruptions}
        return {**own, **recorded(self._before, self._device.state()), **self._sampler.facts()}


def failure(spec: OpSpec, error: CarsHwError) -> Failure:
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
        case DeviceTimeoutError():
            status = FailureStatus.TIMEOUT
        case _:
            status = FailureStatus.CRASHED
    return Failure(spec, status, str(error))
