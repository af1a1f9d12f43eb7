"""The space of NAS-Bench-201: one cell of six edges, five operations each, 15 625 networks.

X. Dong, Y. Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020,
arXiv 2001.00326. Node 3 of a cell sums what it gets from nodes 0 to 2, node 2 from 0 and 1, node 1 from 0;
node 0 is the cell's input and node 3 its output. Three stages of such cells double the channels and, between
them, a residual block halves the image.

A skip connection is no node: what reads it reads its source. Where nothing reaches a node, there are zeros.
The graph keeps operations that nothing comes of, since the benchmark's parameters and MACs count them.

Differs from the paper: an operation on zeros adds nothing to a sum; in the paper's code it adds the learnt
shift of its normalisation. So operations off all paths from input to output are dead nodes of the graph.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, partial

from pydantic import JsonValue

from cars_hw.architecture import Architecture, checked
from cars_hw.graph import IMAGE, Graph, Node
from cars_hw.spaces._nodes import NodeList, Tensor
from cars_hw.spaces._settings import check_option, check_sizes
from cars_hw.spaces._space import Scale, SearchSpace
from devices._errors import ArchitectureError, UnknownNameError

#: An option is its place here, and a digit of the benchmark's codes.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: The edges of a cell in the order of decisions: from, to.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

_NONE, _SKIP, _CONV1, _CONV3, _POOL = range(len(OPERATIONS))
_KERNELS = {_CONV1: 1, _CONV3: 3}
_NODES = 4
_STAGES = 3
_DEPLOYMENTS = ("nasbench201", "search")
#: Smallest, largest and step of each setting of the search graph.
_RANGES = {
    "channels": (2, 256, 1),
    "cells": (1, 64, 1),
    "image_size": (4, 512, 4),
    "image_channels": (1, 64, 1),
    "classes": (2, 100_000, 1),
}
_CODE = re.compile(rf"[0-{len(OPERATIONS) - 1}]{{{len(EDGES)}}}")
_EDGE = re.compile(r"\|([a-z0-9_]{1,64})~([0-9])(?=\|)")
_MAX_TEXT = 256


class Nasbench201(SearchSpace):
    """One decision for each edge of the cell, in the order of ``EDGES``.

    Args:
        deploy: What an architecture is for: "nasbench201" (the benchmark's networks: 5 cells in each stage,
            16 channels in the first, 3x32x32), or "search" (the search graph itself).
        channels: Of the search graph's first stage.
        cells: In each of its three stages.
        image_size: Height and width of its images, a multiple of 4.
        image_channels: Channels of its images.
        classes: Number of classes, also of the benchmark's networks.

    Raises:
        ConfigError: A setting is out of range.
    """

    name = "nasbench201"

    def __init__(
        self,
        *,
        deploy: str = "nasbench201",
        channels: int = 16,
        cells: int = 5,
        image_size: int = 32,
        image_channels: int = 3,
        classes: int = 10,
    ) -> None:
        sizes = {
            "channels": channels,
            "cells": cells,
            "image_size": image_size,
            "image_channels": image_channels,
            "classes": classes,
        }
        check_option(self.name, "deploy", deploy, _DEPLOYMENTS)
        check_sizes(self.name, sizes, _RANGES)
        self._settings: dict[str, int | str] = {"deploy": deploy, **sizes}
        self.image_shape = (image_channels, image_size, image_size)
        self.classes = classes
        self.deploys_search_graph = deploy == "search"
        self.choices = (len(OPERATIONS),) * len(EDGES)
        self.groups = tuple((edge,) for edge in range(len(EDGES)))
        search = _Network(channels, cells, self.image_shape, classes, searched=True)
        benchmark = _Network(16, 5, (3, 32, 32), classes)
        self._networks: dict[Scale, _Network] = {
            "search": search,
            "deploy": search if self.deploys_search_graph else benchmark,
        }

    @cached_property
    def absent(self) -> Architecture:
        """A skip connection on each edge: nothing costs less and still leads to the output."""
        return (_SKIP,) * len(EDGES)

    def settings(self) -> dict[str, int | str]:
        return dict(self._settings)

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        return Graph(self._networks[scale].nodes(checked(architecture, self.choices)))

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        yield from self._networks[scale].all_nodes(self.allowed)

    def from_code(self, code: str) -> Architecture:
        """Read six digits, an option of each edge.

        Raises:
            ArchitectureError: They are not.
        """
        if not _CODE.fullmatch(code):
            raise ArchitectureError(
                f"{code!r:.64} is no code of {self.name}; six digits from 0 to {len(OPERATIONS) - 1} are"
            )
        return tuple(map(int, code))

    def to_code(self, architecture: Architecture) -> str:
        """Write the options of the edges as six digits.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        return "".join(map(str, checked(architecture, self.choices)))

    def from_published(self, text: str) -> Architecture:
        """Read the benchmark's own form, ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|``.

        Raises:
            ArchitectureError: The text has another form.
            UnknownNameError: An operation does not exist.
        """
        names = [name for name, _ in _EDGE.findall(text[:_MAX_TEXT])]
        unknown = [name for name in names if name not in OPERATIONS]
        if unknown:
            raise UnknownNameError("operation", unknown[0], OPERATIONS)
        architecture = tuple(map(OPERATIONS.index, names))
        if len(names) != len(EDGES) or self.to_published(architecture) != text:
            raise ArchitectureError(
                f"{text!r:.80} is no architecture of {self.name}; the form is {self.to_published((0,) * 6)}"
            )
        return architecture

    def to_published(self, architecture: Architecture) -> str:
        """Write the benchmark's own form: the edges into each node, from first to last.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        options = zip(EDGES, checked(architecture, self.choices), strict=True)
        edges = [(into, f"{OPERATIONS[option]}~{source}") for (source, into), option in options]
        into_nodes = ("|".join(text for into, text in edges if into == node) for node in range(1, _NODES))
        return "+".join(f"|{text}|" for text in into_nodes)

    def describe(self, architecture: Architecture) -> dict[str, JsonValue]:
        return {"arch_str": self.to_published(architecture), "code": self.to_code(architecture)}

    def from_description(self, description: JsonValue) -> Architecture:
        match description:
            case {"arch_str": str(text)} | {"code": str(text)} | str(text):
                return self.from_published(text) if "|" in text else self.from_code(text)
        raise ArchitectureError(
            f"a description of {self.name} is arch_str or code: a text of operations, or six digits"
        )


@dataclass(frozen=True)
class _Network:
    """Everything about a network that its cell does not decide.

    Attributes:
        channels: Of the first stage.
        cells: In each stage.
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
    """Appends the parts of a network."""

    def __init__(self, image_shape: tuple[int, int, int], *, searched: bool) -> None:
        super().__init__()
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
                if option == _NONE:
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
            for option in set(options) - {_NONE, _SKIP}:
                self._edge(f"{name}.node{into}.from{source}", option, tensor)
        for node, numbers in enumerate(terms, start=1):
            for n in sorted(numbers - {1}):
                self._node(f"{name}.node{node}", [tensor] * n, tensor)
        return tensor

    def _edge(self, slot: str, option: int, tensor: Tensor) -> Tensor:
        if option == _SKIP:
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
        present = [source for source in range(into) if options[EDGES.index((source, into))] != _NONE]
        reaching.append([source for source in present if source == 0 or reaching[source]])
    return reaching


def _numbers_of_terms(allowed: Sequence[Sequence[int]]) -> list[set[int]]:
    """Return for the nodes after the first how many terms they can have, with options ``allowed``."""
    edges = ({min(option, _SKIP) for option in options} for options in allowed)  # absent, or present
    cells = [_reaching(options) for options in itertools.product(*edges)]
    return [{len(cell[node]) for cell in cells} for node in range(1, _NODES)]
