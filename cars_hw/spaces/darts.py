"""The space of DARTS and CARS: a normal and a reduction cell of four nodes, each the sum of two operations.

Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, arXiv 1806.09055.
Yang et al., "CARS: Continuous Evolution for Efficient Neural Architecture Search", CVPR 2020, arXiv
1909.04977.

Differs from the published spaces: the operation ``none`` is no option. Published cells never contain it, so
an architecture with it would be evaluated as one network and deployed as another.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self, TypeGuard, TypeVar

from pydantic import Field, JsonValue, model_validator

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import Graph, Node, Part, SoftGraph, soft_weights
from cars_hw.spaces._cells import SKIP, Cell, CellNetwork, Edge, SoftCell
from cars_hw.spaces._published import require_known
from cars_hw.spaces._space import ImageSettings, Scale, SearchSpace, require_deployed
from devices.foundation import UnknownNameError, added

#: Published indices 1 to 7; an option is an index here.
OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
_NODES = 4
#: The unordered pairs of predecessors that node i can have.
_PAIRS = tuple(tuple(itertools.combinations(range(i + 2), 2)) for i in range(_NODES))
_NODE_DECISIONS = 3
_CELL_DECISIONS = _NODES * _NODE_DECISIONS
#: Rows of scores of one cell: its edges by node, then by predecessor. The first score of each is ``none``'s.
_CELL_EDGES = sum(i + 2 for i in range(_NODES))
#: Before they are grown: the two inputs, skipped to in a normal cell; the cheapest in a reduction cell.
_ABSENT = (0, OPERATIONS.index(SKIP), OPERATIONS.index(SKIP)) * _NODES + (0, 0, 0) * _NODES
_Row = TypeVar("_Row")
#: Keys of lists of the nodes whose concatenation is the output of a cell: of both, of each.
_CONCATS = ("concat", "normal_concat", "reduce_concat")
#: Fields that AutoDL-Projects' genotypes have beside; ``None`` in networks of this space.
_UNSET = ("connectN", "connects")
_KEYS = ("normal", "reduce", *_CONCATS, *_UNSET)

#: What divides the size of images for "imagenet".
_HALVED_FIVE_TIMES = 32


class DartsSettings(ImageSettings):
    """Settings of the space of two cells.

    Attributes:
        deploy: The network that is deployed: "cifar" (20 cells, 36 channels, 3x32x32), "imagenet" (14 cells,
            48 channels, 3x224x224, 1000 classes, a stem of three halving convolutions), or "search" (the
            search graph itself).
        deploy_channels: Channels of the deployed network's first cell, if not the published ones.
        deploy_cells: Number of cells of the deployed network, if not the published one.
        deploy_image_size: Height and width of the deployed network's images, if not the published ones: a
            multiple of 4 for "cifar", of 32 for "imagenet".
        deploy_image_channels: Channels of the deployed network's images, if not 3.
        deploy_classes: Number of classes of the deployed network, if not that of the search graph for
            "cifar", 1000 for "imagenet".
        channels: Channels of the search graph's first cell.
        cells: Number of cells of the search graph; two of them are reduction cells.
        image_size: Height and width of its images, a multiple of 4 times the stem's stride.
        stem_stride: Stride of its first convolution: 2 searches at half of the size.
        classes: Number of classes, also of a network deployed for "cifar".
    """

    deploy: Literal["cifar", "imagenet", "search"] = "cifar"
    deploy_channels: int | None = added(None, before=None, ge=2, le=512, multiple_of=2)
    deploy_cells: int | None = added(None, before=None, ge=3, le=64)
    deploy_image_size: int | None = added(None, before=None, ge=8, le=1024, multiple_of=4)
    deploy_image_channels: int | None = added(None, before=None, ge=1, le=64)
    deploy_classes: int | None = added(None, before=None, ge=2, le=100_000)
    channels: int = Field(16, ge=2, le=256, multiple_of=2)
    cells: int = Field(8, ge=3, le=64)
    image_size: int = Field(32, ge=8, le=512, multiple_of=4)
    stem_stride: int = Field(1, ge=1, le=2)

    @model_validator(mode="after")
    def _halves_twice(self) -> Self:
        step = 4 * self.stem_stride
        if self.image_size % step:
            raise ValueError(f"image_size is {self.image_size}; with this stem_stride, a multiple of {step}")
        require_deployed(self, self.deploy)
        if self.deploy == "imagenet" and (self.deploy_image_size or 0) % _HALVED_FIVE_TIMES:
            raise ValueError(
                f'deploy_image_size is {self.deploy_image_size}; with deploy = "imagenet", a multiple of '
                f"{_HALVED_FIVE_TIMES}"
            )
        return self


@dataclass(frozen=True)
class Genotype:
    """An architecture in the published form.

    Attributes:
        normal: Operation and predecessor of the edges of the normal cell, two for each of four nodes.
        reduce: The same of the reduction cell.
    """

    normal: tuple[Edge, ...]
    reduce: tuple[Edge, ...]


class Darts(SearchSpace):
    """Two cells, stacked into a small network to search and a larger one to deploy.

    For each cell and node there are three decisions: which two predecessors, the operation on the earlier of
    them, the operation on the later one. A group is one node of both cells: CARS crosses over and mutates
    those together.

    The settings are those of ``DartsSettings``.
    """

    settings: DartsSettings

    def __init__(self, /, **settings: object) -> None:
        super().__init__(**settings)
        asked = self.settings
        self.image_shape = asked.shape_of_images(asked.image_size)
        self.classes = asked.classes
        self.deploys_search_graph = asked.deploy == "search"
        self.choices = 2 * tuple(
            n for pairs in _PAIRS for n in (len(pairs), len(OPERATIONS), len(OPERATIONS))
        )
        self.groups = tuple(
            tuple(cell + node + k for cell in (0, _CELL_DECISIONS) for k in range(_NODE_DECISIONS))
            for node in range(0, _CELL_DECISIONS, _NODE_DECISIONS)
        )
        self.score_rows = (1 + len(OPERATIONS),) * (2 * _CELL_EDGES)
        self.absent = _ABSENT
        search = CellNetwork(
            asked.channels, asked.cells, self.image_shape, self.classes, asked.stem_stride, searched=True
        )
        deployed = search if self.deploys_search_graph else _deployed(asked)
        self._networks: dict[Scale, CellNetwork] = {"search": search, "deploy": deployed}

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        normal, reduction = _cells(checked(architecture, self.choices))
        return Graph(self._networks[scale].nodes(normal, reduction))

    def parts(self, architecture: Architecture) -> Sequence[Part]:
        own = type(self)
        if own.graph is not Darts.graph or own.deployed is not Darts.deployed:
            return ()  # of a space made of this one, whose networks are others
        return _parts(self._networks["deploy"], architecture, self.choices)

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        normal, reduction = (_all_edges(options) for options in _halves(self.allowed))
        yield from self._networks[scale].nodes(normal, reduction)

    def decode(self, scores: Sequence[Sequence[float]]) -> Architecture:
        """Keep, at each node, the two edges whose best operation has the greatest softmax, ``none`` aside.

        DARTS and EvNAS decode like this (``derive_architecture_topk`` of EvNAS' released code). Where the
        space is restricted, what is allowed competes.
        """
        return tuple(
            option
            for options, rows in zip(_halves(self.allowed), _halves(scores), strict=True)
            for option in _decoded(options, [_softmax(row) for row in rows])
        )

    def soft_graph(self, architecture: Architecture) -> SoftGraph:
        """Return the supergraph of EvNAS: all operations on all edges of each cell.

        Among the eight operations of an edge, ``none`` included, which adds nothing, the chosen one has
        e / (e + 7) of the weight and the others 1 / (e + 7) each; on dropped edges, each has 1 / 8.
        """
        cells = zip(_halves(self.allowed), _cells(checked(architecture, self.choices)), strict=True)
        return self._networks["search"].soft_graph(
            *(_soft_cell(options, chosen) for options, chosen in cells)
        )

    def from_genotype(self, normal: Sequence[object], reduce: Sequence[object]) -> Architecture:
        """Read a published genotype: for each cell, (operation, predecessor) of two edges per node, in order.

        The edges of a cell stand in one list or in a pair for each node; a third value of an edge is the
        weight that the search gave it, which does not change the network.

        Raises:
            ArchitectureError: A cell has another form, ``none``, or one predecessor twice at a node.
            UnknownNameError: An operation does not exist.
        """
        return (*_options(normal, "normal"), *_options(reduce, "reduce"))

    def to_genotype(self, architecture: Architecture) -> Genotype:
        """Write the published form; the edges of a node are sorted by predecessor.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        normal, reduction = (
            tuple(itertools.chain.from_iterable(cell)) for cell in _cells(checked(architecture, self.choices))
        )
        return Genotype(normal, reduction)

    def from_description(self, description: JsonValue) -> Architecture:
        match description:
            case {"normal": list(normal), "reduce": list(reduction), **others}:
                require_known(others, _KEYS, "the genotype")
                _require_all_nodes(others)
                return self.from_genotype(normal, reduction)
        raise ArchitectureError("a genotype has the keys normal and reduce, each a list of [operation, from]")

    def describe(self, architecture: Architecture) -> dict[str, JsonValue]:
        genotype = self.to_genotype(architecture)
        return {
            "normal": [list(edge) for edge in genotype.normal],
            "reduce": [list(edge) for edge in genotype.reduce],
            "concat": list(range(2, 2 + _NODES)),
        }


def _deployed(asked: DartsSettings) -> CellNetwork:
    """Return the published network, changed in what is asked for."""
    is_large = asked.deploy == "imagenet"
    channels, cells, size, classes = (48, 14, 224, 1000) if is_large else (36, 20, 32, asked.classes)
    size = asked.deploy_image_size or size
    return CellNetwork(
        asked.deploy_channels or channels,
        asked.deploy_cells or cells,
        (asked.deploy_image_channels or 3, size, size),
        asked.deploy_classes or classes,
        deep_stem=is_large,
    )


def _halves(rows: Sequence[_Row]) -> tuple[Sequence[_Row], Sequence[_Row]]:
    """Split what there is for both cells: the first half is the normal one's."""
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def _by_node(
    options: Sequence[Sequence[int]],
) -> Iterator[tuple[Sequence[int], Sequence[int], Sequence[int]]]:
    """Yield, for each node of a cell, the allowed pairs, operations on the earlier and on the later edge."""
    return zip(*(options[k::_NODE_DECISIONS] for k in range(_NODE_DECISIONS)), strict=True)


def _all_edges(options: Sequence[Sequence[int]]) -> Cell:
    """Return every edge into each node that some architecture with these options has."""
    edges = []
    for pairs, (chosen, earlier, later) in zip(_PAIRS, _by_node(options), strict=True):
        found = {(operation, pairs[pair][0]) for pair in chosen for operation in earlier}
        found |= {(operation, pairs[pair][1]) for pair in chosen for operation in later}
        edges.append(tuple((OPERATIONS[operation], j) for operation, j in sorted(found)))
    return tuple(edges)


def _soft_cell(options: Sequence[Sequence[int]], chosen: tuple[tuple[Edge, ...], ...]) -> SoftCell:
    """Return every operation of each edge with its weight, where the edges ``chosen`` have one more."""
    cell = []
    for edges, kept in zip(_all_edges(options), chosen, strict=True):
        names: dict[int, list[str]] = {}
        for name, j in edges:
            names.setdefault(j, []).append(name)
        operations = {j: name for name, j in kept}
        cell.append(
            tuple(
                (name, j, weight)
                for j, present in names.items()
                for name, weight in zip(present, _edge_weights(present, operations.get(j)), strict=True)
            )
        )
    return tuple(cell)


def _edge_weights(present: Sequence[str], chosen: str | None) -> tuple[float, ...]:
    """Return the weights of the operations of an edge beside ``none``, which has the rest."""
    return soft_weights(len(present) + 1, None if chosen is None else present.index(chosen))[:-1]


def _decoded(options: Sequence[Sequence[int]], rows: Sequence[Sequence[float]]) -> Iterator[int]:
    """Yield the options of one cell that score best.

    Args:
        options: The allowed options of each of its decisions.
        rows: One row for each edge, by node, then by predecessor; in each, ``none`` and all operations.
    """
    start = 0
    for pairs, (chosen, *operations) in zip(_PAIRS, _by_node(options), strict=True):
        best = {
            pair: [
                max(allowed, key=rows[start + j][1:].__getitem__)
                for allowed, j in zip(operations, pairs[pair], strict=True)
            ]
            for pair in chosen
        }
        score = {
            pair: sum(
                rows[start + j][1 + operation] for operation, j in zip(best[pair], pairs[pair], strict=True)
            )
            for pair in chosen
        }
        winner = max(chosen, key=score.__getitem__)
        yield winner
        yield from best[winner]
        start += pairs[-1][1] + 1


def _softmax(row: Sequence[float]) -> list[float]:
    """Return the softmax of ``row``, (n,)."""
    powers = [math.exp(score - max(row)) for score in row]
    return [power / sum(powers) for power in powers]


@lru_cache(maxsize=4096)  # each cost asks for them anew
def _parts(network: CellNetwork, architecture: Architecture, choices: tuple[int, ...]) -> Sequence[Part]:
    return tuple(network.parts(*_cells(checked(architecture, choices))))


def _cells(architecture: Architecture) -> tuple[Cell, Cell]:
    return _cell(architecture[:_CELL_DECISIONS]), _cell(architecture[_CELL_DECISIONS:])


def _cell(options: Architecture) -> Cell:
    decisions = zip(_PAIRS, *(options[k::_NODE_DECISIONS] for k in range(_NODE_DECISIONS)), strict=True)
    return tuple(
        tuple(zip((OPERATIONS[earlier], OPERATIONS[later]), pairs[pair], strict=True))
        for pairs, pair, earlier, later in decisions
    )


def _require_all_nodes(others: Mapping[object, object]) -> None:
    """Check that a genotype means cells whose outputs are all nodes, as those of this space are.

    Raises:
        ArchitectureError: Another network is meant.
    """
    every = list(range(2, 2 + _NODES))
    for key in _CONCATS:
        match others.get(key, every):
            case list(nodes) if any(type(node) is not int for node in nodes):
                raise ArchitectureError(f"{key} of the genotype is {nodes!r:.64}; it is a list of nodes")
            case list(nodes) if sorted(map(str, nodes)) == list(map(str, every)):
                continue
            case other:
                raise ArchitectureError(
                    f"{key} of the genotype is {other!r:.64}, but a cell of this space concatenates all "
                    f"of its nodes, {every}: that is another network, which is not measured here"
                )
    for key in _UNSET:
        if others.get(key) is not None:
            raise ArchitectureError(f"{key} of the genotype is {others[key]!r:.64}; it is not understood")


def _options(edges: Sequence[object], cell: str) -> Iterator[int]:
    """Yield the options of the edges of one published cell."""
    flat = _flat(edges)
    if len(flat) != 2 * _NODES:
        raise ArchitectureError(
            f"the {cell} cell of the genotype has {len(flat)} edges instead of {2 * _NODES}"
        )
    checked_edges = [_checked_edge(edge, cell) for edge in flat]
    for node, pairs in enumerate(_PAIRS):
        two = sorted(checked_edges[2 * node : 2 * node + 2], key=lambda edge: edge[1])
        predecessors = (two[0][1], two[1][1])
        if predecessors not in pairs:
            raise ArchitectureError(
                f"node {node} of the {cell} cell reads {predecessors}; it reads two of 0..{node + 1}"
            )
        yield pairs.index(predecessors)
        yield from (OPERATIONS.index(operation) for operation, _ in two)


def _flat(edges: Sequence[object]) -> list[object]:
    """Return the edges of a cell in one list, also where they are given as one pair of edges per node."""
    pairs = [node for node in edges if _is_pair_of_edges(node)]
    return list(itertools.chain.from_iterable(pairs)) if len(pairs) == len(edges) else list(edges)


def _is_pair_of_edges(node: object) -> TypeGuard[Sequence[object]]:
    match node:
        case [[*_], [*_]]:
            return True
    return False


def _checked_edge(edge: object, cell: str) -> Edge:
    match edge:
        case ["none", *_]:
            raise ArchitectureError(
                f"the {cell} cell of the genotype has the operation 'none', which is never sampled"
            )
        case [_, bool(), *_] | [_, _, bool()]:
            pass
        case [str(operation), int(predecessor)] | [str(operation), int(predecessor), int() | float()]:
            if operation not in OPERATIONS:
                raise UnknownNameError("operation", operation, OPERATIONS)
            return operation, predecessor
    raise ArchitectureError(
        f"{edge!r:.64} in the {cell} cell of the genotype is not (operation, predecessor)"
    )
