"""Small spaces whose layers may be skipped, have two operations, a width, or any subset of branches."""

import itertools
from collections.abc import Iterator

from cars_hw.networks import operations
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.spaces._space import Scale, SearchSpace
from latency_tables.spec import OpSpec

#: Options of a layer of ``ChainSpace``.
SKIP, CONV3, CONV5, RESIDUAL = range(4)


class _Exhaustive(SearchSpace):
    """A space so small that its nodes are found by going through all of it."""

    image_shape = (2, 4, 4)
    classes = 3
    deploys_search_graph = True

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        found: dict[tuple[str, OpSpec], Node] = {}
        for architecture in itertools.product(*self.allowed):
            for node in self.graph(architecture).nodes:
                found.setdefault((node.slot, node.spec), node)
        yield from found.values()


class ChainSpace(_Exhaustive):
    """A stem, layers that are skipped or not, and a classifier; the first decision is the width of them all.

    Args:
        n_layers: How many layers.
        widths: Of the first decision.
    """

    def __init__(self, n_layers: int = 3, widths: tuple[int, ...] = (4,)) -> None:
        super().__init__()
        self._widths = widths
        self.choices = (len(widths), *(4,) * n_layers)
        self.groups = tuple((decision,) for decision in range(1 + n_layers))
        self.absent = (0, *(SKIP,) * n_layers)

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        width, *options = checked(architecture, self.choices)
        nodes = [_conv("stem", IMAGE, (1, *self.image_shape), self._widths[width])]
        shape = (1, self._widths[width], 4, 4)
        for i, option in enumerate(options):
            last = nodes[-1].slot
            if option in (CONV3, CONV5):
                nodes.append(_conv(f"layer{i}", last, shape, shape[1], kernel=2 * option + 1))
            elif option == RESIDUAL:
                nodes.append(_conv(f"layer{i}.expand", last, shape, 6))
                nodes.append(_conv(f"layer{i}.project", f"layer{i}.expand", (1, 6, 4, 4), shape[1]))
                nodes.append(_sum(f"layer{i}.sum", (last, f"layer{i}.project"), shape))
        nodes.append(_classifier(nodes[-1].slot, shape))
        return Graph(tuple(nodes))


class SubsetSpace(_Exhaustive):
    """Layers that sum any subset of two branches, and the layer's input; a decision each branch."""

    choices = (2, 2, 2, 2)
    groups = ((0, 1), (2, 3))

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        options = checked(architecture, self.choices)
        shape = (1, 4, 4, 4)
        nodes = [_conv("stem", IMAGE, (1, *self.image_shape), 4)]
        for i, group in enumerate(self.groups):
            last = nodes[-1].slot
            branches = [
                _conv(f"layer{i}.branch{k}", last, shape, 4, kernel=2 * k + 1)
                for k, decision in enumerate(group)
                if options[decision]
            ]
            if branches:
                inputs = (last, *(branch.slot for branch in branches))
                nodes += [*branches, _sum(f"layer{i}.sum", inputs, shape)]
        nodes.append(_classifier(nodes[-1].slot, shape))
        return Graph(tuple(nodes))


def _conv(slot: str, before: str, shape: tuple[int, ...], out: int, *, kernel: int = 1) -> Node:
    spec = OpSpec.of("conv_bn", shape, out=out, kernel=kernel, stride=1, affine=1)
    assert operations.output_shape(spec) == (1, out, 4, 4)
    return Node(slot, spec, (before,))


def _sum(slot: str, inputs: tuple[str, ...], shape: tuple[int, ...]) -> Node:
    return Node(slot, OpSpec.of("sum", shape, inputs=len(inputs)), inputs)


def _classifier(before: str, shape: tuple[int, ...]) -> Node:
    return Node("classifier", OpSpec.of("classifier", shape, out=3), (before,))
