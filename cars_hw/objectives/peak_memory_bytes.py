"""The memory that a network needs: its weights, and the most of its tensors that are held at once."""

import itertools
import math

from cars_hw.networks import operations
from cars_hw.networks.graph import IMAGE, Graph
from cars_hw.objectives._objective import GraphObjective

_FLOAT32_BYTES = 4


class PeakMemoryBytes(GraphObjective):
    """Bytes of weights and, at the worst moment, of tensors, for one image in float32.

    Counted is what an optimising runtime executes, in the order of the graph: nodes that reach the output,
    one layer after the other. While a layer runs, memory holds what it reads and what it writes, and all
    tensors that nodes still to come read, the image among them. A tensor is freed after its last reader, one
    inside a node after the next layer. Normalisation and rectification have no tensor of their own: they are
    part of the layer beside them. Weights are four bytes for each learnable parameter, all the time.

    Not counted: what a runtime holds beside (its code, buffers of a convolution's algorithm, a second layout
    of the weights).
    """

    pick = "least-memory"

    def count(self, graph: Graph) -> float:
        live = graph.live
        return _FLOAT32_BYTES * (live.parameters() + _most_elements(live))


def _most_elements(graph: Graph) -> int:
    """Return the largest number of tensor elements that are held at once."""
    held = {IMAGE: math.prod(graph.nodes[0].spec.input_shape)}
    most = 0
    for node, released in zip(graph.nodes, graph.releases, strict=True):
        written = [math.prod(shape) for shape in operations.tensor_shapes(node.spec)]
        most = max(most, sum(held.values()) + written[0])
        # From the second layer on, the node's own inputs are held only for nodes still to come.
        for slot in released:
            held.pop(slot)
        kept = sum(held.values())
        most = max(most, *(kept + read + wrote for read, wrote in itertools.pairwise(written)), 0)
        held[node.slot] = written[-1]
    return most
