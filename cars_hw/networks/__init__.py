"""What a network is, without weights: layers, operations, graphs, architectures. No torch."""

from typing import TYPE_CHECKING

from devices.foundation import lazy

if TYPE_CHECKING:
    from cars_hw.networks import layers
    from cars_hw.networks.architecture import Architecture, checked, from_text, to_text
    from cars_hw.networks.graph import IMAGE, Graph, Node, SoftGraph
    from cars_hw.networks.kinds import OperationKind
    from cars_hw.networks.operations import layers_of, macs, output_shape, parameters

__all__ = [
    "IMAGE",
    "Architecture",
    "Graph",
    "Node",
    "OperationKind",
    "SoftGraph",
    "checked",
    "from_text",
    "layers",
    "layers_of",
    "macs",
    "output_shape",
    "parameters",
    "to_text",
]

_HOMES = {
    "IMAGE": "cars_hw.networks.graph",
    "Architecture": "cars_hw.networks.architecture",
    "Graph": "cars_hw.networks.graph",
    "Node": "cars_hw.networks.graph",
    "OperationKind": "cars_hw.networks.kinds",
    "SoftGraph": "cars_hw.networks.graph",
    "checked": "cars_hw.networks.architecture",
    "from_text": "cars_hw.networks.architecture",
    "layers": "cars_hw.networks.layers",
    "layers_of": "cars_hw.networks.operations",
    "macs": "cars_hw.networks.operations",
    "output_shape": "cars_hw.networks.operations",
    "parameters": "cars_hw.networks.operations",
    "to_text": "cars_hw.networks.architecture",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)
