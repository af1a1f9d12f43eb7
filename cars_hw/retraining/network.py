"""The network as it is trained: paths into its sums are dropped, a second classifier reads its middle.

Drop-path: Larsson et al., "FractalNet", arXiv 1605.07648, as DARTS' released code has it: each operation of
an edge is left out of a sum for a share of the images, and counts more for the others; skip connections are
not left out.

The auxiliary classifier follows DARTS' released code: it reads the first output of a cell at the size that
the network ends with, which is the second reduction cell's. Differs from it: normalises after its second
convolution on ImageNet too, which that code leaves out by a mistake that it names.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cars_hw.networks import operations
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.weights import modules
from cars_hw.weights.network import Network, module_name

_SUMS = frozenset({"sum", "mean"})
#: Where the auxiliary classifier reads, the best place first; where there is none, any node will do.
_PLACES = (frozenset({"concat"}), _SUMS)
#: The other way around what halves the image: no operation that was chosen, so it is not dropped.
_SHORTCUTS = frozenset({"pool_conv"})
#: Channels of the two convolutions of the auxiliary classifier.
_NARROW, _WIDE = 128, 768
_POOL = 5


class TrainedNetwork(nn.Module):
    """A network with what it has during its training alone.

    Args:
        network: What is trained and kept.
        has_auxiliary: Whether there is an auxiliary classifier.
        seed: Of that one's weights.

    Attributes:
        network: What is trained and kept.
        auxiliary: The second classifier; ``None`` where there is none.
    """

    def __init__(self, network: Network, *, has_auxiliary: bool, seed: int) -> None:
        super().__init__()
        self.network = network
        self._graph = network.graph.live
        self._droppable = droppable_slots(self._graph)
        self._tap = auxiliary_slot(self._graph) if has_auxiliary else ""
        self.auxiliary = _auxiliary(self._graph, self._tap, seed) if has_auxiliary else None

    def forward(
        self, image: Tensor, *, drop_path: float = 0.0, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the logits of both classifiers, (n, classes) each, for images (n, c, h, w).

        Args:
            image: Normalised images.
            drop_path: Share of the paths that are dropped.
            generator: Draws which; of the CPU, so that it draws the same on every device.
        """
        tensors: dict[str, Tensor] = {IMAGE: image}
        second: Tensor | None = None
        for node, released in zip(self._graph.nodes, self._graph.releases, strict=True):
            unit = self.network.units[module_name(node.slot)]
            output: Tensor = unit(*(tensors[slot] for slot in node.inputs))
            if drop_path and node.slot in self._droppable:
                output = _dropped(output, drop_path, generator)
            if self.auxiliary is not None and node.slot == self._tap:
                second = self.auxiliary(output)
            tensors[node.slot] = output
            for slot in released:
                del tensors[slot]
        return tensors[self._graph.nodes[-1].slot], second


def droppable_slots(graph: Graph) -> frozenset[str]:
    """Return the nodes of ``graph`` that are a path of their own into a sum: what drop-path may leave out.

    Such a node is read by that sum alone, and stands below it, or above it, by its name: a tensor that a skip
    connection hands on belongs to what made it.
    """
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for slot in node.inputs:
            readers.setdefault(slot, []).append(node)
    return frozenset(
        node.slot
        for node in graph.nodes
        if node.spec.kind not in _SUMS | _SHORTCUTS
        and len(readers.get(node.slot, ())) == 1
        and _is_term(node.slot, readers[node.slot][0])
    )


def auxiliary_slot(graph: Graph) -> str:
    """Return the node of ``graph`` whose output the auxiliary classifier reads."""
    size = graph.nodes[-1].spec.input_shape[2:]
    last = [node for node in graph.nodes[:-1] if operations.output_shape(node.spec)[2:] == size]
    for kinds in _PLACES:
        found = [node.slot for node in last if node.spec.kind in kinds]
        if found:
            return found[0]
    return last[0].slot


def _is_term(slot: str, reader: Node) -> bool:
    place = reader.slot.rpartition(".")[0]
    return reader.spec.kind in _SUMS and place in (slot, slot.rpartition(".")[0])


def _dropped(tensor: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Return ``tensor`` (n, c, h, w) without ``share`` of its images, the others scaled to keep the mean."""
    kept = torch.rand(len(tensor), generator=generator) >= share
    return tensor * (kept.to(tensor.device, tensor.dtype) / (1 - share))[:, None, None, None]


def _auxiliary(graph: Graph, slot: str, seed: int) -> nn.Module:
    """Return the classifier of the tensor at ``slot``: (n, c, h, w) to (n, classes)."""
    [node] = [node for node in graph.nodes if node.slot == slot]
    _, channels, height, width = operations.output_shape(node.spec)
    with modules.seeded(seed):
        return nn.Sequential(
            nn.ReLU(),
            _pool(height, width),
            nn.Conv2d(channels, _NARROW, 1, bias=False),
            nn.BatchNorm2d(_NARROW),
            nn.ReLU(inplace=True),
            nn.Conv2d(_NARROW, _WIDE, 2, bias=False),
            nn.BatchNorm2d(_WIDE),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(_WIDE, operations.output_shape(graph.nodes[-1].spec)[1]),
        )


def _pool(height: int, width: int) -> nn.Module:
    """Return the pooling to 2x2 pixels: DARTS' window at its stride, where the image has room for two."""
    if min(height, width) > _POOL:
        return nn.AvgPool2d(_POOL, stride=(height - _POOL, width - _POOL), count_include_pad=False)
    return nn.AdaptiveAvgPool2d(2)


def smoothed_loss(
    outputs: tuple[Tensor, Tensor | None], labels: Tensor, *, smoothing: float, auxiliary_weight: float
) -> Tensor:
    """Return the mean cross-entropy of both classifiers, the second one's times its weight.

    Args:
        outputs: Logits (n, classes) of the network and, where there is one, of the auxiliary classifier.
        labels: (n,).
        smoothing: Share of the target that is spread over all classes.
        auxiliary_weight: The weight.
    """
    first, second = outputs
    loss = functional.cross_entropy(first.float(), labels, label_smoothing=smoothing)
    if second is None:
        return loss
    return loss + auxiliary_weight * functional.cross_entropy(
        second.float(), labels, label_smoothing=smoothing
    )
