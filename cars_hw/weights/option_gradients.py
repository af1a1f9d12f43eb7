"""Option gradients: how the loss answers to the shares of two options, wherever they re-join.

Y. Ci, C. Lin, M. Sun, B. Chen, H. Zhang, W. Ouyang, "Evolving Search Space for Neural Architecture Search",
ICCV 2021, arXiv 2011.10904: a layer computes out_S (1 + p_S - sg(p_S)) + sg(out_U) (p_U - sg(p_U)) for two
subsets S and U of its operations, where sg stops the gradient. Its value is out_S; the gradient of the loss
with respect to p_S is <dL/d(out), out_S>, that with respect to p_U <dL/d(out), out_U>.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.networks.joins import OUTPUT, Join, by_slot, changed, joins
from cars_hw.trainer import OptionGradients
from cars_hw.weights.batch_norm import frozen
from cars_hw.weights.placement import wide
from cars_hw.weights.supernet import SuperNet

#: Slot of a node, and position of one of its inputs.
_Edge = tuple[str, int]


@dataclass(frozen=True)
class _Variation:
    """What one decision changes.

    Attributes:
        graph: The chosen network with the other options of the decision's group.
        joins: Where the decision's options re-join.
    """

    graph: Graph
    joins: tuple[Join, ...]


def option_gradients(
    supernet: SuperNet, chosen: Architecture, other: Architecture, images: Tensor, labels: Tensor
) -> OptionGradients:
    """Return the gradients of ``Trainer.option_gradients``, for one batch.

    Args:
        supernet: The weights; neither they nor any statistics change.
        chosen: The architecture that runs.
        other: The one whose options are compared.
        images: Normalised, (n, c, h, w).
        labels: (n,).
    """
    graph = supernet.space.graph(chosen).live
    variations = _variations(supernet, chosen, other, graph)
    edges = {(join.reader, join.position) for found in variations.values() for join in found.joins}
    supernet.train()
    with frozen(supernet):
        tensors, read = _run(supernet, graph, images, edges)
        loss = functional.cross_entropy(read.get((OUTPUT, 0), tensors[graph.nodes[-1].slot]), labels)
        gradients = (
            dict(zip(read, torch.autograd.grad(loss, list(read.values())), strict=True)) if read else {}
        )
        with torch.no_grad():
            products = [
                number
                for found in variations.values()
                for number in _products(supernet, graph, found, tensors, gradients)
            ]
    # All numbers at once: each that is read alone waits for the device anew.
    loss_read, *numbers = torch.stack([loss.detach().to(wide(loss.device)), *products]).tolist()
    pairs = dict(zip(variations, zip(numbers[::2], numbers[1::2], strict=True), strict=True))
    own, its = zip(*(pairs.get(decision, (0.0, 0.0)) for decision in range(len(chosen))), strict=True)
    return OptionGradients(loss_read, own, its)


def _variations(
    supernet: SuperNet, chosen: Architecture, other: Architecture, graph: Graph
) -> dict[int, _Variation]:
    """Return what each decision that differs changes, together with those of its group."""
    found = {}
    for group in supernet.space.groups:
        differing = [decision for decision in group if chosen[decision] != other[decision]]
        together = supernet.space.graph(_mixed(chosen, other, differing))
        joint = _joins(graph, together)
        for decision in differing:
            alone = _joins(graph, supernet.space.graph(_mixed(chosen, other, [decision])))
            # A decision that re-joins elsewhere alone than with its group has no join of its own there: it
            # takes all of the group's.
            own = tuple(join for edge, join in joint.items() if edge in alone)
            found[decision] = _Variation(together, own or tuple(joint.values()))
    return found


def _mixed(chosen: Architecture, other: Architecture, decisions: Sequence[int]) -> Architecture:
    return tuple(other[d] if d in decisions else option for d, option in enumerate(chosen))


def _joins(graph: Graph, other: Graph) -> dict[_Edge, Join]:
    found = joins(graph, other, changed(graph, other))
    return {(join.reader, join.position): join for join in found}


def _run(
    supernet: SuperNet, graph: Graph, images: Tensor, edges: set[_Edge]
) -> tuple[dict[str, Tensor], dict[_Edge, Tensor]]:
    """Run ``graph``; return all its tensors, and those read along ``edges``, each apart from other reads.

    Args:
        supernet: The weights.
        graph: The chosen network.
        images: ``(n, c, h, w)``.
        edges: The reads whose gradients are wanted.

    Returns:
        The tensors by slot, feature maps ``(n, c, h, w)`` and the logits ``(n, classes)``, and views of some
        of them by reader and position.
    """
    tensors = {IMAGE: images}
    read: dict[_Edge, Tensor] = {}

    def reading(reader: str, position: int, slot: str) -> Tensor:
        if (reader, position) not in edges:
            return tensors[slot]
        # A view of its own, so that the gradient is that of this read, and not of all that read the tensor.
        apart = tensors[slot].view_as(tensors[slot])
        read[reader, position] = apart if apart.requires_grad else apart.requires_grad_()
        return apart

    for node in graph.nodes:
        inputs = [reading(node.slot, position, slot) for position, slot in enumerate(node.inputs)]
        tensors[node.slot] = supernet.unit(node)(*inputs)
    reading(OUTPUT, 0, graph.nodes[-1].slot)
    return tensors, read


def _products(
    supernet: SuperNet,
    graph: Graph,
    variation: _Variation,
    tensors: Mapping[str, Tensor],
    gradients: Mapping[_Edge, Tensor],
) -> tuple[Tensor, Tensor]:
    """Return <dL/d(out), out_S> and <dL/d(out), out_U>, summed over the joins of a decision, on the device.

    Args:
        supernet: The weights.
        graph: The chosen network.
        variation: What the decision changes.
        tensors: Those of the chosen network by slot, (n, c, h, w) each.
        gradients: Those of the loss by what is read along each edge, of the same shapes.
    """
    other = _Other(supernet, by_slot(graph), by_slot(variation.graph), tensors)
    device = next(iter(tensors.values())).device
    mine = its = torch.zeros((), dtype=wide(device), device=device)
    for join in variation.joins:
        gradient = gradients[join.reader, join.position]
        mine = mine + (gradient * tensors[join.tensor]).sum().to(mine.dtype)
        its = its + (gradient * other.tensor(join.other)).sum().to(its.dtype)
    return mine, its


class _Other:
    """Tensors of another option, computed from those of the chosen network."""

    def __init__(
        self,
        supernet: SuperNet,
        mine: Mapping[str, Node],
        its: Mapping[str, Node],
        tensors: Mapping[str, Tensor],
    ) -> None:
        self._supernet, self._mine, self._its = supernet, mine, its
        self._tensors = tensors
        self._computed: dict[str, Tensor] = {}

    def tensor(self, slot: str) -> Tensor:
        """Return what the other network has at ``slot``, ``(n, c, h, w)`` or logits ``(n, classes)``.

        It is computed from the nearest tensors that both networks have.
        """
        if slot == IMAGE or (slot in self._mine and self._mine[slot].spec == self._its[slot].spec):
            return self._tensors[slot]
        if slot not in self._computed:
            node = self._its[slot]
            self._computed[slot] = self._supernet.unit(node)(*map(self.tensor, node.inputs))
        return self._computed[slot]
