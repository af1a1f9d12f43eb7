"""The smallest space with a choice: two convolutions, the first of two kernels."""

from collections.abc import Iterator

from cars_hw.architecture import Architecture, checked
from cars_hw.graph import IMAGE, Graph, Node
from cars_hw.spaces._space import Scale
from latency_tables.spec import OpSpec
from tests.fakes.tabular import TinySpace


class TwoOptions(TinySpace):
    """Two networks of two operations, each many times as long as a call: noise does not hide them."""

    name = "two_options"
    image_shape = (32, 32, 32)

    def __init__(self) -> None:
        super().__init__((2, 1), ((0,), (1,)))

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        options = enumerate(checked(architecture, self.choices))
        return Graph(tuple(_node(decision, option) for decision, option in options))

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        for decision, options in enumerate(self.allowed):
            yield from (_node(decision, option) for option in options)


def _node(decision: int, option: int) -> Node:
    spec = OpSpec.of("conv_bn", (1, 32, 32, 32), out=32, kernel=4 * option + 1, stride=1, affine=1)
    return Node(f"node{decision}", spec, (f"node{decision - 1}" if decision else IMAGE,))
