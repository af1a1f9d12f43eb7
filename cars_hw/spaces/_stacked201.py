"""Networks of NAS-Bench-201: three stages of one cell, a residual block between two of them.

X. Dong, Y. Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020,
arXiv 2001.00326. Node 3 of a cell sums what it gets from nodes 0 to 2, node 2 from 0 and 1, node 1 from 0;
node 0 is the cell's input and node 3 its output.

A skip connection is no node: what reads it reads its source. Where nothing reaches a node, there are zeros,
and an operation on them adds nothing to a sum.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import IMAGE, Graph, Node, SoftGraph, soft_weights
from cars_hw.spaces._nodes import NodeList, Tensor

#: The operations of an edge; an option is an index here.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: The edges of a cell, each from a node into a later one.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
#: The operations that are nothing, and the source itself.
NONE, SKIP = 0, 1

_POOL = OPERATIONS.index("avg_pool_3x3")
_KERNELS = {OPERATIONS.index("nor_conv_1x1"): 1, OPERATIONS.index("nor_conv_3x3"): 3}
_NODES = 4
_STAGES = 3


@dataclass(frozen=True)
class StackedNetwork:
    """Everything about a network that its cell does not decide.

    Attributes:
        channels: Channels of the first stage.
        cells: Number of cells in each stage.
        image_shape: (c, h, w) of the input.
        classes: Number of outputs.
        searched: Whether normalisation in the cells has no learnable scale and shift, as in a SuperNet.
    """

    channels: int
    cells: int
    image_shape: tuple[int, int, int]
    classes: int
    searched: bool = False

    def nodes(self, options: Architecture) -> tuple[Node, ...]:
        """Return the nodes of the network whose cells have ``options``."""
        builder = _Builder(self.image_shape, searched=self.searched)
        return self._stacked(builder, partial(builder.cell, options=options))

    def all_nodes(self, allowed: Sequence[Sequence[int]]) -> tuple[Node, ...]:
        """Return the nodes of every network whose cells have options ``allowed`` for each edge."""
        builder = _Builder(self.image_shape, searched=self.searched)
        terms = _numbers_of_terms(allowed)
        return self._stacked(builder, partial(builder.every_cell, allowed=allowed, terms=terms))

    def soft_graph(self, allowed: Sequence[Sequence[int]], chosen: Architecture) -> SoftGraph:
        """Return the network in which the options ``allowed`` of an edge run side by side, and are mixed."""
        builder = _Builder(self.image_shape, searched=self.searched)
        nodes = self._stacked(builder, partial(builder.soft_cell, allowed=allowed, chosen=chosen))
        return SoftGraph(Graph(nodes), builder.shared, builder.weights)

    def _stacked(self, builder: "_Builder", cell: Callable[[str, Tensor], Tensor]) -> tuple[Node, ...]:
        tensor = builder.stem(self.channels)
        for stage in range(_STAGES):
            if stage:
                tensor = builder.reduction(f"reduction{stage}", tensor)
            for index in range(self.cells):
                tensor = cell(f"stage{stage}.cell{index}", tensor)
        builder.add("classifier", "norm_classifier", tensor, out=self.classes)
        return tuple(builder.nodes)


class _Builder(NodeList):
    """Appends the parts of a network.

    Attributes:
        shared: The slot of the edge that each option of a mixture has the weights of.
    """

    def __init__(self, image_shape: tuple[int, int, int], *, searched: bool) -> None:
        super().__init__()
        self.shared: dict[str, str] = {}
        self._image = Tensor(IMAGE, (1, *image_shape))
        self._cell_params = {"stride": 1, "affine": int(not searched)}

    def stem(self, channels: int) -> Tensor:
        """Append the first convolution."""
        return self.add("stem", "conv_bn", self._image, out=channels, kernel=3, stride=1, affine=1)

    def reduction(self, name: str, tensor: Tensor) -> Tensor:
        """Append the residual block that halves the image and doubles the channels."""
        conv = {"out": 2 * tensor.shape[1], "kernel": 3, "affine": 1}
        half = self.add(f"{name}.conv0", "relu_conv_bn", tensor, stride=2, **conv)
        residual = self.add(f"{name}.conv1", "relu_conv_bn", half, stride=1, **conv)
        shortcut = self.add(f"{name}.shortcut", "pool_conv", tensor, out=2 * tensor.shape[1])
        return self.add(f"{name}.sum", "sum", shortcut, residual)

    def cell(self, name: str, tensor: Tensor, options: Architecture) -> Tensor:
        """Append one cell."""
        tensors, reaching = [tensor], _reaching(options)
        for into in range(1, _NODES):
            terms = []
            for source in range(into):
                option = options[EDGES.index((source, into))]
                if option == NONE:
                    continue
                term = self._edge(f"{name}.node{into}.from{source}", option, tensors[source])
                if source in reaching[into]:
                    terms.append(term)
            tensors.append(self._node(f"{name}.node{into}", terms, tensor))
        return tensors[-1]

    def every_cell(
        self, name: str, tensor: Tensor, allowed: Sequence[Sequence[int]], terms: Sequence[AbstractSet[int]]
    ) -> Tensor:
        """Append every node of cells with options ``allowed``, whose nodes sum these numbers of ``terms``."""
        for (source, into), options in zip(EDGES, allowed, strict=True):
            for option in sorted(set(options) - {NONE, SKIP}):
                self._edge(f"{name}.node{into}.from{source}", option, tensor)
        for node, numbers in enumerate(terms, start=1):
            for n in sorted(numbers - {1}):
                self._node(f"{name}.node{node}", [tensor] * n, tensor)
        return tensor

    def soft_cell(
        self, name: str, tensor: Tensor, allowed: Sequence[Sequence[int]], chosen: Architecture
    ) -> Tensor:
        """Append one cell whose edges are mixtures; ``none`` has a weight, and adds nothing."""
        tensors = [tensor]
        for into in range(1, _NODES):
            terms = []
            for source in range(into):
                edge = EDGES.index((source, into))
                weights = soft_weights(len(allowed[edge]), allowed[edge].index(chosen[edge]))
                options = {o: w for o, w in zip(allowed[edge], weights, strict=True) if o != NONE}
                if options:
                    terms.append(self._mixture(f"{name}.node{into}.from{source}", options, tensors[source]))
            tensors.append(self._node(f"{name}.node{into}", terms, tensor))
        return tensors[-1]

    def _mixture(self, slot: str, options: Mapping[int, float], tensor: Tensor) -> Tensor:
        terms = []
        for option in options:
            term = self._edge(f"{slot}~{OPERATIONS[option]}", option, tensor)
            if option != SKIP:
                self.shared[term.slot] = slot
            terms.append(term)
        return self.mix(f"{slot}~mix", terms, list(options.values()))

    def _edge(self, slot: str, option: int, tensor: Tensor) -> Tensor:
        if option == SKIP:
            return tensor
        if option == _POOL:
            return self.add(slot, "avg_pool", tensor, kernel=3, stride=1, batch_norm=0)
        kernel = _KERNELS[option]
        return self.add(slot, "relu_conv_bn", tensor, out=tensor.shape[1], kernel=kernel, **self._cell_params)

    def _node(self, name: str, terms: Sequence[Tensor], tensor: Tensor) -> Tensor:
        """Sum what reaches a node; zeros of the shape of ``tensor`` where nothing does, made from the image.

        Zeros made from ``tensor`` would keep everything before them on a path to the output.
        """
        if not terms:
            _, channels, height, _ = tensor.shape
            stride = self._image.shape[2] // height
            return self.add(f"{name}.zero", "zero", self._image, out=channels, stride=stride)
        return terms[0] if len(terms) == 1 else self.add(f"{name}.sum", "sum", *terms)


def _reaching(options: Sequence[int]) -> list[list[int]]:
    """Return for each node those from which something of the cell's input reaches it."""
    reaching: list[list[int]] = [[]]
    for into in range(1, _NODES):
        present = [source for source in range(into) if options[EDGES.index((source, into))] != NONE]
        reaching.append([source for source in present if source == 0 or reaching[source]])
    return reaching


def _numbers_of_terms(allowed: Sequence[Sequence[int]]) -> list[set[int]]:
    """Return for the nodes after the first how many terms they can have, with options ``allowed``."""
    edges = ({min(option, SKIP) for option in options} for options in allowed)  # absent, or present
    cells = [_reaching(options) for options in itertools.product(*edges)]
    return [{len(cell[node]) for cell in cells} for node in range(1, _NODES)]
