"""NodeList: the nodes of a network, one after the other, with the shape of what each computes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from cars_hw.networks import operations
from cars_hw.networks.graph import WEIGHTED_SUM, Node
from latency_tables import OpSpec

#: Nodes that are remembered, of about 1 kB each: a search spells the same few hundred thousands of times.
_REMEMBERED = 1 << 14

_spec = lru_cache(maxsize=4096)(OpSpec.of)  # nodes of one operation share its spec, and so find it faster


class Tensor(NamedTuple):
    """The output of a node: the node's slot, and the shape."""

    slot: str
    shape: tuple[int, ...]


class NodeList:
    """Appends nodes.

    Attributes:
        nodes: The nodes appended so far.
        weights: By the slot of each mixture, the weight of each of its inputs.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.weights: dict[str, tuple[float, ...]] = {}

    def add(self, slot: str, kind: str, *inputs: Tensor, **params: int | str) -> Tensor:
        """Append one node.

        Args:
            slot: Its position in the network.
            kind: Kind of its operation.
            inputs: The tensors that it reads, of one shape.
            params: Parameters of its operation; the number of inputs is added where there are several.
        """
        if len(inputs) > 1:
            params["inputs"] = len(inputs)
        node, output = _spelled(slot, kind, inputs, **params)
        self.nodes.append(node)
        return output

    def mix(self, slot: str, inputs: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Append one mixture of a soft graph."""
        shape = inputs[0].shape
        spec = _spec(WEIGHTED_SUM, shape, inputs=len(inputs))
        self.nodes.append(Node(slot, spec, tuple(tensor.slot for tensor in inputs)))
        self.weights[slot] = tuple(weights)
        return Tensor(slot, shape)


@lru_cache(_REMEMBERED)
def _spelled(slot: str, kind: str, inputs: tuple[Tensor, ...], /, **params: int) -> tuple[Node, Tensor]:
    """Return a node, and what it computes: see ``NodeList.add``."""
    spec = _spec(kind, inputs[0].shape, **params)
    node = Node(slot, spec, tuple(tensor.slot for tensor in inputs))
    return node, Tensor(slot, operations.output_shape(spec))
