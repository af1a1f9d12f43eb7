"""Counting: as which units a network is executed, told by this machine's runtime or by the device itself.

What a runtime makes of a network depends on the machine: ONNX Runtime rounds channels to the width of the
processor's vectors. So a table keeps what its device's runtime made of the calibration networks, and this
machine counts only where it makes the very same of each of them; otherwise the device does.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, get_args

import devices
from cars_hw.errors import UncountedError
from cars_hw.latency.candidates import network_key
from cars_hw.latency.contents import contents_of, network_workload
from cars_hw.latency.recipes import recipe
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import IMAGE, Graph, Node, network_spec
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
from profilers import (
    IdentifiedCounter,
    LoweringCounter,
    OnProgress,
    ProfilingError,
    Progress,
    Setup,
    UnitCounter,
    Workload,
    ignore_progress,
    kept_graph,
    runtimes,
)

if TYPE_CHECKING:
    from torch import nn

#: Settings in the order of their names.
_Settings = tuple[tuple[str, Setting], ...]

#: Networks whose counts are remembered; those of one take about 10 kB.
_REMEMBERED = 2048


class GraphSource(Protocol):
    """Whoever tells what the runtime of a table's device makes of networks."""

    @property
    def space(self) -> SearchSpace:
        """The space of the networks."""
        ...

    def graphs(self, architectures: Sequence[Architecture]) -> Iterable[ExecutedGraph]:
        """Return what it makes of each deployed network, one by one; what came before an error holds."""
        ...

    def operation(self, node: Node) -> ExecutedGraph:
        """Return what it makes of one operation that is a network of its own.

        Raises:
            UncountedError: Single operations cannot be asked for.
            ProfilingError: The runtime does not execute it alone.
        """
        ...


@dataclass(frozen=True)
class CountedHere:
    """This machine's runtime, which makes of networks what the device's does.

    Attributes:
        space: The space of the networks.
        counter: Of the runtime.
        keeps: Whether graphs are kept for later processes: of networks that all of them count.
    """

    space: SearchSpace
    counter: UnitCounter
    keeps: bool = field(default=False, kw_only=True)

    def graphs(self, architectures: Sequence[Architecture]) -> Iterable[ExecutedGraph]:
        """Count each; no torch is needed but for operations that were never lowered before."""
        for one in architectures:
            graph = self.space.deployed(one)
            yield _kept_or_counted(self.counter, graph) if self.keeps else self.counter.executed(graph.nodes)

    def operation(self, node: Node) -> ExecutedGraph:
        """Count the operation, reading images alone."""
        return self.counter.executed([replace(node, inputs=(IMAGE,) * len(node.inputs))])


@dataclass(frozen=True)
class CountedThere:
    """The device of the table itself."""

    space: SearchSpace
    setup: Setup

    def graphs(self, architectures: Sequence[Architecture]) -> Iterator[ExecutedGraph]:
        """Have the device's runtime load the networks, many a call where it takes many.

        Raises:
            DeviceError: It cannot be reached.
            ProfilingError: It does not execute one.
        """
        runtime, counter = self.setup.load_runtime(), unit_counter(self.setup)
        with devices.connect(self.setup.device) as device:
            yield from runtime.executed_each((self._workload(one, counter) for one in architectures), device)

    def _workload(self, architecture: Architecture, counter: UnitCounter) -> Workload:
        """Return the network, put together from operations that were lowered once where that can be done."""
        if not isinstance(counter, LoweringCounter):
            return network_workload(self.space, architecture)
        nodes = self.space.deployed(architecture).nodes
        return Workload(network_key(self.space, architecture), counter.lowered(nodes))

    def operation(self, node: Node) -> ExecutedGraph:
        """Refuse: a device is connected to for networks alone.

        Raises:
            UncountedError: Always.
        """
        raise UncountedError(f"{node.spec}: the device is not asked for single operations")


class NetworkCounts:
    """The counts of units of networks, those of the latest ones remembered.

    Args:
        source: Who counts.
        known: Counts that are known before.
    """

    def __init__(
        self, source: GraphSource, known: Mapping[Architecture, Mapping[OpSpec, int]] | None = None
    ) -> None:
        self._source = source
        self._remembered = OrderedDict(known or {})

    def __repr__(self) -> str:
        return f"<counts of {len(self._remembered)} networks, by {type(self._source).__name__}>"

    @property
    def space(self) -> SearchSpace:
        """The space of the networks."""
        return self._source.space

    def of_operation(self, node: Node) -> Mapping[OpSpec, int]:
        """Return how often each unit is executed in a network that is one operation.

        Raises:
            UncountedError: Single operations cannot be asked for.
            ProfilingError: The runtime does not execute it alone.
        """
        return self._source.operation(node).counts

    def of(self, architecture: Architecture) -> Mapping[OpSpec, int]:
        """Return how often each unit is executed in the deployed network.

        Raises:
            ProfilingError: The runtime does not execute it.
            DeviceError: The device would have to be asked, and cannot be.
        """
        [counts] = self.of_each([architecture])
        return counts

    def of_each(
        self, architectures: Sequence[Architecture], *, on_progress: OnProgress = ignore_progress
    ) -> list[Mapping[OpSpec, int]]:
        """Return the same of many networks, for which a device is asked at once.

        What is counted before an error is remembered.
        """
        found = {one: self._remembered[one] for one in architectures if one in self._remembered}
        unknown = [one for one in dict.fromkeys(architectures) if one not in found]
        graphs = self._source.graphs(unknown) if unknown else ()
        for done, (one, graph) in enumerate(zip(unknown, graphs, strict=True), start=1):
            found[one] = graph.counts
            self._remember(one, graph.counts)
            on_progress(Progress(done, len(unknown), 0, None, device=""))
        for one in dict.fromkeys(architectures):
            self._remember(one, found[one])
        return [found[one] for one in architectures]

    def _remember(self, architecture: Architecture, counts: Mapping[OpSpec, int]) -> None:
        self._remembered[architecture] = counts
        self._remembered.move_to_end(architecture)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)


def counts_for(
    space: SearchSpace, table: LatencyTable, setup: Setup | None = None, *, keeps: bool = False
) -> NetworkCounts:
    """Return the counts of networks of ``space`` as the runtime of the table's device executes them.

    Args:
        space: The space.
        table: Of units.
        setup: The device that may be asked, and its runtime; if not given, no device is, and the runtime is
            the table's, where that is one of this project.
        keeps: Whether what is counted here is kept for later processes, as of the table's own networks it is.

    Raises:
        UncountedError: Neither this machine nor the device can tell.
    """
    kept = _kept(space, table)
    known = {architecture: graph.counts for architecture, graph in kept.items()}
    why_not_here = _why_not_here(space, table.header, kept, setup)
    if not why_not_here:
        counter = unit_counter(_setup_for(table.header, setup))
        return NetworkCounts(CountedHere(space, counter, keeps=keeps), known)
    why_not_there = _why_not_at_hand(table.header, setup)
    if setup is None or why_not_there:
        raise UncountedError(
            f"the table of {table.header.device} does not predict on this machine: {why_not_here}; "
            f"{why_not_there}: predict where it was measured, connect that device, or profile another table "
            "with --by-operations"
        )
    return NetworkCounts(CountedThere(space, setup), known)


def unit_counter(setup: Setup) -> UnitCounter:
    """Return what counts units by the runtime of ``setup``, on this machine.

    Raises:
        UnsupportedOperationError: The runtime does not show what it executes.
        UnknownNameError: There is no such runtime, or it has no such setting.
    """
    return _unit_counter(setup.runtime, setup.threads, _sorted(setup.settings))


@lru_cache(maxsize=16)  # what a counter has lowered, all tables of its runtime share
def _unit_counter(name: str, threads: int, settings: _Settings) -> UnitCounter:
    return Setup("", name, threads, dict(settings)).load_runtime().counter(_build)


def _build(spec: OpSpec) -> "nn.Module":
    from cars_hw.weights import modules  # torch takes seconds, which counting known operations need not spend

    return modules.build(spec).eval()


def _setup_for(header: TableHeader, setup: Setup | None) -> Setup:
    """Return the runtime of a table: as asked for, or one of ours that the table names."""
    if setup is not None:
        return setup
    if "." in header.runtime:
        raise UnknownNameError("runtime that a table names", header.runtime, runtimes.names())
    return Setup("", header.runtime, header.threads, header.settings)


def _kept(space: SearchSpace, table: LatencyTable) -> dict[Architecture, ExecutedGraph]:
    """Return what the device's runtime makes of the calibration networks."""
    contents = contents_of(space, table)
    keys = {one: network_key(space, one) for one in contents.calibration}
    return {one: table.executed[key] for one, key in keys.items() if key in table.executed}


def _why_not_here(
    space: SearchSpace,
    header: TableHeader,
    kept: Mapping[Architecture, ExecutedGraph],
    setup: Setup | None,
) -> str:
    """Say why this machine's runtime does not count for the device of ``header``; empty where it does."""
    try:
        here = _setup_for(header, setup)
        networks = tuple((space.deployed(one), graph) for one, graph in kept.items())
        differing = _differing(here.runtime, here.threads, _sorted(here.settings), networks)
    except (ProfilingError, DeviceError, UnknownNameError, ImportError) as error:
        return f"networks cannot be counted here: {error}"
    if not differing:
        return ""
    return (
        f"{here.runtime} does not execute {differing} of its {len(kept)} calibration networks here as it did "
        "there"
    )


def _sorted(settings: Mapping[str, Setting]) -> _Settings:
    return tuple(sorted(settings.items()))


@lru_cache(maxsize=64)  # once a process
def _differing(
    name: str, threads: int, settings: _Settings, networks: tuple[tuple[Graph, ExecutedGraph], ...]
) -> int:
    """Return how many of ``networks`` this machine's runtime executes otherwise."""
    counter = _unit_counter(name, threads, settings)
    return sum(_kept_or_counted(counter, graph).counts != kept.counts for graph, kept in networks)


def _kept_or_counted(counter: UnitCounter, graph: Graph) -> ExecutedGraph:
    """Return what ``counter`` counts, or what an earlier process did."""
    runtime = counter.identity if isinstance(counter, IdentifiedCounter) else ""
    return kept_graph(
        recipe(graph, "counted"), network_spec(graph), runtime, lambda: counter.executed(graph.nodes)
    )


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
