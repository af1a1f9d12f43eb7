"""The contents of a latency table for a space, and the networks that it is calibrated and validated by.

A table of operations holds a call, every deployed operation, and a few whole networks that correct them
jointly. A table of units holds a call, random whole networks, those whose predictions are least certain, and
each unit that a runtime executes of them: what it has to hold follows from what was measured of it.

The networks are the same ones wherever a table is read. A table may hold further ones that somebody chose,
such as those of a front, whose measurements say of which architecture they are. Others, once it was
validated, tell how good its predictions are.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from cars_hw.latency.candidates import drawn, lightest, network_key, uncertain
from cars_hw.latency.networks_only import measured_networks
from cars_hw.latency.recipes import recipe
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import network_spec
from cars_hw.spaces._space import SearchSpace
from latency_tables import (
    CALL_OVERHEAD,
    VALIDATION_NETWORKS,
    ExecutedGraph,
    LatencyTable,
    OpSpec,
    reference_of,
)
from profilers import UnitCounter, Workload

if TYPE_CHECKING:
    from torch import nn

#: Enough for the factor that all operations share, which is most of the error; see benchmarks/prediction.py.
CALIBRATION_NETWORKS = 16
#: How many of a table of units are random; and how many are the least certain among the candidates.
RANDOM_NETWORKS, WIDEST_NETWORKS = 12, 4
#: Calibration networks that a validation measures once more: whether the device is as fast as it was.
REFERENCE_NETWORKS = 4


class Contents(ABC):
    """What a table holds of a space.

    Attributes:
        space: The space.
    """

    space: SearchSpace

    @property
    @abstractmethod
    def calibration(self) -> tuple[Architecture, ...]:
        """The architectures whose deployed networks are measured as wholes."""

    @property
    @abstractmethod
    def parts(self) -> tuple[OpSpec, ...]:
        """The keys of a call, and of all that networks are predicted from."""

    @abstractmethod
    def network(self, architecture: Architecture) -> Workload:
        """Return what measures the deployed network of ``architecture``, as networks of the table are."""

    @cached_property
    def networks(self) -> tuple[OpSpec, ...]:
        """The keys of the calibration networks, each once."""
        return tuple(dict.fromkeys(network_key(self.space, one) for one in self.calibration))

    @cached_property
    def specs(self) -> tuple[OpSpec, ...]:
        """The keys of everything, each once, in the order of measuring."""
        return (*self.parts, *self.networks)

    def validation(self, n: int = VALIDATION_NETWORKS) -> tuple[Architecture, ...]:
        """Draw ``n`` architectures that calibration does not see, always the same; fewer in a small space."""
        others = drawn(self.space, CALIBRATION_NETWORKS + len(self.calibration) + n)[CALIBRATION_NETWORKS:]
        return tuple(one for one in others if one not in self.calibration)[:n]

    def references(self) -> list[Workload]:
        """Return what measures a few of the calibration networks once more, beside their own entries."""
        workloads = map(self.network, self.calibration[:REFERENCE_NETWORKS])
        return [replace(workload, spec=reference_of(workload.spec)) for workload in workloads]


@dataclass(frozen=True)
class TableContents(Contents):
    """The contents of a table of operations for ``space``, listed in one place.

    Attributes:
        space: The space.
        further: Networks beside those that are always the same.
    """

    space: SearchSpace
    further: tuple[Architecture, ...] = ()

    @cached_property
    def calibration(self) -> tuple[Architecture, ...]:
        """The architectures whose deployed networks are measured as wholes: first those always the same."""
        return tuple(dict.fromkeys((*drawn(self.space, CALIBRATION_NETWORKS), *self.further)))

    @cached_property
    def parts(self) -> tuple[OpSpec, ...]:
        """The keys of a call and of every deployed operation."""
        return (CALL_OVERHEAD, *self.space.all_operations("deploy"))

    def network(self, architecture: Architecture) -> Workload:
        """Return the network as tables of operations have always had it: all batch norms alike."""
        return network_workload(self.space, architecture, is_distinct=False)

    def workloads(self) -> list[Workload]:
        """Return what measures everything, in the order of ``specs``."""
        operations = [module_workload(spec) for spec in self.parts]
        return operations + [self.network(architecture) for architecture in self.calibration]


@dataclass(frozen=True)
class UnitContents(Contents):
    """The contents of a table of units for ``space``, as far as what it holds tells them.

    Attributes:
        space: The space.
        executed: Of the table: by a network's key what the runtime makes of it.
        further: Networks beside those that are always the same, and those that are chosen.
    """

    space: SearchSpace
    executed: Mapping[OpSpec, ExecutedGraph]
    further: tuple[Architecture, ...] = ()

    @cached_property
    def random(self) -> tuple[Architecture, ...]:
        """The first of the calibration networks: always the same."""
        return drawn(self.space, RANDOM_NETWORKS)

    @cached_property
    def candidates(self) -> tuple[Architecture, ...]:
        """The lightest network, then those among which the least certain are looked for."""
        all_of_them = dict.fromkeys((lightest(self.space), *uncertain(self.space, self.random)))
        return tuple(one for one in all_of_them if one not in (*self.random, *self.further))

    @cached_property
    def widest(self) -> tuple[Architecture, ...]:
        """Those of them that the table was given to hold."""
        chosen = (one for one in self.candidates if network_key(self.space, one) in self.executed)
        return tuple(chosen)[:WIDEST_NETWORKS]

    @cached_property
    def calibration(self) -> tuple[Architecture, ...]:
        """The architectures whose deployed networks are measured as wholes, as far as they are chosen."""
        return tuple(dict.fromkeys((*self.random, *self.widest, *self.further)))

    @cached_property
    def parts(self) -> tuple[OpSpec, ...]:
        """The keys of a call, and of ``units``."""
        return (CALL_OVERHEAD, *self.units)

    @cached_property
    def units(self) -> tuple[OpSpec, ...]:
        """The keys of the units of those calibration networks whose graphs are known."""
        return self.units_of(self.networks)

    @property
    def unread(self) -> tuple[Architecture, ...]:
        """Those of ``random`` and ``further`` of which the table does not say what the runtime makes."""
        known = dict.fromkeys((*self.random, *self.further))
        return tuple(one for one in known if network_key(self.space, one) not in self.executed)

    @property
    def unchosen(self) -> int:
        """How many of the least certain networks are still to be chosen."""
        return min(WIDEST_NETWORKS, len(self.candidates)) - len(self.widest)

    def units_of(self, networks: Iterable[OpSpec]) -> tuple[OpSpec, ...]:
        """Return the distinct units of those networks whose graphs are known."""
        graphs = (self.executed[network] for network in networks if network in self.executed)
        return tuple(dict.fromkeys(unit for graph in graphs for unit in graph.counts))

    def network(self, architecture: Architecture) -> Workload:
        """Return the network with batch norms as different as those of trained ones."""
        return network_workload(self.space, architecture)

    def workloads(self, counter: UnitCounter) -> list[Workload]:
        """Return what measures all that is known by now, in the order of ``specs``."""
        units = [counter.workload(unit) for unit in self.units]
        return [module_workload(CALL_OVERHEAD), *units, *map(self.network, self.calibration)]


@dataclass(frozen=True)
class NetworksContents(Contents):
    """The contents of a table of whole networks alone.

    Attributes:
        space: The space.
        architectures: Those of its networks.
    """

    space: SearchSpace
    architectures: tuple[Architecture, ...]

    @property
    def calibration(self) -> tuple[Architecture, ...]:
        """All of them."""
        return self.architectures

    @property
    def parts(self) -> tuple[OpSpec, ...]:
        """Nothing: networks are predicted from networks."""
        return ()

    def network(self, architecture: Architecture) -> Workload:
        """Return the network with batch norms as different as those of trained ones."""
        return network_workload(self.space, architecture)

    def validation(self, n: int = VALIDATION_NETWORKS) -> tuple[Architecture, ...]:
        """Draw ``n`` random architectures that are not in the table; fewer in a small space."""
        others = drawn(self.space, len(self.calibration) + n)
        return tuple(one for one in others if one not in self.calibration)[:n]


def contents_of(space: SearchSpace, table: LatencyTable) -> Contents:
    """Return what ``table``, whichever its kind, holds of ``space``."""
    measured = tuple(measured_networks(space, table))
    if table.header.keyed_by == "networks":
        return NetworksContents(space, measured)
    if table.header.keyed_by == "units":
        return UnitContents(space, dict(table.executed), measured)
    return TableContents(space, measured)


def network_workload(space: SearchSpace, architecture: Architecture, *, is_distinct: bool = True) -> Workload:
    """Return the deployed network of ``architecture``, untrained: latency does not depend on weights.

    Whole: whether operations are dropped that do not reach the output is the runtime's business.

    Args:
        space: The space.
        architecture: Its member.
        is_distinct: Whether no two batch norms are equal, as in trained networks; a runtime may merge equal
            ones with what follows them.
    """
    graph = space.deployed(architecture)

    def build() -> "nn.Module":
        from cars_hw.weights.network import Network  # torch takes seconds, which need not be spent
        from profilers import distinct_statistics

        network = Network.untrained(graph, whole=True)
        if is_distinct:
            distinct_statistics(network, seed=0)
        network.eval()
        return network

    how = "distinct batch norms" if is_distinct else "as untrained"
    return Workload(network_spec(graph), build, recipe(graph, how))


def module_workload(spec: OpSpec) -> Workload:
    """Return what measures one operation, as its module."""
    from cars_hw.weights import modules  # as above

    return Workload(spec, partial(modules.build, spec))
