import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import backward
from torch.nn import functional

from cars_hw.architecture import Architecture
from cars_hw.graph import Node
from cars_hw.spaces.darts import OPERATIONS, Darts
from cars_hw.supernet import SuperNet
from devices._errors import ArchitectureError

CELLS = 3
SPACE = Darts(deploy="search", channels=4, cells=CELLS, image_size=8, image_channels=2, classes=3)
ARCHITECTURES = [SPACE.sample(np.random.default_rng(seed)) for seed in range(3)]


@pytest.fixture
def supernet() -> SuperNet:
    return SuperNet(SPACE, seed=1).double()


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(n, *SPACE.image_shape, generator=generator, dtype=torch.float64)
    return images, torch.arange(n) % SPACE.classes


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


class DenseReference:
    """All operations on all edges, times a 0/1 mask, as the MixedOp of DARTS computes it."""

    def __init__(self, supernet: SuperNet) -> None:
        self._supernet = supernet
        self._units = {(node.slot, *_operation(node)): node for node in SPACE.all_nodes("search")}

    def __call__(self, image: Tensor, architecture: Architecture) -> Tensor:
        genotype = SPACE.to_genotype(architecture)
        before = last = self._run(("stem",), image)
        for index in range(CELLS):
            edges = genotype.reduce if index in (CELLS // 3, 2 * CELLS // 3) else genotype.normal
            before, last = last, self._cell(f"cell{index}", set(_placed(edges)), before, last)
        return self._run(("classifier",), last)

    def _cell(self, name: str, chosen: set[tuple[int, str, int]], before: Tensor, last: Tensor) -> Tensor:
        states = [self._run((f"{name}.preprocess0",), before), self._run((f"{name}.preprocess1",), last)]
        for node in range(4):
            terms = [
                float((node, operation, j) in chosen)
                * self._option(f"{name}.node{node}.from{j}", operation, state)
                for j, state in enumerate(states)
                for operation in OPERATIONS
            ]
            states.append(torch.stack(terms).sum(0))
        return torch.cat(states[2:], dim=1)

    def _option(self, slot: str, operation: str, state: Tensor) -> Tensor:
        return self._run((slot, operation), state) if (slot, operation) in self._units else state

    def _run(self, key: tuple[str, ...], image: Tensor) -> Tensor:
        output: Tensor = self._supernet.unit(self._units[key])(image)
        return output


def _operation(node: Node) -> tuple[str, ...]:
    """Name the operation of an edge as published; nothing for other nodes."""
    if ".from" not in node.slot:
        return ()
    if node.spec.kind == "factorized_reduce":
        return ("skip_connect",)
    kernel = node.spec.integer("kernel")
    return (f"{node.spec.kind}_{kernel}x{kernel}",)


def _placed(edges: tuple[tuple[str, int], ...]) -> Iterator[tuple[int, str, int]]:
    for place, (operation, predecessor) in enumerate(edges):
        yield place // 2, operation, predecessor


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_are_those_of_the_dense_computation_with_a_mask(
    supernet: SuperNet, architecture: Architecture
) -> None:
    images, labels = batch()
    dense = copy.deepcopy(supernet)
    backward(functional.cross_entropy(supernet(images, architecture), labels))
    backward(functional.cross_entropy(DenseReference(dense)(images, architecture), labels))
    for (name, sampled), masked in zip(supernet.named_parameters(), dense.parameters(), strict=True):
        assert masked.grad is not None
        if sampled.grad is None:
            assert masked.grad.abs().max() == 0, name
        else:
            assert (sampled.grad - masked.grad).norm() <= 1e-5 * masked.grad.norm(), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_extracted_network_computes_exactly_the_same(
    supernet: SuperNet, architecture: Architecture
) -> None:
    images, _ = batch()
    extracted = supernet.extract(architecture)
    assert sum(p.numel() for p in extracted.parameters()) == SPACE.graph(architecture).parameters()
    assert torch.equal(extracted(images), supernet(images, architecture))
    supernet.eval()
    extracted.eval()
    assert torch.equal(extracted(images), supernet(images, architecture))
    assert not supernet.extract(architecture).training


def test_an_extracted_network_owns_its_weights(supernet: SuperNet) -> None:
    images, _ = batch()
    before = snapshot(supernet)
    extracted = supernet.extract(ARCHITECTURES[0])
    backward(extracted(images).sum())
    with torch.no_grad():
        for parameter in extracted.parameters():
            parameter.add_(1)
    after = supernet.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in supernet.parameters())


def test_a_step_leaves_everything_off_the_path_bit_equal(supernet: SuperNet) -> None:
    images, labels = batch()
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for architecture in ARCHITECTURES[:2]:
        before = snapshot(supernet)
        momenta = {p: optimizer.state[p]["momentum_buffer"].clone() for p in optimizer.state}
        optimizer.zero_grad(set_to_none=True)
        backward(functional.cross_entropy(supernet(images, architecture), labels))
        optimizer.step()

        path = {id(supernet.unit(node)) for node in SPACE.graph(architecture).live.nodes}
        for name, unit in supernet.units.items():
            for key, tensor in unit.state_dict().items():
                same = torch.equal(tensor, before[f"units.{name}.{key}"])
                assert same == (id(unit) not in path), f"{name}.{key}"
            for parameter in unit.parameters():
                if parameter in momenta:
                    same = torch.equal(optimizer.state[parameter]["momentum_buffer"], momenta[parameter])
                    assert same == (id(unit) not in path), name


def test_initial_weights_depend_on_the_seed_alone_and_leave_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first = SuperNet(SPACE, seed=7).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(1)
    again, other = SuperNet(SPACE, seed=7).state_dict(), SuperNet(SPACE, seed=8).state_dict()
    assert list(first) == list(again) == list(other)
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_there_is_one_module_per_slot_and_spec() -> None:
    nodes = list(SPACE.all_nodes("search"))
    supernet = SuperNet(SPACE)
    assert len(supernet.units) == len(nodes) == len({(node.slot, node.spec) for node in nodes})
    assert len({id(supernet.unit(node)) for node in nodes}) == len(nodes)


def test_a_copy_is_independent(supernet: SuperNet) -> None:
    images, _ = batch()
    twin = copy.deepcopy(supernet)
    before = supernet.eval()(images, ARCHITECTURES[0])
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(supernet(images, ARCHITECTURES[0]), before)


def test_what_is_no_member_of_the_space_is_refused(supernet: SuperNet) -> None:
    with pytest.raises(ArchitectureError):
        supernet(batch()[0], (0, 1, 2))
