"""Filling a table of units: what it has to hold depends on what was measured, so that there are two steps.

First random networks and their units; then those networks whose predictions from all of these are the least
certain, and what is new of theirs. What the table holds tells which steps are done: whatever ends one, the
next call goes on.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cars_hw.latency.candidates import lightest, network_key
from cars_hw.latency.contents import TableContents, UnitContents, contents_of
from cars_hw.latency.counting import NetworkCounts, counts_for, unit_counter
from cars_hw.latency.networks_only import measured_networks
from cars_hw.latency.prediction import UnitPredictor
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from latency_tables import CALL_OVERHEAD, KeyedBy, LatencyTable, TableError, UnitModel
from profilers import (
    Filled,
    OnProgress,
    ProfilingError,
    Setup,
    UnsupportedOperationError,
    Workload,
    ignore_progress,
    parts_of,
)


def kind_of(path: Path, setup: Setup, *, by_operations: bool = False) -> KeyedBy:
    """Return what the table at ``path`` is made of; of a new one, units where its runtime shows them.

    Args:
        path: The table.
        setup: On what is measured.
        by_operations: Whether it is to be of operations, whatever its runtime shows.

    Raises:
        TableError: The table cannot be read, or is made of whole networks alone, or of units though
            ``by_operations`` is asked for.
        UnknownNameError: There is no such runtime, or it has no such setting.
    """
    files = _files(path)
    if files:
        kind = LatencyTable.header_of(files[0]).keyed_by
        if kind == "networks":
            raise TableError(
                f"{path} is made of whole networks alone; go on with --networks-only N, or name another file"
            )
        if by_operations and kind == "units":
            raise TableError(f"{path} is made of units; name another file for a table of operations")
        return kind
    return "operations" if by_operations or why_by_operations(path, setup) else "units"


def why_by_operations(path: Path, setup: Setup) -> str:
    """Say why a new table at ``path`` is of operations; empty where it is of units, or not new.

    Raises:
        UnknownNameError: There is no such runtime, or it has no such setting.
    """
    if _files(path):
        return ""
    try:
        unit_counter(setup)
    except UnsupportedOperationError as error:
        return str(error)
    return ""


def _files(path: Path) -> list[Path]:
    """Return the table at ``path``, or the parts that it will be made of."""
    return [path] if path.exists() else parts_of(path)


def stored_contents(space: SearchSpace, path: Path, further: Sequence[Architecture] = ()) -> UnitContents:
    """Return the contents of the table of units at ``path``, or of one that is to be made there.

    Args:
        space: Whose table it is.
        path: The table.
        further: Networks that it is to hold beside those that it holds.
    """
    if not path.exists():
        return UnitContents(space, {}, tuple(further))
    table = LatencyTable.open(path)
    all_further = dict.fromkeys((*measured_networks(space, table), *further))
    return UnitContents(space, dict(table.executed), tuple(all_further))


def operation_contents(space: SearchSpace, path: Path, further: Sequence[Architecture] = ()) -> TableContents:
    """Return the same of a table of operations. Arguments as those of ``stored_contents``."""
    known = measured_networks(space, LatencyTable.open(path)) if path.exists() else ()
    return TableContents(space, tuple(dict.fromkeys((*known, *further))))


def lacking_networks(
    space: SearchSpace, path: Path, further: Sequence[Architecture]
) -> tuple[Architecture, ...]:
    """Return those of ``further`` by which the table at ``path`` is not calibrated, connected ones alone."""
    known = contents_of(space, LatencyTable.open(path)).calibration if path.exists() else ()
    wanted = (one for one in dict.fromkeys(further) if one not in known)
    return tuple(one for one in wanted if space.deployed(one).is_connected)


@dataclass(frozen=True)
class UnitFilling:
    """The filling of a table of units.

    Attributes:
        space: Whose table it is.
        path: The table; made where there is none.
        setup: On what is measured.
        keep: Keeps in the table what the device's runtime makes of networks.
        fill: Measures what the table lacks of workloads.
        further: Networks that the table is to hold beside those that it chooses, and those that it has.
        on_counted: For progress of counting the candidates.
    """

    space: SearchSpace
    path: Path
    setup: Setup
    keep: Callable[[Sequence[Workload]], None]
    fill: Callable[[Sequence[Workload]], Filled]
    further: tuple[Architecture, ...] = ()
    on_counted: OnProgress = ignore_progress

    def run(self) -> Filled:
        """Do the steps that are left; return what all of them gave.

        Raises:
            DeviceError: The device cannot be reached or used.
            ProfilingError: Several devices disagree.
            TableError: The table cannot be written, or is of other conditions.
        """
        counter, filled = unit_counter(self.setup), list[Filled]()
        contents = self._contents()
        contents = self._with_graphs(contents, contents.unread)
        if contents.unchosen:
            filled.append(self.fill(contents.workloads(counter)))
            contents = self._with_graphs(contents, self._widest(contents))
        if contents.widest or not filled:
            filled.append(self.fill(contents.workloads(counter)))
        return _together(filled)

    def _with_graphs(self, contents: UnitContents, architectures: Sequence[Architecture]) -> UnitContents:
        if not architectures:
            return contents
        self.keep([contents.network(architecture) for architecture in architectures])
        return self._contents()

    def _contents(self) -> UnitContents:
        return stored_contents(self.space, self.path, self.further)

    def _widest(self, contents: UnitContents) -> list[Architecture]:
        """Choose the networks that are still to be chosen; none where nothing was measured to go by."""
        table = LatencyTable.open(self.path)
        known = LatencyTable.in_memory(table.header)
        first = contents.units_of(network_key(self.space, one) for one in contents.random)
        known.add(*(table[spec] for spec in (CALL_OVERHEAD, *first) if spec in table))
        if CALL_OVERHEAD not in known or len(known) == 1:
            return []
        counts = counts_for(self.space, table, self.setup, keeps=True)
        keys = {one: network_key(self.space, one) for one in contents.random}
        measured = [(one, table[key].latency_s) for one, key in keys.items() if key in table]
        model = UnitPredictor(known, counts, measured).model
        return widest(contents, model, counts, on_counted=self.on_counted)


def widest(
    contents: UnitContents,
    model: UnitModel,
    counts: NetworkCounts,
    *,
    on_counted: OnProgress = ignore_progress,
) -> list[Architecture]:
    """Return those candidates that ``contents`` lacks and whose predictions are relatively least certain.

    The lightest network is the first of them, however certain: searches go there, random networks do not.

    Args:
        contents: Has the candidates, and says how many are to be chosen.
        model: Of the units and the networks that were measured before, which say little of some candidates.
        counts: Those of the candidates.
        on_counted: For progress.
    """
    candidates = [candidate for candidate in contents.candidates if candidate not in contents.widest]
    with suppress(ProfilingError):  # then those up to one that the runtime does not execute are remembered
        counts.of_each(candidates, on_progress=on_counted)
    widths: dict[Architecture, float] = {}
    for candidate in candidates:
        try:
            widths[candidate] = model.relative_deviation(counts.of(candidate))
        except ProfilingError:  # what the runtime does not execute calibrates nothing
            continue
    first = lightest(contents.space)
    return sorted(widths, key=lambda one: (one != first, -widths[one]))[: contents.unchosen]


def _together(filled: Sequence[Filled]) -> Filled:
    """Return what several fillings of one table gave, the later one of all that the earlier ones wanted."""
    last = filled[-1]
    entries = {entry.spec: entry for one in filled for entry in one.entries}
    earlier = {entry.spec for one in filled[:-1] for entry in one.entries}
    return replace(
        last,
        entries=list(entries.values()),
        resting_s=sum(one.resting_s for one in filled),
        taken_up=sum(one.taken_up for one in filled),
        were_there=last.were_there - len(earlier - {entry.spec for entry in last.entries}),
        lost=tuple(reason for one in filled for reason in one.lost),
    )
