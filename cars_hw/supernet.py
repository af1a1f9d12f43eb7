"""SuperNet: weights that all architectures of a space share.

Yang et al., "CARS: Continuous Evolution for Efficient Neural Architecture Search", CVPR 2020, arXiv
1909.04977, section 3.2: the weights of an architecture are W masked by its connections. Only its operations
run, which gives its gradient exactly and leaves all other weights and statistics alone.
"""

import copy
from functools import lru_cache

from torch import Tensor, nn

from cars_hw import ops
from cars_hw.architecture import Architecture
from cars_hw.graph import Graph, Node
from cars_hw.network import Network, module_name, run
from cars_hw.spaces._space import SearchSpace


class SuperNet(nn.Module):
    """A module for each slot and spec of a space's search graphs.

    Args:
        space: Whose architectures share the weights.
        seed: All that the initial weights depend on, besides the space.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        super().__init__()
        self.space = space
        with ops.seeded(seed):
            self.units = nn.ModuleDict(
                {_key(node): ops.build(node.spec) for node in space.all_nodes("search")}
            )

    def forward(self, image: Tensor, architecture: Architecture) -> Tensor:
        """Run ``architecture`` alone: images (n, c, h, w) to logits (n, classes).

        Raises:
            ArchitectureError: It is no member of the space.
        """
        live = _graph(self.space, architecture).live
        return run(live, [self.unit(node) for node in live.nodes], image)

    def unit(self, node: Node) -> nn.Module:
        """Return the module that computes ``node`` in every architecture that has its slot and spec."""
        return self.units[_key(node)]

    def extract(self, architecture: Architecture) -> Network:
        """Return ``architecture`` as a stand-alone network with copies of its weights and statistics.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        graph = _graph(self.space, architecture)
        network = Network(graph, [copy.deepcopy(self.unit(node)) for node in graph.nodes])
        return network.train(self.training)


@lru_cache(maxsize=256)
def _graph(space: SearchSpace, architecture: Architecture) -> Graph:
    return space.graph(architecture, "search")


def _key(node: Node) -> str:
    return module_name(f"{node.slot}:{node.spec}")
