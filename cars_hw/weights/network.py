"""Network: one architecture as a stand-alone module."""

from collections.abc import Sequence

from torch import Tensor, nn

from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.weights import modules


class Network(nn.Module):
    """The modules of a graph: what is retrained, measured as a whole and exported.

    Nodes that do not reach the output have weights, so that these agree with ``graph.parameters()``.

    Args:
        graph: What to compute.
        units: The module of each of its nodes, in order; the network owns them.
        whole: Whether nodes that do not reach the output run too, as written; they change nothing.
    """

    def __init__(self, graph: Graph, units: Sequence[nn.Module], *, whole: bool = False) -> None:
        super().__init__()
        self.graph = graph
        self._running = graph if whole else graph.live
        self.units = nn.ModuleDict(
            {module_name(node.slot): unit for node, unit in zip(graph.nodes, units, strict=True)}
        )

    @classmethod
    def untrained(cls, graph: Graph, *, seed: int = 0, whole: bool = False) -> "Network":
        """Return a network with weights drawn from ``seed`` alone."""
        with modules.seeded(seed):
            return cls(graph, [modules.build(spec) for spec in graph.specs()], whole=whole)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (n, c, h, w) to the output of the last node: (n, classes)."""
        return run(self._running, [unit for _, unit in self._units_of(self._running)], image)

    def composed_of(self) -> list[tuple[Node, nn.Module]]:
        """Return the nodes that reach the output, and the module of each; runtimes lower them one by one."""
        return self._units_of(self.graph.live)

    def _units_of(self, graph: Graph) -> list[tuple[Node, nn.Module]]:
        return [(node, self.units[module_name(node.slot)]) for node in graph.nodes]


def run(graph: Graph, units: Sequence[nn.Module], image: Tensor) -> Tensor:
    """Compute ``graph`` with the module of each of its nodes, dropping each tensor after its last reader."""
    tensors = {IMAGE: image}
    for node, unit, released in zip(graph.nodes, units, graph.releases, strict=True):
        tensors[node.slot] = unit(*(tensors[slot] for slot in node.inputs))
        for slot in released:
            del tensors[slot]
    return tensors[graph.nodes[-1].slot]


def sharing(module: nn.Module) -> nn.Module:
    """Return a copy of ``module`` that has the same weights, and statistics and a mode of its own."""
    found = module.__new__(type(module))
    found.__dict__.update(module.__dict__)
    found.__dict__["_buffers"] = {
        name: None if buffer is None else buffer.clone() for name, buffer in module._buffers.items()
    }
    found.__dict__["_modules"] = {
        name: None if inner is None else sharing(inner) for name, inner in module._modules.items()
    }
    return found


def module_name(text: str) -> str:
    """Return ``text`` as a key of ``nn.ModuleDict``, which takes no dots."""
    return text.replace(".", "_")
