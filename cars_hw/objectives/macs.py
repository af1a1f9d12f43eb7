"""The work of a network, in multiply-accumulates."""

from cars_hw.networks.graph import Graph
from cars_hw.objectives._objective import GraphObjective


class Macs(GraphObjective):
    """Multiply-accumulates of the deployed network for one image, of nodes without effect as well."""

    pick = "least-macs"

    def count(self, graph: Graph) -> float:
        return graph.macs()
