"""Joins: where two networks of one space, which differ in some decisions, come together again."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from cars_hw.networks.graph import Graph, Node

#: The reader of a network's last tensor.
OUTPUT = "output"


@dataclass(frozen=True)
class Join:
    """Where two networks come to agree again: one node, in both, that reads different tensors.

    Attributes:
        reader: Slot of the node, or ``OUTPUT``.
        position: Index among the inputs of the reader.
        tensor: The slot that it reads in the first network.
        other: The slot that it reads in the second one.
    """

    reader: str
    position: int
    tensor: str
    other: str


def changed(graph: Graph, other: Graph) -> frozenset[str]:
    """Return the slots of ``graph`` at which ``other`` computes something else, or nothing."""
    specs = {node.slot: node.spec for node in other.nodes}
    return frozenset(node.slot for node in graph.nodes if specs.get(node.slot) != node.spec)


def joins(graph: Graph, other: Graph, region: AbstractSet[str]) -> tuple[Join, ...]:
    """Return the joins of two networks, in the order of the readers in ``graph``.

    Args:
        graph: The first network.
        other: The second.
        region: Slots of ``graph`` that count as different, at least ``changed(graph, other)``.
    """
    theirs = {node.slot: node for node in other.nodes}
    found = []
    for node in graph.nodes:
        if node.slot in region:
            continue
        pairs = zip(node.inputs, theirs[node.slot].inputs, strict=True)
        for position, (mine, its) in enumerate(pairs):
            if mine in region or mine != its:
                found.append(Join(node.slot, position, mine, its))
    last, its_last = graph.nodes[-1].slot, other.nodes[-1].slot
    if last in region or last != its_last:
        found.append(Join(OUTPUT, 0, last, its_last))
    return tuple(found)


def by_slot(graph: Graph) -> dict[str, Node]:
    """Return the nodes of ``graph`` by their slots."""
    return {node.slot: node for node in graph.nodes}
