"""Fleet: several devices of one model share the measuring of one table.

Each device measures into a part of its own, ``TABLE.part-NAME``, so that nothing is lost whatever ends the
work. Its name is the hash of its serial number, and, where several have one, that of its present boot too.
All of them measure the *controls*; the parts become one table only where these agree. MLPerf Mobile asks a
phone to repeat its own figure to within 5 % (mobile_open/rules); the same is asked of two.
"""

import queue
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from devices import Device, DeviceError, DeviceLostError
from latency_tables import ChangedConditionsError, Entry, KeyedBy, LatencyTable, OpSpec, TableHeader
from profilers.parts import (
    TOLERANCE,
    Identified,
    member_names,
    merge,
    name_of_boot,
    part_path,
    parts_of,
    require_alike,
)
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.progress.report import OnStep, Step
from profilers.runtimes._runtime import Runtime, Workload

#: Workloads that a device takes at a time, at most: a lost one gives back at most so many.
_CHUNK = 16


@dataclass
class _Work:
    """What is still to be measured; chunks that a lost device gives back are handed out again.

    Attributes:
        chunk_size: Workloads in a chunk, at most.
    """

    chunk_size: int = _CHUNK
    chunks: "queue.SimpleQueue[list[Workload]]" = field(default_factory=queue.SimpleQueue)
    unfinished: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    is_stopped: bool = False

    def put(self, workloads: Sequence[Workload]) -> None:
        with self.changed:
            for start in range(0, len(workloads), self.chunk_size):
                self.chunks.put(list(workloads[start : start + self.chunk_size]))
                self.unfinished += 1
            self.changed.notify_all()

    def take(self) -> list[Workload] | None:
        """Return a chunk, waiting for one while others are still at work; ``None`` when all is done."""
        with self.changed:
            while self.chunks.empty() and self.unfinished and not self.is_stopped:
                self.changed.wait()
            return None if self.chunks.empty() or self.is_stopped else self.chunks.get()

    def done(self) -> None:
        with self.changed:
            self.unfinished -= 1
            self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            self.is_stopped = True
            self.changed.notify_all()


class _StoppedError(Exception):
    """The work was stopped between two runs."""


class Measurer(Protocol):
    """What a member of a fleet measures by; ``Profiler`` says what each of these does."""

    taken_up: int

    @property
    def device(self) -> Identified:
        """The device."""
        ...

    @property
    def resting_s(self) -> float:
        """Seconds that were lost to waiting for it to be ready."""
        ...

    def header(self, keyed_by: KeyedBy = "operations") -> TableHeader:
        """Return the conditions that everything measured on it shares."""
        ...

    def fill(
        self, table: LatencyTable, workloads: Iterable[Workload], *, retry_failures: bool = False
    ) -> Iterator[Entry]:
        """Measure what ``table`` lacks; each entry is in the table before it is yielded.

        Raises:
            DeviceError: The device, or its host, was lost.
        """
        ...

    def outdated(self, table: LatencyTable) -> set[OpSpec]:
        """Return what ``table`` holds of a time when the device was slower than it has proved to be."""
        ...


class Elsewhere(Identified, Protocol):
    """A device that another process measures on, perhaps of another host."""

    @property
    def address(self) -> str:
        """``NAME[:ADDRESS]``, as its host connects to it."""
        ...

    @property
    def label(self) -> str:
        """What it is called, in progress and in messages."""
        ...

    def measurer(self, on_step: OnStep, before_run: Callable[[], None]) -> Measurer:
        """Return what measures on it. Arguments as those of ``Profiler``."""
        ...


class Fleet:
    """Devices that are alike but for their serial numbers, each with a runtime of its own.

    Args:
        members: Each device with its runtime, or one that another process measures on; the caller closes
            them.
        plan: How long to measure.
        tolerance: Largest relative difference of a control between two devices.
        allow_changed: Which conditions may differ between the devices, their parts and the table: see
            ``latency_tables.Changeable``.
        on_step: Called, in any thread, with the name of a member and what it has just done, for progress.

    Attributes:
        names: A name of each member, in their order.
        lost: Why a device was given up, by its name.

    Raises:
        DeviceError: Two devices differ in more than their serial number, are one and the same, or cannot be
            told apart.
        ChangedConditionsError: They differ in conditions that nobody allowed to.
    """

    def __init__(
        self,
        members: Sequence[tuple[Device, Runtime] | Elsewhere],
        plan: MeasurementPlan,
        *,
        tolerance: float = TOLERANCE,
        allow_changed: Collection[str] = (),
        on_step: Callable[[str, Step], None] = lambda _name, _step: None,
    ) -> None:
        self._tolerance, self._on_step, self._allow_changed = tolerance, on_step, allow_changed
        self._chunk_size = min(_CHUNK, plan.group_size)  # whole groups: each costs the sentinel once
        self._work = _Work(self._chunk_size)
        self._profilers: dict[str, Measurer] = {}
        self.names = member_names([one[0] if isinstance(one, tuple) else one for one in members])
        for name, member in zip(self.names, members, strict=True):
            step, check = partial(on_step, name), self._require_going_on
            self._profilers[name] = (
                Profiler(*member, plan, on_step=step, before_run=check)
                if isinstance(member, tuple)
                else member.measurer(step, check)
            )
        self._headers = {name: profiler.header() for name, profiler in self._profilers.items()}
        _require_all_alike([*self._headers.values()], allow_changed)
        self.lost: dict[str, str] = {}

    def __repr__(self) -> str:
        first = next(iter(self._profilers.values()))
        return f"<fleet of {len(self._profilers)}, {len(self.lost)} lost: {first!r}>"

    @property
    def resting_s(self) -> float:
        """Seconds that were lost to waiting for devices to be ready, over all of them."""
        return sum(profiler.resting_s for profiler in self._profilers.values())

    @property
    def taken_up(self) -> int:
        """How many entries went on from blocks of a filling that was interrupted, over all devices."""
        return sum(profiler.taken_up for profiler in self._profilers.values())

    def fill(
        self,
        path: Path,
        workloads: Sequence[Workload],
        controls: Sequence[Workload],
        *,
        retry_failures: bool = False,
        keyed_by: KeyedBy = "operations",
    ) -> Iterator[Entry]:
        """Measure what the table at ``path`` and its parts lack; merge the parts at the end.

        Whatever ends this early costs only what was not finished: the next call goes on from the parts.

        Args:
            path: The table; it appears, or grows, when all parts are merged.
            workloads: What it is to hold, each spec once.
            controls: Those of ``workloads`` that every device measures.
            retry_failures: Measure again what failed before.
            keyed_by: What the table is made of.

        Yields:
            The entries, in the order in which the devices finish them.

        Raises:
            DeviceError: The table, or a part, is of other hardware.
            ChangedConditionsError: It is of conditions that changed, and nobody allowed them to.
            DeviceLostError: All devices were lost; the parts keep what was measured.
            ProfilingError: The controls disagree; the parts stay as they are.
            TableError: A part, or the table, cannot be read or written.
        """
        self._work = _Work(self._chunk_size)
        own = {name: self._part(path, name) for name in self.names}
        headers = {name: replace(header, keyed_by=keyed_by) for name, header in self._headers.items()}
        there = [LatencyTable.open(part) for part in parts_of(path) if part not in own.values()]
        there += [LatencyTable.open(path)] if path.exists() else []
        for table in there:
            require_alike(table.header, next(iter(headers.values())), self._allow_changed)
        with ExitStack() as opened:
            parts = {
                name: opened.enter_context(
                    LatencyTable.open_for_writing(own[name], header, allow_changed=self._allow_changed)
                )
                for name, header in headers.items()
            }
            self._work.put(_lacking(workloads, [*there, *parts.values()], retry_failures=retry_failures))
            yield from self._measured(parts, workloads, controls)
            if _lacking(workloads, [*there, *parts.values()], retry_failures=False):
                raise DeviceLostError(f"all devices were lost: {'; '.join(self.lost.values())}; run it again")
            if any(self._slower(name, part, workloads) for name, part in parts.items()):
                raise DeviceLostError(
                    f"a device proved faster, and was lost before all was measured anew: "
                    f"{'; '.join(self.lost.values())}; run it again"
                )
        merge(path, controls, tolerance=self._tolerance, allow_changed=self._allow_changed)

    def _part(self, path: Path, name: str) -> Path:
        """Return the part of a member; an earlier one, when others had its serial number, is gone on with."""
        former = part_path(path, name_of_boot(self._profilers[name].device))
        return former if former.exists() else part_path(path, name)

    def _measured(
        self,
        parts: Mapping[str, LatencyTable],
        workloads: Sequence[Workload],
        controls: Sequence[Workload],
    ) -> Iterator[Entry]:
        """Yield what the devices, each in a thread of its own, add to their parts."""
        entries = queue.SimpleQueue[Entry | None]()
        with ThreadPoolExecutor(len(parts)) as threads:
            try:
                ends = [
                    threads.submit(self._measure, name, part, workloads, controls, entries.put)
                    for name, part in parts.items()
                ]
                for end in ends:
                    end.add_done_callback(lambda _: entries.put(None))
                for _ in ends:
                    while (entry := entries.get()) is not None:
                        yield entry
                for end in ends:
                    end.result()
            finally:
                self._work.stop()

    def _measure(
        self,
        name: str,
        part: LatencyTable,
        workloads: Sequence[Workload],
        controls: Sequence[Workload],
        report: Callable[[Entry], None],
    ) -> None:
        """Measure the controls, then chunk after chunk; a device that is lost gives its chunk back."""
        profiler = self._profilers[name]
        chunk: list[Workload] | None = None
        try:
            for entry in profiler.fill(part, controls):
                report(entry)
            while (chunk := self._work.take()) is not None:
                for entry in profiler.fill(part, chunk, retry_failures=True):
                    report(entry)
                self._work.done()
            for entry in profiler.fill(part, self._slower(name, part, workloads)):
                report(entry)
        except (DeviceError, _StoppedError) as error:
            if isinstance(error, DeviceError):
                self.lost[name] = str(error)
                self._on_step(name, Step(is_lost=True))
            if chunk is not None:
                self._work.put(_lacking(chunk, [part], retry_failures=False))
                self._work.done()
        except BaseException:
            self._work.stop()  # the others would wait for this chunk
            raise

    def _slower(self, name: str, part: LatencyTable, workloads: Sequence[Workload]) -> list[Workload]:
        """Return those of ``workloads`` that a member measured when it was slower than it can be."""
        outdated = self._profilers[name].outdated(part)
        return [workload for workload in workloads if workload.spec in outdated]

    def _require_going_on(self) -> None:
        if self._work.is_stopped:
            raise _StoppedError


def _require_all_alike(headers: Sequence[TableHeader], allow_changed: Collection[str]) -> None:
    for header in headers[1:]:
        try:
            require_alike(headers[0], header, allow_changed)
        except ChangedConditionsError as error:
            differing = ", ".join(f"{name} {one!r} and {two!r}" for name, (one, two) in error.changes.items())
            text = f"the devices differ in {differing}"
            raise ChangedConditionsError(error.changes, words=error.words, text=text) from error


def _lacking(
    workloads: Sequence[Workload], tables: Sequence[LatencyTable], *, retry_failures: bool
) -> list[Workload]:
    """Return the workloads that none of ``tables`` has an entry of."""
    there: set[OpSpec] = set()
    for table in tables:
        there |= table.measurements.keys() | (set() if retry_failures else table.failures.keys())
    return [workload for workload in workloads if workload.spec not in there]
