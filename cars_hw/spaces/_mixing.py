"""The soft graph of any space, from its hard graphs alone: where options re-join, they are mixed.

A decision is *soft* where its options are operations side by side: they read what comes before, and re-join
in tensors of their own that all that comes after reads. It is *hard* where its options change other
decisions' operations (a width changes whole stages); hard decisions take the architecture's option alone.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import Protocol

from cars_hw.networks import operations
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import IMAGE, WEIGHTED_SUM, Graph, Node, SoftGraph, soft_weights
from cars_hw.networks.joins import by_slot, changed, joins
from latency_tables import OpSpec

#: The options of the hard decisions, ``None`` for each soft one.
_Hard = tuple[int | None, ...]


class _Space(Hashable, Protocol):
    """The part of a search space that mixing needs."""

    @property
    def allowed(self) -> tuple[tuple[int, ...], ...]: ...

    def graph(self, architecture: Architecture, /) -> Graph: ...


@dataclass(frozen=True)
class _Region:
    """Where the options of one decision run.

    Attributes:
        decision: The decision.
        slots: Those of the base graph that belong to its option there.
        exits: For each tensor that leaves the region, the tensor in its stead with each allowed option.
    """

    decision: int
    slots: frozenset[str]
    exits: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Template:
    """A soft graph without weights, and the decision of each mixing node."""

    graph: Graph
    shared: Mapping[str, str]
    decisions: Mapping[str, int]


def soft_graph(space: _Space, architecture: Architecture) -> SoftGraph:
    """Return the soft graph of ``architecture``; see ``SearchSpace.soft_graph``."""
    hard: _Hard = (None,) * len(architecture)
    # Making one decision hard changes the base graph, and with it where the others' options re-join: repeat
    # until nothing changes. A hard decision stays hard, so it ends after at most one round a decision.
    while (found := _hard(space, architecture, hard)) != hard:
        hard = found
    template = _template(space, hard)
    weights = {}
    for slot, decision in template.decisions.items():
        options = space.allowed[decision]
        weights[slot] = soft_weights(len(options), options.index(architecture[decision]))
    return SoftGraph(template.graph, template.shared, weights)


def _hard(space: _Space, architecture: Architecture, hard: _Hard) -> _Hard:
    """Return ``hard`` with the options of the decisions that cannot be soft beside the others."""
    soft = {region.decision for region in _regions(space, hard)}
    return tuple(None if d in soft else option for d, option in enumerate(architecture))


@lru_cache(maxsize=64)
def _base(space: _Space, hard: _Hard) -> Architecture:
    """Return an architecture that has every region: of each soft decision the option of most nodes."""
    base = [options[0] if own is None else own for options, own in zip(space.allowed, hard, strict=True)]
    for decision, own in enumerate(hard):
        if own is None:
            sizes = {
                option: len(_graph(space, _with(base, decision, option)).nodes)
                for option in space.allowed[decision]
            }
            base[decision] = max(sizes, key=sizes.__getitem__)
    return tuple(base)


@lru_cache(maxsize=64)
def _regions(space: _Space, hard: _Hard) -> tuple[_Region, ...]:
    """Return the regions of the soft decisions; of those that overlap, the smallest one."""
    base = _base(space, hard)
    soft = [d for d, own in enumerate(hard) if own is None and len(space.allowed[d]) > 1]
    found = [region for d in soft if (region := _region(space, base, d))]
    taken: set[str] = set()
    regions = []
    # A decision whose options change other decisions' operations has a region around theirs: smallest first
    # keeps the inner ones soft, and makes the outer one hard.
    for region in sorted(found, key=lambda region: (len(region.slots), region.decision)):
        if taken.isdisjoint(region.slots):
            taken |= region.slots
            regions.append(region)
    return tuple(sorted(regions, key=lambda region: region.decision))


def _region(space: _Space, base: Architecture, decision: int) -> _Region | None:
    """Return the region of ``decision``; ``None`` where its options do not run side by side."""
    graph = _graph(space, base)
    others = [_graph(space, _with(base, decision, option)) for option in space.allowed[decision]]
    slots = frozenset[str]().union(*(changed(graph, other) for other in others))
    exits: dict[str, list[str]] = {}
    for n, other in enumerate(others):
        for join in joins(graph, other, slots):
            # Several nodes may read one exit. All must read the same tensor in its stead, and that outside of
            # the region nothing may change: else the options do not run side by side.
            tensors = exits.setdefault(join.tensor, [])
            if len(tensors) == n:
                tensors.append(join.other)
            if join.tensor not in slots or tensors[n:] != [join.other]:
                return None
    return _Region(decision, slots, {tensor: tuple(tensors) for tensor, tensors in exits.items()})


def _with(base: Sequence[int], decision: int, option: int) -> Architecture:
    return (*base[:decision], option, *base[decision + 1 :])


@lru_cache(maxsize=1024)
def _graph(space: _Space, architecture: Architecture) -> Graph:
    return space.graph(architecture)


@lru_cache(maxsize=64)
def _template(space: _Space, hard: _Hard) -> _Template:
    base = _base(space, hard)
    assembly = _Assembly(_graph(space, base), _regions(space, hard))
    decisions = {}
    for region in assembly.regions:
        options = space.allowed[region.decision]
        others = [_graph(space, _with(base, region.decision, option)) for option in options]
        for tensor in region.exits:
            decisions[assembly.mix(region, tensor, others)] = region.decision
    return _Template(assembly.graph(), assembly.shared, decisions)


class _Assembly:
    """Puts the nodes of other options beside those of a base graph.

    Attributes:
        regions: The regions of the soft decisions.
        shared: The slot in architectures of each node that has another one here.
    """

    def __init__(self, base: Graph, regions: tuple[_Region, ...]) -> None:
        self.regions = regions
        self.shared: dict[str, str] = {}
        self._base = base
        self._base_nodes = by_slot(base)
        self._owner = {tensor: region for region in regions for tensor in region.exits}
        readers = {slot: region for region in regions for slot in region.slots}
        self._nodes = {
            node.slot: Node(
                node.slot, node.spec, tuple(self._read(slot, readers.get(node.slot)) for slot in node.inputs)
            )
            for node in base.nodes
        }
        self._names = {node: node.slot for node in self._nodes.values()}

    def mix(self, region: _Region, tensor: str, others: Sequence[Graph]) -> str:
        """Add all options' nodes, and the one that mixes what leaves ``region`` as ``tensor``; return it."""
        inputs = tuple(
            tensor if other == self._base else self._copy(by_slot(other), slot, region)
            for other, slot in zip(others, region.exits[tensor], strict=True)
        )
        shape = operations.output_shape(self._base_nodes[tensor].spec)
        slot = _mixed(tensor)
        self._nodes[slot] = Node(slot, OpSpec.of(WEIGHTED_SUM, shape, inputs=len(inputs)), inputs)
        return slot

    def graph(self) -> Graph:
        """Return what the output depends on, in topological order."""
        reads: dict[str, tuple[str, ...]] = {}
        pending = [self._read(self._base.nodes[-1].slot, None)]
        while pending:
            slot = pending.pop()
            if slot not in reads and slot != IMAGE:
                reads[slot] = self._nodes[slot].inputs
                pending.extend(reads[slot])
        order = TopologicalSorter(reads).static_order()
        return Graph(tuple(self._nodes[slot] for slot in order if slot != IMAGE))

    def _read(self, slot: str, reader: _Region | None) -> str:
        """Return what ``reader`` finds instead of the base graph's tensor ``slot``."""
        owner = self._owner.get(slot)
        return slot if owner is None or owner is reader else _mixed(slot)

    def _copy(self, other: Mapping[str, Node], slot: str, region: _Region) -> str:
        """Add the node ``slot`` of another option's graph, and what it depends on; return its slot here."""
        mine = self._base_nodes.get(slot)
        if slot == IMAGE or (mine and slot not in region.slots and mine.spec == other[slot].spec):
            return self._read(slot, region)
        node = other[slot]
        # Options often have nodes in common: equal nodes with equal inputs are one node here.
        copied = Node(slot, node.spec, tuple(self._copy(other, before, region) for before in node.inputs))
        if copied not in self._names:
            name = f"{slot}~{len(self._names)}"
            self._names[copied] = name
            self._nodes[name] = Node(name, copied.spec, copied.inputs)
            self.shared[name] = slot
        return self._names[copied]


def _mixed(tensor: str) -> str:
    return f"{tensor}~mix"
