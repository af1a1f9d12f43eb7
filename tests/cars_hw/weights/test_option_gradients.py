"""Option gradients against shares that are written out, and against finite differences."""

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Node
from cars_hw.spaces._space import SearchSpace
from cars_hw.spaces.darts import Darts
from cars_hw.weights.option_gradients import option_gradients
from cars_hw.weights.supernet import SuperNet
from tests.fakes.chains import CONV3, CONV5, RESIDUAL, SKIP, ChainSpace, SubsetSpace

CHAIN, SUBSETS = ChainSpace(), SubsetSpace()
DARTS = Darts(deploy="search", channels=2, cells=3, image_size=8, image_channels=1, classes=3)
#: Multiplies what the chosen and the other option of a decision compute.
Shares = Sequence[tuple[Tensor | float, Tensor | float]]


def weights(space: SearchSpace) -> SuperNet:
    return SuperNet(space, seed=3).double()


def batch(space: SearchSpace, n: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(n, *space.image_shape, generator=generator, dtype=torch.float64)
    return images, torch.arange(n) % 3


def units(supernet: SuperNet, option: int, layer: int) -> list[nn.Module]:
    """Return the modules of an option of a chain's layer, in order."""
    architecture = tuple(option if d == 1 + layer else 0 for d in range(4))
    nodes = supernet.space.graph(architecture).nodes[1:-1]
    return [supernet.unit(node) for node in nodes]


def run_option(supernet: SuperNet, option: int, layer: int, tensor: Tensor) -> Tensor:
    if option == SKIP:
        return tensor
    first, *others = units(supernet, option, layer)
    if option != RESIDUAL:
        return tensor_of(first(tensor))
    return tensor + tensor_of(others[0](first(tensor)))


def tensor_of(value: Tensor) -> Tensor:
    return value


def chain_with_shares(
    supernet: SuperNet, chosen: Architecture, other: Architecture, shares: Shares
) -> Tensor:
    """Return the loss of a chain whose layers compute out + p out - sg(p) out + ..., written out."""
    images, labels = batch(CHAIN)
    stem, *_, classifier = CHAIN.graph(chosen).nodes
    tensor = tensor_of(supernet.unit(stem)(images))
    for layer, (mine, its) in enumerate(shares):
        outputs = run_option(supernet, chosen[1 + layer], layer, tensor)
        if chosen[1 + layer] != other[1 + layer]:
            with torch.no_grad():
                alternative = run_option(supernet, other[1 + layer], layer, tensor)
            outputs = outputs * (1 + mine) + alternative * its
        tensor = outputs
    return functional.cross_entropy(supernet.unit(classifier)(tensor), labels)


PAIRS = [
    ((0, CONV3, CONV3, CONV3), (0, CONV5, SKIP, RESIDUAL)),
    ((0, SKIP, SKIP, SKIP), (0, CONV3, CONV5, RESIDUAL)),
    ((0, RESIDUAL, RESIDUAL, SKIP), (0, CONV5, SKIP, SKIP)),
]


@pytest.mark.parametrize(("chosen", "other"), PAIRS)
def test_they_are_the_gradients_of_shares_written_out(chosen: Architecture, other: Architecture) -> None:
    supernet = weights(CHAIN)
    found = option_gradients(supernet, chosen, other, *batch(CHAIN))
    mine, its = (torch.zeros(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    loss = chain_with_shares(supernet, chosen, other, list(zip(mine, its, strict=True)))
    expected = torch.autograd.grad(loss, (mine, its))
    assert found.loss == pytest.approx(loss.item(), rel=1e-12)
    assert found.chosen == pytest.approx((0.0, *expected[0].tolist()), rel=1e-9, abs=1e-15)
    assert found.other == pytest.approx((0.0, *expected[1].tolist()), rel=1e-9, abs=1e-15)
    for decision, (a, b) in enumerate(zip(chosen, other, strict=True)):
        assert (found.chosen[decision] != 0.0) == (a != b)


@pytest.mark.parametrize(("chosen", "other"), PAIRS)
def test_they_are_what_finite_differences_measure(chosen: Architecture, other: Architecture) -> None:
    supernet = weights(CHAIN)
    found = option_gradients(supernet, chosen, other, *batch(CHAIN))

    def slope(layer: int, *, of_other: bool) -> float:
        losses = []
        for step in (1e-5, -1e-5):
            shares = [(0.0, 0.0)] * 3
            shares[layer] = (0.0, step) if of_other else (step, 0.0)
            with torch.no_grad():
                losses.append(chain_with_shares(supernet, chosen, other, shares).item())
        return (losses[0] - losses[1]) / 2e-5

    for layer in range(3):
        mine, its = slope(layer, of_other=False), slope(layer, of_other=True)
        assert found.chosen[1 + layer] == pytest.approx(mine, rel=1e-5, abs=1e-8)
        assert found.other[1 + layer] == pytest.approx(its, rel=1e-5, abs=1e-8)


def gradients_by_shares(supernet: SuperNet, chosen: Architecture, other: Architecture) -> list[float]:
    """Return the gradients by the shares of the first layer's two subsets, written out."""
    images, labels = batch(SUBSETS)
    nodes = {node.slot: node for node in SUBSETS.graph((1, 1, 1, 1)).nodes}

    def run(slot: str, tensor: Tensor) -> Tensor:
        return tensor_of(supernet.unit(nodes[slot])(tensor))

    def subset(layer: int, options: Sequence[int], tensor: Tensor) -> Tensor:
        return sum((run(f"layer{layer}.branch{k}", tensor) for k, on in enumerate(options) if on), tensor)

    stem = run("stem", images)
    share_s, share_u = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    out = subset(0, chosen[:2], stem) * (1 + share_s) + subset(0, other[:2], stem).detach() * share_u
    loss = functional.cross_entropy(run("classifier", subset(1, chosen[2:], out)), labels)
    return [gradient.item() for gradient in torch.autograd.grad(loss, (share_s, share_u))]


def test_branches_of_one_sum_change_together() -> None:
    supernet = weights(SUBSETS)
    chosen, other = (0, 0, 0, 1), (1, 1, 0, 1)
    found = option_gradients(supernet, chosen, other, *batch(SUBSETS))
    mine, its = gradients_by_shares(supernet, chosen, other)
    assert found.chosen == pytest.approx((mine, mine, 0.0, 0.0), rel=1e-9)
    assert found.other == pytest.approx((its, its, 0.0, 0.0), rel=1e-9)


def test_what_two_sums_of_one_length_share_is_left_out_of_both() -> None:
    supernet = weights(SUBSETS)
    chosen, other = (1, 0, 0, 1), (0, 1, 0, 1)
    found = option_gradients(supernet, chosen, other, *batch(SUBSETS))
    mine, its = gradients_by_shares(supernet, chosen, other)
    assert found.chosen[0] == found.chosen[1]
    assert found.chosen[0] - found.other[0] == pytest.approx(mine - its, rel=1e-9)


def test_an_option_of_a_cell_counts_in_every_cell() -> None:
    """A decision of a normal cell stands in all of them: its gradient is the sum over the cells."""
    space = Darts(deploy="search", channels=2, cells=5, image_size=8, image_channels=1, classes=3)
    decision = 10  # the operation on the earlier edge into the last node of a normal cell
    chosen = (0, 3, 4) * 8
    other = (*chosen[:decision], 4, *chosen[decision + 1 :])
    supernet = weights(space)
    images, labels = batch(space)
    found = option_gradients(supernet, chosen, other, images, labels)

    share = torch.zeros((), dtype=torch.float64, requires_grad=True)
    nodes: dict[str, Node] = {node.slot: node for node in space.graph(chosen).nodes}
    for index in (0, 2, 4):
        unit = supernet.unit(nodes[f"cell{index}.node3.from0"])
        unit.register_forward_hook(lambda *arguments: arguments[-1] * (1 + share))
    (expected,) = torch.autograd.grad(functional.cross_entropy(supernet(images, chosen), labels), share)
    assert found.chosen[decision] == pytest.approx(expected.item(), rel=1e-9)
    assert [d for d, value in enumerate(found.chosen) if value] == [decision]


@pytest.mark.parametrize("seeds", [(0, 1), (1, 2), (2, 3)])
def test_nothing_of_the_weights_changes(seeds: tuple[int, int]) -> None:
    supernet = weights(DARTS)
    before = copy.deepcopy(supernet.state_dict())
    chosen, other = ((0, seed, 6 - seed) * 8 for seed in seeds)
    option_gradients(supernet, chosen, other, *batch(DARTS))
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert all(parameter.grad is None for parameter in supernet.parameters())
    assert all(norm.track_running_stats for norm in supernet.modules() if isinstance(norm, nn.BatchNorm2d))


def test_equal_architectures_have_a_loss_and_no_gradients() -> None:
    supernet = weights(CHAIN)
    images, labels = batch(CHAIN)
    chosen = (0, CONV3, SKIP, RESIDUAL)
    found = option_gradients(supernet, chosen, chosen, images, labels)
    assert found.loss == pytest.approx(functional.cross_entropy(supernet(images, chosen), labels).item())
    assert found.chosen == found.other == (0.0,) * 4
