"""Networks of stacked normal and reduction cells, with the operations of DARTS.

Liu et al., "DARTS: Differentiable Architecture Search", arXiv 1806.09055, and its released code. A reduction
cell halves the image and doubles the channels; it stands after one and after two thirds of the cells. A skip
connection at stride 1 is no node: what reads it reads the predecessor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from cars_hw.networks.graph import IMAGE, Graph, Node, Part, SoftGraph
from cars_hw.spaces._nodes import NodeList, Tensor

#: Operation and predecessor: 0 and 1 are the outputs of the two cells before, 2 + i is the cell's own node i.
Edge = tuple[str, int]
#: The edges into each node of a cell: two in a network.
Cell = tuple[tuple[Edge, ...], ...]
#: For each node of a cell, operation, predecessor and weight of everything that it sums.
SoftCell = tuple[tuple[tuple[str, int, float], ...], ...]

SKIP = "skip_connect"
#: Inputs of a cell.
_INPUTS = 2
_STEM_MULTIPLIER = 3
#: Parts that are remembered, of up to 500 bytes each: all that two networks of four nodes a cell have.
_REMEMBERED_PARTS = 4096
_POOLS = {
    "max_pool_3x3": ("max_pool", {"kernel": 3}),
    "avg_pool_3x3": ("avg_pool", {"kernel": 3}),
}
_CONVS = {
    "sep_conv_3x3": ("sep_conv", {"kernel": 3}),
    "sep_conv_5x5": ("sep_conv", {"kernel": 5}),
    "dil_conv_3x3": ("dil_conv", {"kernel": 3, "dilation": 2}),
    "dil_conv_5x5": ("dil_conv", {"kernel": 5, "dilation": 2}),
}


@dataclass(frozen=True)
class CellNetwork:
    """Everything about a network that its two cells do not decide.

    Attributes:
        channels: Channels of each node of the first cell; even.
        cells: Number of cells, at least 3.
        image_shape: (c, h, w) of the input; h and w are even wherever the network halves them.
        classes: Number of outputs.
        stem_stride: Stride of the one convolution that comes first.
        deep_stem: Whether three halving convolutions come first (ImageNet), instead of that one.
        searched: Whether the network is part of a SuperNet: there, batch normalisation has no learnable scale
            and shift, and follows pooling as well.
    """

    channels: int
    cells: int
    image_shape: tuple[int, int, int]
    classes: int
    stem_stride: int = 1
    deep_stem: bool = False
    searched: bool = False

    def nodes(self, normal: Cell, reduction: Cell) -> tuple[Node, ...]:
        """Return the network's nodes in topological order.

        With more than two edges into a node, return them all: every node that some network has.
        """
        builder = _Builder(searched=self.searched)

        def add_cell(name: str, inputs: tuple[Tensor, Tensor], *, reduces: bool) -> Tensor:
            cell, stride = (reduction, 2) if reduces else (normal, 1)
            return builder.cell(name, cell, inputs=inputs, stride=stride)

        return self._stacked(builder, add_cell)

    def parts(self, normal: Cell, reduction: Cell) -> list[Part]:
        """Return the network in parts: what its cells do not decide, and each node of its two cells.

        Cells of two edges into a node have no other nodes than those that reach the output: their first node
        reads both inputs, and the output is all of them.
        """
        frame, _ = _frame(self, len(normal))
        nodes = [(False, i, edges) for i, edges in enumerate(normal)]
        nodes += [(True, i, edges) for i, edges in enumerate(reduction)]
        return [frame, *(_part(self, len(normal), *node) for node in nodes)]

    def soft_graph(self, normal: SoftCell, reduction: SoftCell) -> SoftGraph:
        """Return the network in which the operations of an edge run side by side, and are mixed."""
        builder = _SoftBuilder(searched=self.searched)

        def add_cell(name: str, inputs: tuple[Tensor, Tensor], *, reduces: bool) -> Tensor:
            cell, stride = (reduction, 2) if reduces else (normal, 1)
            return builder.soft_cell(name, cell, inputs=inputs, stride=stride)

        return SoftGraph(Graph(self._stacked(builder, add_cell)), builder.shared, builder.weights)

    def _stacked(self, builder: "_Builder", add_cell: "_AddCell") -> tuple[Node, ...]:
        image = Tensor(IMAGE, (1, *self.image_shape))
        if self.deep_stem:
            before, last = builder.deep_stem(image, self.channels)
        else:
            before = last = builder.stem(image, self.channels, stride=self.stem_stride)
        channels = self.channels
        for index in range(self.cells):
            reduces = index in (self.cells // 3, 2 * self.cells // 3)
            channels *= 2 if reduces else 1
            inputs = builder.preprocess(f"cell{index}", before, last, channels=channels)
            before, last = last, add_cell(f"cell{index}", inputs, reduces=reduces)
        builder.add("classifier", "classifier", last, out=self.classes)
        return tuple(builder.nodes)


class _AddCell(Protocol):
    """Appends the cell ``name``, and returns its output."""

    def __call__(self, name: str, inputs: tuple[Tensor, Tensor], *, reduces: bool) -> Tensor: ...


class _Builder(NodeList):
    """Appends the parts of such a network."""

    def __init__(self, *, searched: bool) -> None:
        super().__init__()
        self._conv_params = {"affine": int(not searched)}
        self._pool_params = {"batch_norm": int(searched)}

    def stem(self, image: Tensor, channels: int, *, stride: int) -> Tensor:
        """Append one convolution."""
        out = _STEM_MULTIPLIER * channels
        return self.add("stem", "conv_bn", image, out=out, kernel=3, stride=stride, **self._conv_params)

    def deep_stem(self, image: Tensor, channels: int) -> tuple[Tensor, Tensor]:
        """Append three halving convolutions; the last two are the inputs of the first cell."""
        halving = {"kernel": 3, "stride": 2, **self._conv_params}
        half = self.add("stem0", "conv_bn", image, out=channels // 2, **halving)
        quarter = self.add("stem1", "relu_conv_bn", half, out=channels, **halving)
        return quarter, self.add("stem2", "relu_conv_bn", quarter, out=channels, **halving)

    def preprocess(self, name: str, before: Tensor, last: Tensor, *, channels: int) -> tuple[Tensor, Tensor]:
        """Bring the inputs of a cell to its channels, and the earlier one to the size of the later."""
        pointwise = {"out": channels, "kernel": 1, "stride": 1, **self._conv_params}
        slots = (f"{name}.preprocess0", f"{name}.preprocess1")
        if before.shape[2:] == last.shape[2:]:
            first = self.add(slots[0], "relu_conv_bn", before, **pointwise)
        else:
            first = self.add(slots[0], "factorized_reduce", before, out=channels, **self._conv_params)
        return first, self.add(slots[1], "relu_conv_bn", last, **pointwise)

    def cell(self, name: str, cell: Cell, *, inputs: tuple[Tensor, Tensor], stride: int) -> Tensor:
        """Append the nodes of a cell: each the sum of its edges, and their concatenation."""
        tensors = list(inputs)
        for i, edges in enumerate(cell):
            tensors.append(self.node(f"{name}.node{i}", edges, tensors=tensors, stride=stride))
        return self.concat(name, tensors)

    def node(self, name: str, edges: tuple[Edge, ...], *, tensors: Sequence[Tensor], stride: int) -> Tensor:
        """Append a node of a cell: the sum of its edges; ``tensors`` are its inputs and the nodes before."""
        terms = [
            self._edge(f"{name}.from{j}", operation, tensors[j], stride=stride if j < _INPUTS else 1)
            for operation, j in edges
        ]
        return self.add(f"{name}.sum", "sum", *terms[:2])

    def concat(self, name: str, tensors: Sequence[Tensor]) -> Tensor:
        """Append the output of a cell: the concatenation of its nodes, which follow its inputs."""
        return self.add(f"{name}.concat", "concat", *tensors[_INPUTS:])

    def _edge(self, slot: str, operation: str, tensor: Tensor, *, stride: int) -> Tensor:
        if operation in _POOLS:
            kind, params = _POOLS[operation]
            return self.add(slot, kind, tensor, stride=stride, **params, **self._pool_params)
        if operation in _CONVS:
            kind, params = _CONVS[operation]
            return self.add(slot, kind, tensor, stride=stride, **params, **self._conv_params)
        if stride == 1:
            return tensor
        return self.add(slot, "factorized_reduce", tensor, out=tensor.shape[1], **self._conv_params)


class _SoftBuilder(_Builder):
    """Appends cells whose edges are mixtures.

    Attributes:
        shared: The slot of the edge that each of its operations has the weights of.
    """

    def __init__(self, *, searched: bool) -> None:
        super().__init__(searched=searched)
        self.shared: dict[str, str] = {}

    def soft_cell(self, name: str, cell: SoftCell, *, inputs: tuple[Tensor, Tensor], stride: int) -> Tensor:
        """Append the nodes of a cell: each the sum of its mixed edges, and their concatenation."""
        tensors = list(inputs)
        for i, options in enumerate(cell):
            edges = []
            for j in sorted({source for _, source, _ in options}):
                slot, edge_stride = f"{name}.node{i}.from{j}", stride if j < len(inputs) else 1
                mixed = [(operation, weight) for operation, source, weight in options if source == j]
                terms = [
                    self._option(slot, operation, tensors[j], stride=edge_stride) for operation, _ in mixed
                ]
                edges.append(self.mix(f"{slot}~mix", terms, tuple(weight for _, weight in mixed)))
            tensors.append(self.mix(f"{name}.node{i}.sum", edges, (1.0,) * len(edges)))
        return self.concat(name, tensors)

    def _option(self, slot: str, operation: str, tensor: Tensor, *, stride: int) -> Tensor:
        name = f"{slot}~{operation}"
        output = self._edge(name, operation, tensor, stride=stride)
        if output.slot == name:
            self.shared[name] = slot
        return output


@dataclass(frozen=True)
class _Site:
    """Where a cell stands in a network.

    Attributes:
        name: The cell's name.
        reduces: Whether it is a reduction cell.
        tensors: Its inputs and the outputs of its nodes, which are the same whatever it is made of.
    """

    name: str
    reduces: bool
    tensors: tuple[Tensor, ...]


@lru_cache(maxsize=64)
def _frame(network: CellNetwork, n_nodes: int) -> tuple[Part, tuple[_Site, ...]]:
    """Return what the cells, of ``n_nodes`` nodes each, do not decide, and where they stand."""
    builder, sites = _Builder(searched=network.searched), []

    def add_cell(name: str, inputs: tuple[Tensor, Tensor], *, reduces: bool) -> Tensor:
        tensors, n_before = list(inputs), len(builder.nodes)
        for i in range(n_nodes):
            edges, stride = ((SKIP, 0), (SKIP, 1)), 2 if reduces else 1
            tensors.append(builder.node(f"{name}.node{i}", edges, tensors=tensors, stride=stride))
        del builder.nodes[n_before:]
        sites.append(_Site(name, reduces, tuple(tensors)))
        return builder.concat(name, tensors)

    nodes = network._stacked(builder, add_cell)
    return Part(tuple(node.spec for node in nodes)), tuple(sites)


@lru_cache(maxsize=_REMEMBERED_PARTS)
def _part(network: CellNetwork, n_nodes: int, reduces: bool, i: int, edges: tuple[Edge, ...]) -> Part:
    """Return what node ``i`` is, with these edges, in all normal or all reduction cells of ``n_nodes``."""
    builder = _Builder(searched=network.searched)
    for site in _frame(network, n_nodes)[1]:
        if site.reduces == reduces:
            stride = 2 if reduces else 1
            builder.node(f"{site.name}.node{i}", edges, tensors=site.tensors, stride=stride)
    return Part(tuple(node.spec for node in builder.nodes))
