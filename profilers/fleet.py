"""Fleet: several devices of one model share the measuring of one table.

Each device measures into a part of its own, ``TABLE.part-SERIALHASH``, so that nothing is lost whatever ends
the work. All of them measure the sentinels; the parts become one table only where the sentinels agree. MLPerf
Mobile asks a phone to repeat its own figure to within 5 % (mobile_open/rules); the same is asked of two.
"""

import os
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from devices._device import Device
from devices._errors import DeviceError, DeviceLostError
from latency_tables.header import TableHeader
from latency_tables.measurement import Entry, Measurement
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers.errors import ProfilingError
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Runtime, Workload

#: Largest relative difference of a sentinel between two devices whose entries may stand in one table.
TOLERANCE = 0.05

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


class Fleet:
    """Devices that are alike but for their serial numbers, each with a runtime of its own.

    Args:
        members: Each device with its runtime; the caller closes the devices.
        plan: How long to measure.
        tolerance: Largest relative difference of a sentinel between two devices.
        on_round: Called, in any thread, with the hash of a serial number and that device's rounds, for
            progress.

    Attributes:
        lost: Why a device was given up, by the hash of its serial number.

    Raises:
        DeviceError: Two devices differ in more than their serial number, or are one and the same.
    """

    def __init__(
        self,
        members: Sequence[tuple[Device, Runtime]],
        plan: MeasurementPlan,
        *,
        tolerance: float = TOLERANCE,
        on_round: Callable[[str, int], None] = lambda _serial, _rounds: None,
    ) -> None:
        self._tolerance = tolerance
        self._chunk_size = min(_CHUNK, plan.group_size)  # whole groups: each costs the sentinel once
        self._work = _Work(self._chunk_size)
        self._profilers: dict[str, Profiler] = {}
        for device, runtime in members:
            serial = device.info().serial_hash
            self._profilers[serial] = Profiler(
                device, runtime, plan, on_round=partial(on_round, serial), before_run=self._require_going_on
            )
        if len(self._profilers) != len(members):
            raise DeviceError("two of the addresses lead to one device, or to devices without serial numbers")
        self._headers = {serial: profiler.header() for serial, profiler in self._profilers.items()}
        first, *others = self._headers.values()
        for header in others:
            _require_alike(first, header)
        self.lost: dict[str, str] = {}

    @property
    def resting_s(self) -> float:
        """Seconds that were lost to waiting for devices to be ready, over all of them."""
        return sum(profiler.resting_s for profiler in self._profilers.values())

    def fill(
        self,
        path: Path,
        workloads: Sequence[Workload],
        sentinels: Sequence[Workload],
        *,
        retry_failures: bool = False,
    ) -> Iterator[Entry]:
        """Measure what the table at ``path`` and its parts lack; merge the parts at the end.

        Whatever ends this early costs only what was not finished: the next call goes on from the parts.

        Args:
            path: The table; it appears, or grows, when all parts are merged.
            workloads: What it is to hold, each spec once.
            sentinels: Those of ``workloads`` that every device measures.
            retry_failures: Measure again what failed before.

        Yields:
            The entries, in the order in which the devices finish them.

        Raises:
            DeviceLostError: All devices were lost; the parts keep what was measured.
            ProfilingError: The sentinels disagree; the parts stay as they are.
            TableError: A part, or the table, cannot be read or written.
        """
        self._work = _Work(self._chunk_size)
        own = {_part(path, serial) for serial in self._headers}
        there = [LatencyTable.open(part) for part in parts_of(path) if part not in own]
        there += [LatencyTable.open(path)] if path.exists() else []
        with ExitStack() as opened:
            parts = {
                serial: opened.enter_context(LatencyTable.append(_part(path, serial), header))
                for serial, header in self._headers.items()
            }
            self._work.put(_lacking(workloads, [*there, *parts.values()], retry_failures=retry_failures))
            yield from self._measured(parts, sentinels)
            if _lacking(workloads, [*there, *parts.values()], retry_failures=False):
                raise DeviceLostError(f"all devices were lost: {'; '.join(self.lost.values())}; run it again")
        merge(path, sentinels, tolerance=self._tolerance)

    def _measured(self, parts: Mapping[str, LatencyTable], sentinels: Sequence[Workload]) -> Iterator[Entry]:
        """Yield what the devices, each in a thread of its own, add to their parts."""
        entries = queue.SimpleQueue[Entry | None]()
        with ThreadPoolExecutor(len(parts)) as threads:
            try:
                ends = [
                    threads.submit(self._measure, *part, sentinels, entries.put) for part in parts.items()
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
        self, serial: str, part: LatencyTable, sentinels: Sequence[Workload], report: Callable[[Entry], None]
    ) -> None:
        """Measure the sentinels, then chunk after chunk; a device that is lost gives its chunk back."""
        chunk: list[Workload] | None = None
        try:
            for entry in self._profilers[serial].fill(part, sentinels):
                report(entry)
            while (chunk := self._work.take()) is not None:
                for entry in self._profilers[serial].fill(part, chunk, retry_failures=True):
                    report(entry)
                self._work.done()
        except (DeviceError, _StoppedError) as error:
            if isinstance(error, DeviceError):
                self.lost[serial] = str(error)
            if chunk is not None:
                self._work.put(_lacking(chunk, [part], retry_failures=False))
                self._work.done()
        except BaseException:
            self._work.stop()  # the others would wait for this chunk
            raise

    def _require_going_on(self) -> None:
        if self._work.is_stopped:
            raise _StoppedError


def parts_of(path: Path) -> list[Path]:
    """Return the parts of the table at ``path`` that were not merged yet."""
    form = re.compile(re.escape(path.name) + r"\.part-[0-9a-f]+")
    try:
        names = os.listdir(path.parent)
    except OSError:
        return []  # whoever opens the table says what is wrong with its folder
    return [path.with_name(name) for name in sorted(names) if form.fullmatch(name)]


def merge(path: Path, sentinels: Sequence[Workload], *, tolerance: float = TOLERANCE) -> None:
    """Make one table of the parts beside ``path``, and remove them.

    Raises:
        ProfilingError: The sentinels of two parts disagree; all parts stay.
        TableError: A part is of other hardware, or a file cannot be read or written.
    """
    parts = [LatencyTable.open(part) for part in parts_of(path)]
    before = [LatencyTable.open(path)] if path.exists() else []
    for table in [*before, *parts][1:]:
        _require_alike([*before, *parts][0].header, table.header)
    _require_agreement([*before, *parts], [workload.spec for workload in sentinels], tolerance)
    serials = {serial for table in [*before, *parts] for serial in table.header.device.serials}
    first = parts[0].header
    header = replace(first, device=replace(first.device, serial_hash="+".join(sorted(serials))))
    merged = LatencyTable.in_memory(header)
    for table in [*parts, *before]:
        merged.add(*table.failures.values())
    for table in [*parts, *before]:
        merged.add(*(_marked(entry, table.header) for entry in table.measurements.values()))
    if before and before[0].validation is not None:
        merged.add_validation(before[0].validation)
    merged.save(path)
    for part in parts_of(path):
        part.unlink()


def _marked(entry: Measurement, header: TableHeader) -> Measurement:
    """Say which device measured ``entry``."""
    conditions = {"serial_hash": header.device.serial_hash, **entry.conditions}
    return replace(entry, conditions=conditions)


def _part(path: Path, serial: str) -> Path:
    return path.with_name(f"{path.name}.part-{serial}")


def _lacking(
    workloads: Sequence[Workload], tables: Sequence[LatencyTable], *, retry_failures: bool
) -> list[Workload]:
    """Return the workloads that none of ``tables`` has an entry of."""
    there: set[OpSpec] = set()
    for table in tables:
        there |= table.measurements.keys() | (set() if retry_failures else table.failures.keys())
    return [workload for workload in workloads if workload.spec not in there]


def _require_alike(first: TableHeader, other: TableHeader) -> None:
    first_facts, other_facts = first.facts(), other.facts()
    for name in first_facts | other_facts:
        found, wanted = first_facts.get(name, "unset"), other_facts.get(name, "unset")
        if found != wanted and name != "device.serial_hash":
            raise DeviceError(
                f"the devices differ in {name}: {found!r:.80} and {wanted!r:.80}; "
                "only identical ones share a table"
            )


def _require_agreement(tables: Sequence[LatencyTable], sentinels: Sequence[OpSpec], tolerance: float) -> None:
    """Check that whoever measured a sentinel measured the same."""
    for spec in sentinels:
        seen = {table.header.device.serial_hash: table[spec].latency_s for table in tables if spec in table}
        if len(seen) < 2:
            continue
        slowest, fastest = max(seen, key=seen.__getitem__), min(seen, key=seen.__getitem__)
        excess = seen[slowest] / seen[fastest] - 1
        if excess > tolerance:
            raise ProfilingError(
                f"the devices disagree: {slowest} takes {excess:.0%} longer than {fastest} for {spec} "
                f"({tolerance:.0%} are allowed); the parts are kept: remove one device's part, or cool it "
                "and profile again"
            )
