"""Unfinished entries: what was measured of them is kept beside their table, and taken up again.

A file of partial records that only whoever fills the table reads: it is replaced as a whole every so often,
and is gone when all of its entries are in the table. No record is trusted: what does not hold, or is of other
conditions or another plan, is measured anew.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from devices import Device, HostDevice
from devices.foundation import SaveTimer
from latency_tables import Conditions, LatencyTable, Measurement, OpSpec, SpecError, TableError, TableHeader
from profilers.plan import MeasurementPlan
from profilers.statistics import MOST_CALLS

logger = logging.getLogger(__name__)

_Record = Mapping[str, object]

#: More rounds and restarts than any plan has.
_MOST = 1 << 20


@dataclass(frozen=True)
class Blocks:
    """What was measured of a workload that is not finished.

    Attributes:
        samples_s: (n,) seconds per call, of the blocks that count.
        inner_calls: Calls of a block.
        rounds: Rounds of its group in which it had its block.
        restarts: How often its blocks turned out too short.
        started: When the first of these blocks began, with its time zone.
        interruptions: How often it was taken up again.
        facts: What the gate said beside the last block.
        processes: (n,) numbers of the processes that gave the samples; none where this one did.
        disturbed_s: (m,) seconds per call of the blocks that do not count, because something disturbed them.

    Raises:
        TableError: A value is out of bounds.
    """

    samples_s: tuple[float, ...]
    inner_calls: int
    rounds: int
    restarts: int
    started: str
    interruptions: int
    facts: Conditions = field(default_factory=dict)
    processes: tuple[int, ...] = ()
    disturbed_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        counts = (self.rounds, self.restarts, self.interruptions, self.inner_calls - 1)
        if min(counts) < 0 or max(counts) > _MOST or self.inner_calls > MOST_CALLS:
            raise TableError(f"counts of an unfinished entry are {counts}; they are 0 to {_MOST}")
        if self.samples_s:
            self.measured(OpSpec("unfinished", (1,)))
        if self.disturbed_s:
            Measurement(OpSpec("unfinished", (1,)), self.disturbed_s)
        if self.processes and (
            len(self.processes) != len(self.samples_s)
            or not 0 <= min(self.processes) <= max(self.processes) < _MOST
        ):
            raise TableError(f"an unfinished entry has {len(self.processes)} numbers of processes")
        try:
            is_exact = datetime.fromisoformat(self.started).tzinfo is not None
        except ValueError:
            is_exact = False
        if not is_exact:
            raise TableError(f"an unfinished entry began at {self.started!r:.80}; that is no time")

    def measured(self, spec: OpSpec) -> Measurement:
        """Return the samples, of which there are some, as if that were all."""
        return Measurement(spec, self.samples_s, self.facts)


class Unfinished:
    """What is kept of a table's unfinished entries: by an earlier filling, and by this one.

    Args:
        table: The table that is filled; ``None``: nothing is kept.
        missing: What is to be measured.
        key: Of the conditions and the plan of measuring, by ``measuring_key``.
        every_s: Longest that a block may be lost by whatever ends the process.
        clocks: Each tells the time in seconds; what is due by one of them is due.
    """

    def __init__(
        self,
        table: LatencyTable | None = None,
        missing: Collection[OpSpec] = (),
        *,
        key: str = "",
        every_s: float = 0.0,
        clocks: Sequence[Callable[[], float]] = (time.monotonic,),
    ) -> None:
        self._table, self._key, self._timer = table, key, SaveTimer(every_s, clocks)
        self._records = {} if table is None else _found(table, set(map(str, missing)), key)
        self._group = ""
        self._now: Callable[[], Mapping[OpSpec, Blocks]] = dict

    def measurements(self) -> Iterator[Measurement]:
        """Yield what is known of the unfinished entries, as if that were all."""
        for record in self._records.values():
            blocks = _blocks(record) if record.get("key") == self._key else None
            if blocks is not None and blocks.samples_s:
                yield blocks.measured(OpSpec.parse(str(record["spec"])))

    def begin(self, group: Sequence[OpSpec], now: Callable[[], Mapping[OpSpec, Blocks]]) -> None:
        """Begin with ``group``; ``now`` is to return what there is of its unfinished entries at that time."""
        self._group = _digest("\n".join(map(str, group)))
        self._now = now
        self._timer.begin()

    def take_up(self, spec: OpSpec) -> Blocks | None:
        """Return what an earlier filling left of ``spec``; its rounds are 0 where its group was another."""
        record = self._records.get(str(spec))
        blocks = None if record is None else _blocks(record)
        if blocks is None or record is None or record["group"] == self._group:
            return blocks
        return replace(blocks, rounds=0)

    def finish(self, spec: OpSpec) -> None:
        """Forget ``spec``, whose entry is in the table."""
        self._records.pop(str(spec), None)

    def keep_if_due(self, ahead_s: float = 0.0) -> None:
        """Bring what there is to the disk, if that is due.

        Args:
            ahead_s: Seconds for which it will not be asked again.

        Raises:
            TableError: The table was moved, removed or replaced.
        """
        if self._table is not None and self._timer.is_due(ahead_s):
            self._keep(self._table)

    def end(self) -> None:
        """Bring what there is to the disk as far as that is possible, after whatever ended the group."""
        if self._table is not None:
            with suppress(TableError):  # the error that ended it is the one to be told
                self._keep(self._table)
        self._now = dict

    def _keep(self, table: LatencyTable) -> None:
        with self._timer.saving():
            for spec, blocks in self._now().items():
                self._records[str(spec)] = {
                    "spec": str(spec),
                    "key": self._key,
                    "group": self._group,
                    **asdict(blocks),
                    "samples_s": list(blocks.samples_s),
                    "processes": list(blocks.processes),
                    "disturbed_s": list(blocks.disturbed_s),
                }
            table.keep_partial(*self._records.values())


def measuring_key(header: TableHeader, plan: MeasurementPlan, *, again: bool) -> str:
    """Return what two fillings have in common whose blocks may stand in one entry."""
    how = {name: value for name, value in asdict(plan).items() if name != "keep_every_s"}
    if not plan.processes:  # as programs wrote it that knew of no others than this one
        del how["processes"]
    return _digest(json.dumps([header.facts(), how, again], sort_keys=True))


def clocks_of(device: Device) -> Sequence[Callable[[], float]]:
    """Return by which clocks blocks are kept: this machine's own, and that of a device that may be played."""
    return (time.monotonic, device.clock_s) if isinstance(device, HostDevice) else (time.monotonic,)


def _found(table: LatencyTable, missing: set[str], key: str) -> dict[str, _Record]:
    """Return the records of the entries to be measured, and those of others as they are; say what goes."""
    found = {str(record.get("spec")): record for record in table.partial()}
    others = {spec for spec in found.keys() & missing if found[spec].get("key") != key}
    damaged = {
        spec for spec, record in found.items() if not _is_spec(spec) or _blocks(record) is None
    } - others
    if others:
        logger.warning(
            "what was measured of %d unfinished entries was under other conditions or by another plan: they "
            "are measured anew",
            len(others),
        )
    if damaged:
        logger.warning("what was kept of %d unfinished entries does not hold: measured anew", len(damaged))
    return {spec: record for spec, record in found.items() if spec not in others | damaged}


def _is_spec(text: str) -> bool:
    try:
        OpSpec.parse(text)
    except SpecError:
        return False
    return True


def _blocks(record: _Record) -> Blocks | None:
    """Return what a record holds, or ``None`` where it does not hold."""
    match record:
        case {
            "group": str(),
            "samples_s": list(samples),
            "inner_calls": int(inner_calls),
            "rounds": int(rounds),
            "restarts": int(restarts),
            "started": str(started),
            "interruptions": int(interruptions),
            "facts": dict(facts),
        }:
            processes, disturbed = record.get("processes", []), record.get("disturbed_s", [])
            lists = _are_all(samples, float), _are_all(processes, int), _are_all(disturbed, float)
            if not all(lists) or not isinstance(processes, list) or not isinstance(disturbed, list):
                return None
            with suppress(TableError):
                return Blocks(
                    tuple(samples),
                    inner_calls,
                    rounds,
                    restarts,
                    started,
                    interruptions,
                    facts,
                    tuple(processes),
                    tuple(disturbed),
                )
    return None


def _are_all(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
