"""SuperNet: weights that all architectures of a space share.

Yang et al., "CARS: Continuous Evolution for Efficient Neural Architecture Search", CVPR 2020, arXiv
1909.04977, section 3.2: the weights of an architecture are W masked by its connections. Only its operations
run, which gives its gradient (eq. 1) exactly and leaves all other weights and statistics alone.
"""

import copy
import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph, Node, SoftGraph
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from cars_hw.weights.network import Network, module_name, run, sharing
from cars_hw.weights.quick import quicken

#: Paths that are remembered: a population with its offspring, and some more.
_REMEMBERED_PATHS = 512


@dataclass(frozen=True, eq=False)
class Path:
    """What runs for one architecture, or for its soft graph.

    Attributes:
        graph: What is computed.
        units: The module of each of its nodes.
        parameters: All weights of them, in the order in which the SuperNet has them.
    """

    graph: Graph
    units: tuple[nn.Module, ...]
    parameters: tuple[nn.Parameter, ...]


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
        self._paths = _Paths()

    def forward(self, image: Tensor, architecture: Architecture) -> Tensor:
        """Run ``architecture`` alone: images (n, c, h, w) to logits (n, classes).

        Raises:
            ArchitectureError: It is no member of the space.
        """
        path = self.path(architecture)
        return run(path.graph, path.units, image)

    def forward_soft(self, image: Tensor, architecture: Architecture) -> Tensor:
        """Run the soft graph of ``architecture``: images (n, c, h, w) to logits (n, classes).

        Raises:
            ArchitectureError: It is no member of the space.
        """
        path = self.path(architecture, soft_path=True)
        return run(path.graph, path.units, image)

    def path(self, architecture: Architecture, *, soft_path: bool = False) -> Path:
        """Return what runs for ``architecture``, or for its soft graph.

        It is remembered: looking through all modules takes as long as running some of them.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        found = self._paths.get(architecture, soft_path)
        return found or self._paths.keep(architecture, soft_path, self._found(architecture, soft_path))

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
        self.space, self._paths = space, _Paths()

    def reset(self) -> None:
        """Draw all weights anew, differently after each reset."""
        self.resets += 1
        self.units = nn.ModuleDict({_key(node): self._fresh(node) for node in self.space.all_nodes("search")})
        self._paths = _Paths()

    @torch.no_grad()
    def copy_from(self, other: "SuperNet") -> None:
        """Take over all weights and statistics of a SuperNet that has the same modules."""
        for own, its in zip(_tensors(self), _tensors(other), strict=True):
            own.copy_(its)

    def packed(self) -> dict[str, Tensor]:
        """Return copies of all weights and statistics: one tensor (n,) for each of their types."""
        return {
            name: torch.cat([one.detach().reshape(-1) for one in tensors])
            for name, tensors in self._by_type().items()
        }

    @torch.no_grad()
    def unpack(self, packed: Mapping[str, Tensor]) -> None:
        """Take over what ``packed`` returned, of a SuperNet that has the same modules.

        Raises:
            RuntimeError: It has others.
        """
        for name, tensors in self._by_type().items():
            parts = packed[name].split([one.numel() for one in tensors])
            for own, part in zip(tensors, parts, strict=True):
                own.copy_(part.view(own.shape))

    def _by_type(self) -> dict[str, list[Tensor]]:
        found: dict[str, list[Tensor]] = {}
        for one in _tensors(self):
            found.setdefault(str(one.dtype), []).append(one)
        return found

    def _fresh(self, node: Node) -> nn.Module:
        """Return a new module for ``node``; its weights follow from seed, resets and key alone."""
        digest = hashlib.sha256(f"{self._seed} {self.resets} {_key(node)}".encode()).digest()
        like = next(self.parameters())
        with modules.seeded(int.from_bytes(digest[:7])):
            return self._place(modules.build(node.spec)).to(like.device, like.dtype)

    def in_order(self, parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
        """Return each of ``parameters`` once, in the order in which ``parameters()`` has them."""
        return sorted(set(parameters), key=self._paths.ordered(self.units).__getitem__)

    def extract(self, architecture: Architecture, *, soft_path: bool = False) -> Network:
        """Return ``architecture`` as a stand-alone network with copies of its weights and statistics.

        It has torch's forms of all operations, as it ships.

        Args:
            architecture: Which network.
            soft_path: Whether its soft graph is meant.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        network = self._network(architecture, soft_path, copy.deepcopy).train(self.training)
        quicken(network, is_quick=False)
        return network

    def share(self, architecture: Architecture, *, soft_path: bool = False) -> Network:
        """Return ``architecture`` as a network with the SuperNet's own weights: only statistics are copies.

        It is for networks that judge and go: whatever trains the SuperNet changes it. It has the quick
        forms that the SuperNet has.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        return self._network(architecture, soft_path, sharing)

    def _network(
        self, architecture: Architecture, soft_path: bool, copied: Callable[[nn.Module], nn.Module]
    ) -> Network:
        graph, units = self._spelled(architecture, soft_path, whole=True)
        return Network(graph, [copied(unit) for unit in units])

    def _found(self, architecture: Architecture, soft_path: bool) -> Path:
        graph, units = self._spelled(architecture, soft_path, whole=False)
        weights = (self._paths.weights(self.units, unit) for unit in units)
        parameters = self.in_order(itertools.chain.from_iterable(weights))
        return Path(graph, tuple(units), tuple(parameters))

    def _spelled(
        self, architecture: Architecture, soft_path: bool, *, whole: bool
    ) -> tuple[Graph, list[nn.Module]]:
        """Return a graph with the modules of its nodes; nodes that do not reach the output if ``whole``."""
        if soft_path:
            soft = _soft_graph(self.space, architecture)
            return soft.graph, self._soft_units(soft)
        graph = _graph(self.space, architecture)
        graph = graph if whole else graph.live
        return graph, [self.unit(node) for node in graph.nodes]

    def _soft_units(self, soft: SoftGraph) -> list[nn.Module]:
        return [
            WeightedSum(soft.weights[node.slot])
            if node.slot in soft.weights
            else self.unit(soft.original(node))
            for node in soft.graph.nodes
        ]


class _Paths:
    """The paths that were used last, and which weights are whose; a copied SuperNet finds its own."""

    def __init__(self) -> None:
        self._order: dict[nn.Parameter, int] = {}
        self._weights: dict[nn.Module, tuple[nn.Parameter, ...]] = {}
        self._kept: OrderedDict[tuple[Architecture, bool], Path] = OrderedDict()

    def __deepcopy__(self, memo: dict[int, object]) -> "_Paths":
        return _Paths()

    def ordered(self, units: nn.ModuleDict) -> dict[nn.Parameter, int]:
        """Return the place of each weight among all of ``units``."""
        if not self._order:
            self._weights = {unit: tuple(unit.parameters()) for unit in units.values()}
            every = dict.fromkeys(itertools.chain.from_iterable(self._weights.values()))
            self._order = {weight: place for place, weight in enumerate(every)}
        return self._order

    def weights(self, units: nn.ModuleDict, unit: nn.Module) -> tuple[nn.Parameter, ...]:
        """Return the weights of one of ``units``; any other module has none."""
        self.ordered(units)
        return self._weights.get(unit, ())

    def get(self, architecture: Architecture, soft_path: bool) -> Path | None:
        """Return a path that is there."""
        found = self._kept.get((architecture, soft_path))
        if found is not None:
            self._kept.move_to_end((architecture, soft_path))
        return found

    def keep(self, architecture: Architecture, soft_path: bool, path: Path) -> Path:
        """Keep a path, and let go of the one that was used the longest ago; return it."""
        self._kept[architecture, soft_path] = path
        if len(self._kept) > _REMEMBERED_PATHS:
            self._kept.popitem(last=False)
        return path


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


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


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
