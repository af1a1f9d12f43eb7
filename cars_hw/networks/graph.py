"""Graph: an architecture spelled out at one scale; parameters and MACs by arithmetic, without torch."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from cars_hw.errors import ArchitectureError
from cars_hw.networks import operations
from latency_tables import Extent, OpSpec

#: The name by which nodes refer to the network's input.
IMAGE = "image"

#: The kind of a soft graph's mixing nodes; no architecture has it, so no table needs to know it.
WEIGHTED_SUM = "weighted_sum"


@dataclass(frozen=True)
class Node:
    """One operation of a network.

    Attributes:
        slot: Its position, unique in a graph. Architectures with equal slot and spec share weights there.
        spec: The operation.
        inputs: Slots of earlier nodes, or ``IMAGE``.
    """

    slot: str
    spec: OpSpec
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order; the last one is the output.

    Attributes:
        nodes: The operations, at least one.

    Raises:
        ArchitectureError: There is no node, a slot occurs twice, or an input is not an earlier slot.
    """

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ArchitectureError("a graph without nodes has no output")
        seen = {IMAGE}
        for node in self.nodes:
            if node.slot in seen or not seen.issuperset(node.inputs):
                raise ArchitectureError(
                    f"node {node.slot!r} is a duplicate, or reads what does not come before it"
                )
            seen.add(node.slot)

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, from {self.nodes[0].spec} to {self.nodes[-1].spec})"

    @cached_property
    def live(self) -> "Graph":
        """The graph without the nodes that do not reach the output: what an optimising runtime executes."""
        needed = {self.nodes[-1].slot}
        for node in reversed(self.nodes):
            if node.slot in needed:
                needed.update(node.inputs)
        return Graph(tuple(node for node in self.nodes if node.slot in needed))

    def executed(self, extent: Extent) -> "Graph":
        """Return what a runtime executes of a network: its live graph, or all of it.

        Measured phones follow the live graph, networks run by torch operation by operation the whole one
        (NAS-Bench-201 under nn-Meter and HELP).

        Args:
            extent: The field ``executes`` of a table's header.
        """
        return self if extent == "whole" else self.live

    @cached_property
    def is_connected(self) -> bool:
        """Whether the output depends on the image; zeros made of the image do not."""
        return any(IMAGE in node.inputs and node.spec.kind != "zero" for node in self.live.nodes)

    @cached_property
    def releases(self) -> tuple[tuple[str, ...], ...]:
        """For each node, the tensors that no later node reads: what may be freed once it has run."""
        remaining = {self.nodes[-1].slot}
        releases = []
        for node in reversed(self.nodes):
            released = {node.slot, *node.inputs} - remaining
            remaining |= released
            releases.append(tuple(sorted(released)))
        return tuple(reversed(releases))

    def specs(self) -> tuple[OpSpec, ...]:
        """Return the spec of every node, in order, repeats included."""
        return tuple(node.spec for node in self.nodes)

    def parameters(self) -> int:
        """Count the learnable parameters, dead nodes included."""
        return sum(operations.parameters(spec) for spec in self.specs())

    def macs(self) -> int:
        """Count multiply-accumulates of convolutions and linear layers for one image, dead nodes included."""
        return sum(operations.macs(spec) for spec in self.specs())


@dataclass(frozen=True, eq=False)
class Part:
    """Operations of a network that many networks of a space have in common; equal to itself alone.

    Attributes:
        specs: The operations, repeats included.
    """

    specs: tuple[OpSpec, ...]

    @cached_property
    def parameters(self) -> int:
        """The learnable parameters."""
        return sum(map(operations.parameters, self.specs))

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers for one image."""
        return sum(map(operations.macs, self.specs))


@dataclass(frozen=True)
class SoftGraph:
    """A supergraph in which alternative operations run side by side, and what they compute is mixed.

    Attributes:
        graph: Its nodes. The operations of one mixture have slots of their own here; mixing nodes are of the
            kind ``weighted_sum``.
        shared: For nodes whose slot is not that of architectures, the slot whose weights they have.
        weights: By the slot of each mixing node, the weight of each of its inputs.
    """

    graph: Graph
    shared: Mapping[str, str]
    weights: Mapping[str, tuple[float, ...]]

    def original(self, node: Node) -> Node:
        """Return ``node`` with the slot that it has in an architecture: the one of its weights."""
        return Node(self.shared.get(node.slot, node.slot), node.spec, node.inputs)


def soft_weights(n: int, chosen: int | None) -> tuple[float, ...]:
    """Return the softmax, (n,), of a row of ``n`` zeros with a one at ``chosen``, if that is not ``None``.

    EvNAS (arXiv 2012.12540), ``utils.discretize`` of its released code.
    """
    scores = [math.e if option == chosen else 1.0 for option in range(n)]
    return tuple(score / sum(scores) for score in scores)


def unique_specs(nodes: Iterable[Node]) -> tuple[OpSpec, ...]:
    """Return the distinct specs of ``nodes`` in the order of their first occurrence."""
    return tuple(dict.fromkeys(node.spec for node in nodes))


def network_spec(graph: Graph) -> OpSpec:
    """Return the key under which a table holds the latency of the whole network.

    Graphs with equal nodes have equal keys, in every process.
    """
    text = "\n".join(f"{node.slot} {node.spec} {' '.join(node.inputs)}" for node in graph.nodes)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return OpSpec.of("network", graph.nodes[0].spec.input_shape, digest=f"g{digest}")
