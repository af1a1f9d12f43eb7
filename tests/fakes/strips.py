"""A space from outside whose networks have an operation kind from outside."""

from collections.abc import Iterator

from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.spaces import Scale, SearchSpace
from latency_tables import OpSpec
from tests.fakes.strip import Strip


class Strips(SearchSpace):
    """Two strips, each of kernel 3 or 5, and a classifier."""

    kinds = (Strip(),)
    choices = (2, 2)
    groups = ((0,), (1,))
    image_shape = (4, 8, 8)
    classes = 10
    deploys_search_graph = True

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        strips = [_strip(d, option) for d, option in enumerate(checked(architecture, self.choices))]
        return Graph((*strips, _classifier()))

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        for decision, options in enumerate(self.allowed):
            yield from (_strip(decision, option) for option in options)
        yield _classifier()


def _strip(decision: int, option: int) -> Node:
    spec = OpSpec.of("strip", (1, 4, 8, 8), out=4, kernel=2 * option + 3)
    return Node(f"layer{decision}", spec, (f"layer{decision - 1}" if decision else IMAGE,))


def _classifier() -> Node:
    return Node("classifier", OpSpec.of("classifier", (1, 4, 8, 8), out=10), ("layer1",))
