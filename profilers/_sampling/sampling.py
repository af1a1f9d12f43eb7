"""Sampling: a loaded workload, what was sampled of it so far, and whether that is enough."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from devices import Device, DeviceTimeoutError
from devices.foundation import CarsHwError
from latency_tables import Conditions, Entry, Failure, FailureStatus, Measurement, OpSpec
from profilers._conditions import recorded
from profilers._gate import LEVEL_S
from profilers._sampling.probes import Probes
from profilers._sampling.unfinished import Blocks
from profilers.errors import (
    BusyError,
    FellBackError,
    ThrottledError,
    UnsupportedOperationError,
    UntimedError,
    WrongOutputError,
)
from profilers.plan import MeasurementPlan
from profilers.statistics import calls_lasting, inner_calls, is_precise
from profilers.worker.contract import MEASURING_ERRORS, Block, Worker

#: A block below this share of the plan's shows that the search for its length met a slow mode.
_SHORTEST_SHARE = 0.9

#: Each restart at least doubles the calls of a block, so that three allow for modes eight times as slow.
_MOST_RESTARTS = 3

#: Of its blocks, so many are undisturbed: below a third, what is left is no fair sample of the fast mode.
_LEAST_UNDISTURBED = 1 / 3


class Sampling:
    """A loaded workload that is sampled block by block until its plan is fulfilled.

    Making one finds how many calls a block takes; the blocks of that search warm up and are discarded. Where
    a later block is too short, because the search met a slow mode of the machine, sampling starts anew with
    longer blocks. Running a block and keeping what it gave are two steps: between them, a gate decides.

    A block that something else disturbed is no sample: it is kept apart, and does not count.

    Args:
        spec: What is measured.
        worker: Runs it.
        place: The number under which it was loaded there.
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
        worker: Worker,
        place: int,
        *,
        device: Device,
        plan: MeasurementPlan,
        earlier: Blocks | None = None,
    ) -> None:
        self._spec, self._worker, self._place = spec, worker, place
        self._device, self._plan = device, plan
        self.rounds = self._restarts = self._interruptions = self._first_process = 0
        self._level_s: object = None
        self._forget()
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
            processes=self._processes,
            disturbed_s=self._disturbed_s,
        )

    @property
    def kept(self) -> int:
        """Blocks that were kept."""
        return len(self._samples_s)

    @property
    def calls(self) -> int:
        """Calls of a block."""
        return self._inner_calls

    @property
    def block_s(self) -> float:
        """About how long a block takes, in seconds."""
        seen_s = (self._samples_s or self._disturbed_s)[-1:]
        return sum(seen_s) * self._inner_calls or self._plan.block_s

    def keep(self, block: Block, facts: Conditions) -> Entry | None:
        """Keep what a block gave; return the entry if that was the last one.

        Blocks of another level of the device than this one's are dropped.

        Args:
            block: What the worker gave.
            facts: What else is kept with an entry that is finished now.

        Raises:
            BusyError: Too few of its blocks were undisturbed.
        """
        if facts.get(LEVEL_S) != self._level_s:
            self._forget()
            self._level_s = facts.get(LEVEL_S)
        try:
            if self._is_too_short(block):
                self._restarts += 1
                self._start(least_calls=2 * self._inner_calls)
                return None
            self._add(block)
            return self._entry(facts)
        except BusyError:
            raise
        except MEASURING_ERRORS as error:
            return failure(self._spec, error)

    def throttled(self, error: ThrottledError) -> Failure:
        """Return what a device that stays too hot means for this workload."""
        return failure(self._spec, error)

    def _forget(self) -> None:
        self._samples_s: tuple[float, ...] = ()
        self._processes: tuple[int, ...] = ()
        self._disturbed_s: tuple[float, ...] = ()

    def _add(self, block: Block) -> None:
        if not block.is_undisturbed:
            self._disturbed_s += (block.latency_s,)
            return
        self._samples_s += (block.latency_s,)
        if block.process is not None:
            self._processes += (self._first_process + block.process,)

    def _entry(self, facts: Conditions) -> Entry | None:
        """Return the entry, if it needs no further blocks."""
        share = len(self._samples_s) / (len(self._samples_s) + len(self._disturbed_s))
        is_fair = share >= _LEAST_UNDISTURBED
        if self._samples_s:
            measured = self._measured(self.kept)
            is_enough = is_fair and is_precise(self._measured, self.kept, self._plan)
            if is_enough or (is_fair and self._is_spent()):
                conditions = {**measured.conditions, **self._conditions(precision_reached=is_enough)}
                return replace(measured, conditions={**conditions, **facts})
        if self._is_spent():
            raise BusyError(self._spec, self.block_s, share, self._device.state().load)
        return None

    def _measured(self, n: int) -> Measurement:
        """Return the first ``n`` samples as if they were all."""
        if not self._processes:
            return Measurement(self._spec, self._samples_s[:n])
        by_process = defaultdict[int, list[float]](list)
        for process, sample_s in zip(self._processes[:n], self._samples_s[:n], strict=True):
            by_process[process].append(sample_s)
        return Measurement.of_processes(self._spec, [by_process[process] for process in sorted(by_process)])

    def _start(self, *, least_calls: int) -> None:
        plan = self._plan
        self._forget()
        if plan.first_calls:
            self._inner_calls = calls_lasting(plan.block_s, self._latency_s(plan.first_calls))
        else:
            is_one_by_one = not self._worker.most_s
            probe = self._latency_s if is_one_by_one else Probes(self._latencies_s, plan.block_s)
            self._inner_calls = inner_calls(probe, plan.block_s, least=least_calls)
        self._warm_up(range(1, self._worker.turns))
        self._started = datetime.now(UTC)
        self._before = self._device.state()

    def _go_on(self, earlier: Blocks) -> None:
        self._samples_s, self._inner_calls = earlier.samples_s, earlier.inner_calls
        self._processes, self._disturbed_s = earlier.processes, earlier.disturbed_s
        self._first_process = max(earlier.processes, default=-1) + 1
        self.rounds, self._restarts = earlier.rounds, earlier.restarts
        self._interruptions, self._level_s = earlier.interruptions + 1, earlier.facts.get(LEVEL_S)
        self._started = datetime.fromisoformat(earlier.started)
        if not self._plan.first_calls:  # a block that is a process of its own warms up by itself
            self._warm_up(range(self._worker.turns))
        self._before = self._device.state()

    def _is_too_short(self, block: Block) -> bool:
        """Tell whether a block must be sized anew; one sized by a single mean is as good as that was."""
        block_s = block.latency_s * self._inner_calls
        may_restart = self._restarts < _MOST_RESTARTS and not self._plan.first_calls
        return may_restart and 0 < block_s < _SHORTEST_SHARE * self._plan.block_s

    def _warm_up(self, turns: Iterable[int]) -> None:
        for turn in turns:
            self._latency_s(self._inner_calls, turn)

    def _latency_s(self, n: int, turn: int = 0) -> float:
        """Run a block of ``n`` calls that is not kept; return their mean latency in seconds."""
        (latency_s,) = self._latencies_s([n], turn)
        return latency_s

    def _latencies_s(self, sizes: Sequence[int], turn: int = 0) -> Sequence[float]:
        """Run blocks of so many calls each that are not kept; return their mean latencies in seconds."""
        found = self._worker.run(turn, [(self._place, n) for n in sizes])
        for one in found:
            if not isinstance(one, Block):
                raise one
        return [one.latency_s for one in found if isinstance(one, Block)]

    def _is_spent(self) -> bool:
        """Tell whether there were enough blocks; disturbed ones may make it up to three times as many."""
        blocks_s = self._samples_s + self._disturbed_s
        return (
            len(self._samples_s) >= self._plan.max_rounds
            or len(blocks_s) * _LEAST_UNDISTURBED >= self._plan.max_rounds
            or sum(blocks_s) * self._inner_calls >= self._plan.budget_s
        )

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
        if self._worker.turns > 1 or self._disturbed_s:
            blocks = len(self._samples_s) + len(self._disturbed_s)
            own = {**own, "undisturbed_share": round(len(self._samples_s) / blocks, 4)}
        if self._disturbed_s:
            own = {**own, "disturbed_ns": ",".join(f"{1e9 * one:.0f}" for one in self._disturbed_s)}
        facts = self._worker.facts(self._place)
        return {**own, **recorded(self._before, self._device.state()), **facts}


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
        case UntimedError():
            status = FailureStatus.UNTIMED
        case DeviceTimeoutError():
            status = FailureStatus.TIMEOUT
        case _:
            status = FailureStatus.CRASHED
    return Failure(spec, status, str(error))
