"""An arithmetic objective, in one file: what the operations of a network write, all in all."""

import math

from cars_hw.networks import operations
from cars_hw.networks.graph import Graph
from cars_hw.objectives import GraphObjective


class ActivationBytes(GraphObjective):
    """Bytes of all outputs in float32."""

    pick = "leanest"

    def count(self, graph: Graph) -> float:
        return 4 * sum(math.prod(operations.output_shape(spec)) for spec in graph.live.specs())
