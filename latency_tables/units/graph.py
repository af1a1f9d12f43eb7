"""ExecutedGraph: what a runtime made of a whole network, in the order in which it runs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from latency_tables.errors import TableError
from latency_tables.spec import OpSpec

#: Of one graph, and inputs of one node: far more than any network has that is measured as a whole.
MAX_NODES = 1 << 16
_MAX_INPUTS = 1 << 10

#: As an input of a node: what the network reads itself.
IMAGE = -1


@dataclass(frozen=True)
class ExecutedNode:
    """A node of an executed graph.

    Attributes:
        unit: Its key.
        inputs: Positions of the nodes whose outputs it reads, or ``IMAGE``.
    """

    unit: OpSpec
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class ExecutedGraph:
    """Nodes in the order of execution. Two graphs are equal where a runtime does the same for both.

    Attributes:
        nodes: At least one.

    Raises:
        TableError: There is none or too many, or one reads what does not come before it, or too much.
    """

    nodes: tuple[ExecutedNode, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise TableError("an executed graph without nodes computes nothing")
        if len(self.nodes) > MAX_NODES:
            raise TableError(f"an executed graph of {len(self.nodes)} nodes; at most {MAX_NODES} are kept")
        for position, node in enumerate(self.nodes):
            if len(node.inputs) > _MAX_INPUTS:
                raise TableError(f"node {position} of an executed graph has {len(node.inputs)} inputs")
            if not all(IMAGE <= read < position for read in node.inputs):
                raise TableError(f"node {position} of an executed graph reads what does not come before it")

    def __repr__(self) -> str:
        return f"ExecutedGraph({len(self.nodes)} nodes, {len(self.counts)} distinct units)"

    @cached_property
    def counts(self) -> Mapping[OpSpec, int]:
        """How often each unit is executed."""
        return Counter(node.unit for node in self.nodes)
