"""The size of a network, in learnable parameters."""

from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph
from cars_hw.objectives._objective import GraphObjective


class Parameters(GraphObjective):
    """Learnable parameters of the deployed network, of nodes that do not reach its output as well."""

    pick = "smallest"

    def __call__(self, architecture: Architecture, /) -> float:
        """Add up the space's parts, or count the whole network where it has none."""
        parts = self._space.parts(architecture)
        return float(sum(part.parameters for part in parts)) if parts else super().__call__(architecture)

    def count(self, graph: Graph) -> float:
        return graph.parameters()
