"""A tiny space of branches, whose costs are sums over its layers, and its rounds in milliseconds."""

from collections.abc import Iterator

from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.spaces._space import BranchSet, Scale, SearchSpace
from latency_tables.spec import OpSpec


class BranchSpace(SearchSpace):
    """Layers of ``operations`` possible branches; the first layer needs one, the others do not.

    Branch o is a convolution with kernel 2 o + 1.
    """

    image_shape = (4, 8, 8)
    classes = 4
    deploys_search_graph = True

    def __init__(self, *, layers: int = 3, operations: int = 4, most: int = 3) -> None:
        super().__init__()
        self.choices = (2,) * (layers * operations)
        self.groups = tuple(
            tuple(range(start, start + operations)) for start in range(0, layers * operations, operations)
        )
        self.branch_sets = tuple(
            BranchSet(group, fewest=int(i == 0), most=most) for i, group in enumerate(self.groups)
        )

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        checked(architecture, self.choices)
        nodes: list[Node] = []
        last = IMAGE
        for layer, group in enumerate(self.groups):
            chosen = [o for o, decision in enumerate(group) if architecture[decision]]
            terms = [_node(layer, o, last) for o in chosen or [0] * (layer == 0)]
            nodes += terms
            if terms:
                inputs = tuple(node.slot for node in terms)
                mean = OpSpec.of("mean", (1, 4, 8, 8), inputs=len(inputs))
                last = f"layer{layer}.mean"
                nodes.append(Node(last, mean, inputs))
        return Graph(tuple(nodes))

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        raise NotImplementedError("no weights are ever shared here")


def _node(layer: int, operation: int, source: str) -> Node:
    spec = OpSpec.of("conv_bn", (1, 4, 8, 8), out=4, kernel=2 * operation + 1, stride=1, affine=1)
    return Node(f"layer{layer}.{operation}", spec, (source,))
