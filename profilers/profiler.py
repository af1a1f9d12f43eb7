"""Profiler: the policy of measuring; interleave, repeat until precise, keep whatever is finished."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np

from devices import Device, HostDevice, RemoteDevice, RemoteHost
from devices.foundation import plugin_name
from latency_tables import Conditions, Entry, KeyedBy, LatencyTable, Measurement, OpSpec, TableHeader
from profilers._gate import Gate, OpenGate, SentinelGate
from profilers._sampling.sampling import Sampling, failure
from profilers._sampling.unfinished import Unfinished, clocks_of, measuring_key
from profilers.errors import BusyError, ThrottledError, UntimedError
from profilers.plan import USUAL, MeasurementPlan, Quality
from profilers.progress.report import OnStep, Step, ignore_step
from profilers.runtimes._runtime import Runtime, Workload
from profilers.worker.contract import MEASURING_ERRORS, Block, MeasuringError, Worker
from profilers.worker.here import ThisProcess
from profilers.worker.process import WorkerProcess
from profilers.worker.processes import MeasuringProcess, Processes
from profilers.worker.remote import BoardWorkerProcess


class Profiler:
    """Measures workloads on a device under a runtime.

    The workloads of a group take turns, one block each in every round, in an order drawn anew for each round.
    A slow mode of the machine that lasts a few rounds then costs each of them a few samples, which the 10th
    percentile leaves out, and none of them all of its samples. On this machine, and on a board, fresh
    processes run the rounds in turns where the runtime can be separated, and a block counts where nothing
    else had its processor. On a phone a block is a process. On every remote device a block counts only where
    a sentinel beside it shows that the device was as fast as at its best.

    Args:
        device: What to measure on; the caller closes it.
        runtime: What executes the workloads.
        plan: How long to measure; if not given, what suits the device.
        on_step: Called after each load, each round and each finished workload, for progress.
        before_run: Called before anything is prepared or run on the device, and at least every second of a
            rest; what it raises ends the measuring.

    Attributes:
        taken_up: How many entries went on from blocks of a filling that was interrupted.
    """

    def __init__(
        self,
        device: Device,
        runtime: Runtime,
        plan: MeasurementPlan | None = None,
        *,
        on_step: OnStep = ignore_step,
        before_run: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_step, self._before_run = on_step, before_run
        self.device = device
        self.runtime = runtime
        self.plan = plan or plan_for(device)
        self.taken_up = 0
        self._busy: BusyError | None = None
        self._unfinished = Unfinished()
        self._gate = self._make_gate()

    def __repr__(self) -> str:
        return f"<profiler of {self.runtime!r} on {self.device!r}>"

    @property
    def resting_s(self) -> float:
        """Seconds that were lost to waiting for the device to be ready."""
        return self._gate.resting_s

    def header(self, keyed_by: KeyedBy = "operations") -> TableHeader:
        """Return the conditions that everything measured here shares: the header of its table.

        Args:
            keyed_by: What a new table is made of.
        """
        return TableHeader(
            device=self.device.info(),
            runtime=plugin_name(type(self.runtime)),
            runtime_version=self.runtime.version(self.device),
            threads=self.runtime.threads,
            settings=self.runtime.header_settings(),
            executes=self.runtime.executes,
            keyed_by=keyed_by,
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

        Whatever ends this early costs a block: the next call goes on with what was measured, in the order in
        which this one would have. A kill or a power failure costs what ``plan.keep_every_s`` allows. The
        device is held quiet until the iterator ends or is closed. Where the device proves faster than it was
        for some of ``workloads``, now or in an earlier call, these are measured anew.

        Args:
            table: Open for adding under the header that ``header()`` gives.
            workloads: What is wanted, each spec once.
            retry_failures: Measure again what failed before.
            again: Measure everything anew, in place of what is there.

        Yields:
            A measurement, or a failure with its reason, of each of ``table.missing(...)``, and of each that
            is measured anew.

        Raises:
            TableMismatchError: The table has another header.
            BusyError: Something else disturbed most blocks of some of ``workloads``: these are not measured,
                the others of their group are.
            DeviceError: The device was lost, or lacks what the runtime needs.
        """
        table.session.require_equal(self.header(table.header.keyed_by))
        by_spec = {workload.spec: workload for workload in workloads}
        wanted, size = list(by_spec.values()), self.plan.group_size
        missing = set(by_spec if again else table.missing(by_spec, retry_failures=retry_failures))
        self._gate.remember(table.measurements.values())
        missing |= self.outdated(table) & by_spec.keys()
        unfinished = self._unfinished = self._kept(table, by_spec, missing, again=again)
        self._gate.remember(unfinished.measurements())
        missing |= self.outdated(table) & by_spec.keys()
        while missing:
            for start in range(0, len(wanted), size):  # of all that is wanted: resuming finds the same groups
                group = wanted[start : start + size]
                positions = {position for position, workload in enumerate(group) if workload.spec in missing}
                for _, entry in self._measured(group, positions):
                    table.add(entry)
                    unfinished.finish(entry.spec)
                    self._on_step(Step(entry=entry))
                    yield entry
            missing = self.outdated(table) & by_spec.keys()
        unfinished.end()

    def outdated(self, table: LatencyTable) -> set[OpSpec]:
        """Return what ``table`` holds of a time when the device was slower than it has proved to be."""
        return self._gate.outdated(table.measurements.values())

    def measure(self, workloads: Sequence[Workload]) -> list[Entry]:
        """Measure ``workloads`` as one interleaved group and return their entries in the same order.

        Raises:
            BusyError: Something else disturbed most blocks of one of them.
            DeviceError: The device was lost, or lacks what the runtime needs.
        """
        self._unfinished = Unfinished()
        entries: dict[int, Entry] = {}
        positions: Collection[int] = range(len(workloads))
        while positions:
            for position, entry in self._measured(workloads, positions):
                entries[position] = entry
                self._on_step(Step(entry=entry))
            slower = self._gate.outdated(one for one in entries.values() if isinstance(one, Measurement))
            positions = [position for position, entry in entries.items() if entry.spec in slower]
        return [entries[position] for position in range(len(workloads))]

    def _measured(self, group: Sequence[Workload], positions: Collection[int]) -> Iterator[tuple[int, Entry]]:
        """Yield position in ``group`` and entry of each workload at ``positions`` once it is finished."""
        if not positions:
            return
        with ExitStack() as loaded:
            worker = loaded.enter_context(self._worker())  # whose processes start on any processor
            loaded.enter_context(self.device.quiet(self.runtime.threads))
            gate = loaded.enter_context(self._gate)
            active: dict[int, Sampling] = {}
            loaded.callback(self._unfinished.end)
            self._unfinished.begin(
                [workload.spec for workload in group],
                lambda: {sampling.spec: sampling.blocks(gate.facts()) for sampling in active.values()},
            )
            for position in sorted(positions):
                prepared = self._prepared(group[position], position, worker)
                if isinstance(prepared, Sampling):
                    active[position] = prepared
                    self._tell(group, active)
                else:
                    yield position, prepared
            self._busy = None
            yield from self._rounds(group, active, gate, worker)
            if self._busy is not None:
                raise self._busy

    def _rounds(
        self, group: Sequence[Workload], active: dict[int, Sampling], gate: Gate, worker: Worker
    ) -> Iterator[tuple[int, Entry]]:
        """Run rounds until nothing of ``group`` is ``active``; yield what is finished.

        Where an interruption is gone on from, the rounds are drawn that are done, but not run.
        """
        rng = np.random.default_rng(self.plan.seed)
        last = max((sampling.rounds for sampling in active.values()), default=0) - 1
        for rounds in itertools.count():
            if not active:
                return
            drawn = rng.permutation(len(group)).tolist()
            if rounds < last:
                continue
            order = [
                position for position in drawn if position in active and active[position].rounds <= rounds
            ]
            if order and 0 < rounds < self.plan.min_rounds:
                pause_s = self.plan.spread_s / (self.plan.min_rounds - 1)
                self._unfinished.keep_if_due(pause_s)
                self.device.pause(pause_s)
            for position in order:
                active[position].rounds = rounds
            yield from self._round(active, order, gate, _Turn(worker, rounds % worker.turns))
            self._tell(group, active)

    def _tell(self, group: Sequence[Workload], active: Mapping[int, Sampling]) -> None:
        self._on_step(Step({group[position].spec: sampling.kept for position, sampling in active.items()}))

    def _round(
        self, active: dict[int, Sampling], order: Sequence[int], gate: Gate, turn: "_Turn"
    ) -> Iterator[tuple[int, Entry]]:
        """Run a block of each; take what is finished out of ``active`` and yield it."""
        for positions in turn.portions(active, order, gate.blocks_at_once):
            try:
                blocks = gate.undisturbed(partial(self._blocks, active, positions, turn))
            except ThrottledError as error:
                entries = {position: sampling.throttled(error) for position, sampling in active.items()}
                active.clear()
                yield from entries.items()
                return
            for position, block in blocks.items():
                entry = self._kept_block(active, position, block, gate.facts())
                if entry is not None:
                    turn.worker.unload(position)
                    yield position, entry
            self._unfinished.keep_if_due()

    def _kept_block(
        self, active: dict[int, Sampling], position: int, block: Block | MeasuringError, facts: Conditions
    ) -> Entry | None:
        """Keep what a block gave; take its workload out of ``active`` if it is finished, and return it."""
        sampling = active[position]
        try:
            entry = sampling.keep(block, facts) if isinstance(block, Block) else failure(sampling.spec, block)
        except BusyError as error:
            self._busy = self._busy or error
            self._unfinished.finish(sampling.spec)
            del active[position]
            return None
        sampling.rounds += 1
        if entry is not None:
            del active[position]
        return entry

    def _blocks(
        self, active: Mapping[int, Sampling], positions: Sequence[int], turn: "_Turn"
    ) -> dict[int, Block | MeasuringError]:
        blocks: dict[int, Block | MeasuringError] = {}
        for message in turn.messages(positions):
            self._before_each()
            asked = [(position, active[position].calls) for position in message]
            blocks |= zip(message, turn.worker.run(turn.number, asked), strict=True)
        return blocks

    def _prepared(self, workload: Workload, position: int, worker: Worker) -> Sampling | Entry:
        self._before_each()
        earlier = self._unfinished.take_up(workload.spec)
        self.taken_up += earlier is not None
        try:
            worker.load(position, workload)
            self._require_timed(workload.spec)
            return Sampling(
                workload.spec, worker, position, device=self.device, plan=self.plan, earlier=earlier
            )
        except MEASURING_ERRORS as error:
            worker.unload(position)
            return failure(workload.spec, error)

    def _require_timed(self, spec: OpSpec) -> None:
        """Raise ``UntimedError`` where what was loaded, and was right, is not to be timed."""
        reason = self.device.why_untimed()
        if reason is not None:
            raise UntimedError(f"{spec} runs and is right, but {reason}")

    def _before_each(self) -> None:
        self._unfinished.keep_if_due()
        self._before_run()

    def _kept(
        self, table: LatencyTable, wanted: Collection[OpSpec], missing: Collection[OpSpec], *, again: bool
    ) -> Unfinished:
        """Return what earlier fillings of ``table`` left."""
        found = Unfinished(
            table,
            missing,
            key=measuring_key(self.header(), self.plan, again=again),
            every_s=self.plan.keep_every_s,
            clocks=clocks_of(self.device),
        )
        for spec in wanted:
            if spec not in missing:
                found.finish(spec)
        return found

    def _worker(self) -> Worker:
        """Return what measures: fresh processes where the plan asks for some and the runtime can."""
        start = self._start() if self.plan.processes and self.runtime.is_separable else None
        if start is None:
            return ThisProcess(self.runtime, self.device)
        return Processes(self.runtime, start, self.plan.processes)

    def _start(self) -> Callable[[int], MeasuringProcess] | None:
        """Return what starts a process that measures on the device; ``None`` where there is none."""
        match self.device:
            case HostDevice() as host:
                address = host.worker_address()
                return None if address is None else partial(WorkerProcess, self.runtime, address)
            case RemoteHost() as board:
                execution = self.runtime.on_board()
                return None if execution is None else partial(BoardWorkerProcess, board, execution)
        return None

    def _make_gate(self) -> Gate:
        plan = self.plan.sentinel
        if plan is None:
            return OpenGate()
        return SentinelGate(self.device, self.runtime, plan, before_run=self._before_each)


@dataclass(frozen=True)
class _Turn:
    """A round's turn: the worker, and which of its processes runs the round."""

    worker: Worker
    number: int

    def portions(
        self, active: Mapping[int, Sampling], order: Sequence[int], at_once: int
    ) -> Iterator[Sequence[int]]:
        """Yield positions that are run before any is kept: so many, or as many as a message may take."""
        if not self.worker.most_s:
            yield from (order[start : start + at_once] for start in range(0, len(order), at_once))
            return
        portion: list[int] = []
        portion_s = 0.0
        for position in order:
            block_s = active[position].block_s
            if portion and portion_s + block_s > self.worker.most_s:
                yield portion
                portion, portion_s = [], 0.0
            portion.append(position)
            portion_s += block_s
        if portion:
            yield portion

    def messages(self, positions: Sequence[int]) -> Sequence[Sequence[int]]:
        """Return the positions of each message of a portion."""
        return [positions] if self.worker.most_s else [[position] for position in positions]


def plan_for(device: Device, quality: Quality = USUAL) -> MeasurementPlan:
    """Return how to measure on ``device``: in many blocks, or in few where each is a process of its own.

    Raises:
        ProfilingError: What is asked for is out of bounds.
    """
    return plan_of_kind(type(device), quality)


def plan_of_kind(kind: type[Device], quality: Quality = USUAL) -> MeasurementPlan:
    """Return how to measure on devices of a kind; see ``plan_for``."""
    if issubclass(kind, RemoteHost):
        return MeasurementPlan.for_boards(quality)
    if issubclass(kind, RemoteDevice):
        return MeasurementPlan.for_phones(quality)
    return MeasurementPlan(
        precision=quality.precision,
        spread_s=quality.spread_s,
        keep_every_s=quality.keep_every_s,
        processes=quality.processes,
    )
