"""SuperNet: weights that all architectures of a space share.

Yang et al., "CARS: Continuous Evolution for Efficient Neural Architecture Search", CVPR 2020, arXiv
1909.04977, section 3.2: the weights of an architecture are W masked by its connections. Only its operations
run, which gives its gradient (eq. 1) exactly and leaves all other weights and statistics alone.
"""

import copy
import hashlib
from collections.abc import Callable
from functools import lru_cache

from torch import Tensor, nn

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph, Node, SoftGraph
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from cars_hw.weights.network import Network, module_name, run


class SuperNet(nn.Module):
    """A module for each slot and spec of a space's search graphs.

    Args:
        space: Whose architectures share the weights.
        seed: All that the initial weights depend on, besides the space.
        place: Brings a module to where it computes, and returns it; ``None`` leaves all on the CPU.

    Attributes:
        space: Whose operations have weights now.
        resets: How often all weights were drawn anew.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        place: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.space = space
        self.resets = 0
        self._seed, self._place = seed, place or _stay
        with modules.seeded(seed):
            built = {_key(node): modules.build(node.spec) for node in space.all_nodes("search")}
        self.units = nn.ModuleDict({key: self._place(module) for key, module in built.items()})

    def forward(self, image: Tensor, architecture: Architecture) -> Tensor:
        """Run ``architecture`` alone: images (n, c, h, w) to logits (n, classes).

        Raises:
            ArchitectureError: It is no member of the space.
        """
        live = _graph(self.space, architecture).live
        return run(live, [self.unit(node) for node in live.nodes], image)

    def forward_soft(self, image: Tensor, architecture: Architecture) -> Tensor:
        """Run the soft graph of ``architecture``: images (n, c, h, w) to logits (n, classes).

        Raises:
            ArchitectureError: It is no member of the space.
        """
        soft = _soft_graph(self.space, architecture)
        return run(soft.graph, self._soft_units(soft), image)

    def unit(self, node: Node) -> nn.Module:
        """Return the module that computes ``node`` in every architecture that has its slot and spec.

        Raises:
            ArchitectureError: The space has been restricted, and no architecture has it any more.
        """
        try:
            return self.units[_key(node)]
        except KeyError as error:
            raise ArchitectureError(
                f"{node.spec} at {node.slot} has no weights: the search has dropped it"
            ) from error

    def activate(self, space: SearchSpace) -> None:
        """Keep the modules that ``space`` has too, drop all others, and build those that are missing."""
        nodes = {_key(node): node for node in space.all_nodes("search")}
        self.units = nn.ModuleDict(
            {key: self.units[key] if key in self.units else self._fresh(node) for key, node in nodes.items()}
        )
        self.space = space

    def reset(self) -> None:
        """Draw all weights anew, differently after each reset."""
        self.resets += 1
        self.units = nn.ModuleDict({_key(node): self._fresh(node) for node in self.space.all_nodes("search")})

    def _fresh(self, node: Node) -> nn.Module:
        """Return a new module for ``node``; its weights follow from seed, resets and key alone."""
        digest = hashlib.sha256(f"{self._seed} {self.resets} {_key(node)}".encode()).digest()
        like = next(self.parameters())
        with modules.seeded(int.from_bytes(digest[:7])):
            return self._place(modules.build(node.spec)).to(like.device, like.dtype)

    def parameters_of(self, architecture: Architecture, *, soft_path: bool) -> tuple[nn.Parameter, ...]:
        """Return the weights that a step on ``architecture`` trains, or on its soft graph.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        if soft_path:
            units = self._soft_units(_soft_graph(self.space, architecture))
        else:
            units = [self.unit(node) for node in _graph(self.space, architecture).live.nodes]
        found = (parameter for unit in units for parameter in unit.parameters())
        return tuple(dict.fromkeys(found))

    def extract(self, architecture: Architecture) -> Network:
        """Return ``architecture`` as a stand-alone network with copies of its weights and statistics.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        graph = _graph(self.space, architecture)
        network = Network(graph, [copy.deepcopy(self.unit(node)) for node in graph.nodes])
        return network.train(self.training)

    def extract_soft(self, architecture: Architecture) -> Network:
        """Return the soft graph of ``architecture`` as a network with copies of its weights and statistics.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        soft = _soft_graph(self.space, architecture)
        network = Network(soft.graph, [copy.deepcopy(unit) for unit in self._soft_units(soft)])
        return network.train(self.training)

    def _soft_units(self, soft: SoftGraph) -> list[nn.Module]:
        return [
            WeightedSum(soft.weights[node.slot])
            if node.slot in soft.weights
            else self.unit(soft.original(node))
            for node in soft.graph.nodes
        ]


class WeightedSum(nn.Module):
    """Add tensors of one shape, each times a weight of its own."""

    def __init__(self, weights: tuple[float, ...]) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the weighted sum of all arguments, of their shape (n, c, h, w)."""
        first, *others = (weight * tensor for weight, tensor in zip(self.weights, inputs, strict=True))
        for other in others:
            first = first + other
        return first


def _stay(module: nn.Module) -> nn.Module:
    return module


@lru_cache(maxsize=256)
def _graph(space: SearchSpace, architecture: Architecture) -> Graph:
    return space.graph(architecture, "search")


@lru_cache(maxsize=64)
def _soft_graph(space: SearchSpace, architecture: Architecture) -> SoftGraph:
    return space.soft_graph(architecture)


def _key(node: Node) -> str:
    return module_name(f"{node.slot}:{node.spec}")
