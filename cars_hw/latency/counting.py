"""Counting: as which units a network is executed, told by this machine's runtime or by the device itself.

What a runtime makes of a network depends on the machine: ONNX Runtime rounds channels to the width of the
processor's vectors. So a table keeps what its device's runtime made of the calibration networks, and this
machine counts only where it makes the very same of each of them; otherwise the device does.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, get_args

import devices
from cars_hw.errors import UncountedError
from cars_hw.latency.contents import UnitContents, network_workload
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph, network_spec
from cars_hw.spaces._space import SearchSpace
from devices import DeviceError
from devices.foundation import UnknownNameError
from latency_tables import (
    Changeable,
    ExecutedGraph,
    LatencyTable,
    OpSpec,
    Setting,
    TableHeader,
    TableMismatchError,
)
from profilers import ProfilingError, Setup, UnitCounter, runtimes

if TYPE_CHECKING:
    from torch import nn

#: Networks whose counts are remembered; those of one take about 10 kB.
_REMEMBERED = 2048


class GraphSource(Protocol):
    """Whoever tells what the runtime of a table's device makes of networks."""

    def graphs(self, architectures: Sequence[Architecture]) -> list[ExecutedGraph]:
        """Return what it makes of each deployed network."""
        ...


@dataclass(frozen=True)
class CountedHere:
    """This machine's runtime, which makes of networks what the device's does."""

    space: SearchSpace
    counter: UnitCounter

    def graphs(self, architectures: Sequence[Architecture]) -> list[ExecutedGraph]:
        """Count each; no torch is needed but for operations that were never lowered before."""
        return [self.counter.executed(self.space.deployed(one).nodes) for one in architectures]


@dataclass(frozen=True)
class CountedThere:
    """The device of the table itself."""

    space: SearchSpace
    setup: Setup

    def graphs(self, architectures: Sequence[Architecture]) -> list[ExecutedGraph]:
        """Have the device's runtime load each network.

        Raises:
            DeviceError: It cannot be reached.
            ProfilingError: It does not execute one.
        """
        runtime = self.setup.load_runtime()
        with devices.connect(self.setup.device) as device:
            return [runtime.executed(network_workload(self.space, one), device) for one in architectures]


class NetworkCounts:
    """The counts of units of networks, those of the latest ones remembered.

    Args:
        source: Who counts.
    """

    def __init__(self, source: GraphSource) -> None:
        self._source = source
        self._remembered: OrderedDict[Architecture, Mapping[OpSpec, int]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<counts of {len(self._remembered)} networks, by {type(self._source).__name__}>"

    def of(self, architecture: Architecture) -> Mapping[OpSpec, int]:
        """Return how often each unit is executed in the deployed network.

        Raises:
            ProfilingError: The runtime does not execute it.
            DeviceError: The device would have to be asked, and cannot be.
        """
        [counts] = self.of_each([architecture])
        return counts

    def of_each(self, architectures: Sequence[Architecture]) -> list[Mapping[OpSpec, int]]:
        """Return the same of many networks, for which a device is connected to once."""
        unknown = [one for one in dict.fromkeys(architectures) if one not in self._remembered]
        found = dict(zip(unknown, self._source.graphs(unknown), strict=True)) if unknown else {}
        counts = [found[one].counts if one in found else self._remembered[one] for one in architectures]
        for one, its_counts in zip(architectures, counts, strict=True):
            self._remembered[one] = its_counts
            self._remembered.move_to_end(one)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return counts


def counts_for(space: SearchSpace, table: LatencyTable, setup: Setup | None = None) -> NetworkCounts:
    """Return the counts of networks of ``space`` as the runtime of the table's device executes them.

    Args:
        space: The space.
        table: Of units.
        setup: The device that may be asked, and its runtime; if not given, no device is, and the runtime is
            the table's, where that is one of this project.

    Raises:
        UncountedError: Neither this machine nor the device can tell.
    """
    why_not_here = ""
    try:
        here = _counter_for(table.header, setup)
        networks = _networks(space, table)
        differing = _differing(here, networks)
        if not differing:
            return NetworkCounts(CountedHere(space, unit_counter(here)))
        why_not_here = (
            f"{here.runtime} on this machine does not execute {differing} of its {len(networks)} "
            "calibration networks as on its device"
        )
    except (ProfilingError, DeviceError, UnknownNameError, ImportError) as error:
        why_not_here = f"networks cannot be counted here: {error}"
    why_not_there = _why_not_at_hand(table.header, setup)
    if setup is None or why_not_there:
        raise UncountedError(
            f"the table of {table.header.device} does not predict on this machine: {why_not_here}; "
            f"{why_not_there}: predict where it was measured, or connect that device"
        )
    return NetworkCounts(CountedThere(space, setup))


def unit_counter(setup: Setup) -> UnitCounter:
    """Return what counts units by the runtime of ``setup``, on this machine.

    Raises:
        UnsupportedOperationError: The runtime does not show what it executes.
        UnknownNameError: There is no such runtime, or it has no such setting.
    """
    return _unit_counter(setup.runtime, setup.threads, tuple(sorted(setup.settings.items())))


@lru_cache(maxsize=16)  # what a counter has lowered, all tables of its runtime share
def _unit_counter(name: str, threads: int, settings: tuple[tuple[str, Setting], ...]) -> UnitCounter:
    return runtimes.load(name, threads, **dict(settings)).counter(_build)


def _build(spec: OpSpec) -> "nn.Module":
    from cars_hw.weights import modules  # torch takes seconds, which counting known operations need not spend

    return modules.build(spec).eval()


def _counter_for(header: TableHeader, setup: Setup | None) -> Setup:
    if setup is not None:
        return setup
    if "." in header.runtime:
        raise UnknownNameError("runtime that a table names", header.runtime, runtimes.names())
    return Setup("", header.runtime, header.threads, header.settings)


_Networks = tuple[tuple[Graph, ExecutedGraph], ...]


def _networks(space: SearchSpace, table: LatencyTable) -> _Networks:
    """Return the calibration networks, each with what the device's runtime makes of it."""
    graphs = map(space.deployed, UnitContents(space, dict(table.executed)).calibration)
    kept = ((graph, table.executed.get(network_spec(graph))) for graph in graphs)
    return tuple((graph, executed) for graph, executed in kept if executed is not None)


def _differing(setup: Setup, networks: _Networks) -> int:
    return _differing_of(setup.runtime, setup.threads, tuple(sorted(setup.settings.items())), networks)


@lru_cache(maxsize=64)  # once a process
def _differing_of(
    name: str, threads: int, settings: tuple[tuple[str, Setting], ...], networks: _Networks
) -> int:
    """Return how many of ``networks`` this machine's runtime executes otherwise."""
    counter = _unit_counter(name, threads, settings)
    return sum(counter.executed(graph.nodes).counts != kept.counts for graph, kept in networks)


def _why_not_at_hand(header: TableHeader, setup: Setup | None) -> str:
    """Say why the device of ``header`` cannot be asked; empty where it can."""
    if setup is None:
        return "no device was named that could"
    try:
        with devices.connect(setup.device) as device:
            now = replace(header, device=device.info())
        header.require_equal(now, allow_changed=get_args(Changeable))
    except (DeviceError, TableMismatchError, UnknownNameError) as error:
        return f"its device is not at hand: {error}"
    return ""
