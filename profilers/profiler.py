"""Profiler: the policy of measuring; interleave, repeat until precise, keep whatever is finished."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from devices._device import Device
from devices._errors import ProfilingError
from latency_tables.header import TableHeader
from latency_tables.measurement import Entry
from latency_tables.table import LatencyTable
from profilers._sampling import Sampling, failure
from profilers.plan import MeasurementPlan
from profilers.runtimes._runtime import Runtime, Workload


class Profiler:
    """Measures workloads on a device under a runtime.

    The workloads of a group take turns, one block each in every round, in an order drawn anew for each round.
    A slow mode of the machine that lasts a few rounds then costs each of them a few samples, which the 10th
    percentile leaves out, and none of them all of its samples.

    Args:
        device: What to measure on; the caller closes it.
        runtime: What executes the workloads.
        plan: How long to measure.
        on_round: Called with the number of rounds of the present group that are done, for progress.
    """

    def __init__(
        self,
        device: Device,
        runtime: Runtime,
        plan: MeasurementPlan | None = None,
        *,
        on_round: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._on_round = on_round
        self.device = device
        self.runtime = runtime
        self.plan = plan or MeasurementPlan()

    def header(self) -> TableHeader:
        """Return the conditions that everything measured here shares: the header of its table."""
        return TableHeader(
            device=self.device.info(),
            runtime=type(self.runtime).__module__.removeprefix("profilers.runtimes."),
            runtime_version=self.runtime.version(self.device),
            threads=self.runtime.threads,
            settings=self.runtime.settings(),
        )

    def fill(
        self,
        table: LatencyTable,
        workloads: Iterable[Workload],
        *,
        retry_failures: bool = False,
        again: bool = False,
    ) -> Iterator[Entry]:
        """Measure what ``table`` lacks; each entry is in the table before it is yielded.

        Whatever ends this early, be it an interrupt or the caller's leaving the loop, costs only what was not
        finished; the next call measures that. The device is held quiet until the iterator ends or is closed.

        Args:
            table: Open for adding, with the header that ``header()`` gives.
            workloads: What is wanted, each spec once.
            retry_failures: Measure again what failed before.
            again: Measure everything anew, in place of what is there.

        Yields:
            A measurement, or a failure with its reason, ``len(table.missing(...))`` in all.

        Raises:
            TableMismatchError: The table has another header.
            DeviceError: The device was lost, or lacks what the runtime needs.
        """
        table.header.require_equal(self.header())
        by_spec = {workload.spec: workload for workload in workloads}
        wanted = by_spec if again else table.missing(by_spec, retry_failures=retry_failures)
        missing = [by_spec[spec] for spec in wanted]
        for start in range(0, len(missing), self.plan.group_size):
            group = missing[start : start + self.plan.group_size]
            for _, entry in self._measured(group):
                table.add(entry)
                yield entry

    def measure(self, workloads: Sequence[Workload]) -> list[Entry]:
        """Measure ``workloads`` as one interleaved group and return their entries in the same order.

        Raises:
            DeviceError: The device was lost, or lacks what the runtime needs.
        """
        entries = dict(self._measured(workloads))
        return [entries[position] for position in range(len(workloads))]

    def _measured(self, group: Sequence[Workload]) -> Iterator[tuple[int, Entry]]:
        """Yield the position in ``group`` and the entry of each workload once it is finished."""
        with self.device.quiet(self.runtime.threads), ExitStack() as loaded:
            active: dict[int, Sampling] = {}
            for position, workload in enumerate(group):
                prepared = self._prepared(workload, loaded)
                if isinstance(prepared, Sampling):
                    active[position] = prepared
                else:
                    yield position, prepared
            rng = np.random.default_rng(self.plan.seed)
            for rounds in itertools.count():
                if not active:
                    return
                if 0 < rounds < self.plan.min_rounds:
                    self.device.pause(self.plan.span_s / (self.plan.min_rounds - 1))
                for position in rng.permutation(list(active)).tolist():
                    entry = active[position].sample()
                    if entry is not None:
                        del active[position]
                        yield position, entry
                self._on_round(rounds + 1)

    def _prepared(self, workload: Workload, loaded: ExitStack) -> Sampling | Entry:
        try:
            sampler = loaded.enter_context(self.runtime.prepare(workload, self.device))
            return Sampling(workload.spec, sampler, device=self.device, plan=self.plan)
        except ProfilingError as error:
            return failure(workload.spec, error)
