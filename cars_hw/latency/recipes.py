"""What a network's module follows from, as a short text: by it, what was lowered of it is found again."""

from cars_hw.networks.graph import Graph, unique_specs
from cars_hw.networks.operations import layers_of
from devices.foundation import code_digest, key_of

#: The packages whose code makes a module of a graph.
_CODE = ("cars_hw.networks", "cars_hw.weights")


def recipe(graph: Graph, *how: str) -> str:
    """Return a text that is another one for any other module of a graph.

    It spells out the layers of each operation, since a kind of operation may be from outside.

    Args:
        graph: The network.
        how: What else its module follows from.
    """
    nodes = [f"{node.slot} {node.spec} {' '.join(node.inputs)}" for node in graph.nodes]
    layers = [f"{spec} {layers_of(spec)!r}" for spec in unique_specs(graph.nodes)]
    return key_of("\n".join(nodes), "\n".join(layers), code_digest(*_CODE), *how)
