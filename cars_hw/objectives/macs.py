"""The work of a network, in multiply-accumulates."""

from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph
from cars_hw.objectives._objective import GraphObjective


class Macs(GraphObjective):
    """Multiply-accumulates of the deployed network for one image, of nodes without effect as well."""

    pick = "least-macs"

    def __call__(self, architecture: Architecture, /) -> float:
        """Add up the space's parts, or count the whole network where it has none."""
        parts = self._space.parts(architecture)
        return float(sum(part.macs for part in parts)) if parts else super().__call__(architecture)

    def count(self, graph: Graph) -> float:
        return graph.macs()
