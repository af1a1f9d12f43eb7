import copy
import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import backward
from torch.nn import functional

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Node, soft_weights
from cars_hw.spaces.darts import OPERATIONS, Darts
from cars_hw.weights.supernet import SuperNet
from tests.fakes.chains import CONV3, CONV5, RESIDUAL, SKIP, ChainSpace

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
            before, last = last, self._cell(f"cell{index}", set(_by_node(edges)), before, last)
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


def _by_node(edges: tuple[tuple[str, int], ...]) -> Iterator[tuple[int, str, int]]:
    for edge, (operation, predecessor) in enumerate(edges):
        yield edge // 2, operation, predecessor


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


def test_a_packed_supernet_is_taken_over_by_one_that_has_the_same_modules_and_by_no_other(
    supernet: SuperNet,
) -> None:
    supernet(batch()[0], supernet.space.sample(np.random.default_rng(0)))  # moves statistics
    packed = {name: one.clone() for name, one in supernet.packed().items()}
    other = SuperNet(supernet.space, seed=2).double()
    other.unpack(packed)
    own, its = supernet.state_dict(), other.state_dict()
    assert own.keys() == its.keys()
    assert all(torch.equal(own[name], its[name]) for name in own)
    other.activate(restricted(SPACE))
    with pytest.raises(RuntimeError, match="split"):
        other.unpack(packed)


def test_what_is_no_member_of_the_space_is_refused(supernet: SuperNet) -> None:
    with pytest.raises(ArchitectureError):
        supernet(batch()[0], (0, 1, 2))


def soft_reference(supernet: SuperNet, image: Tensor, architecture: Architecture) -> Tensor:
    """Compute every operation on every edge times its weight, with loops over what DARTS calls a cell."""
    reference = DenseReference(supernet)
    genotype = SPACE.to_genotype(architecture)
    before = last = reference._run(("stem",), image)
    for index in range(CELLS):
        edges = genotype.reduce if index in (CELLS // 3, 2 * CELLS // 3) else genotype.normal
        chosen = {(node, source): operation for node, operation, source in _by_node(edges)}
        name = f"cell{index}"
        states = [
            reference._run((f"{name}.preprocess0",), before),
            reference._run((f"{name}.preprocess1",), last),
        ]
        for node in range(4):
            total = torch.zeros(())
            for j, state in enumerate(states):
                kept = chosen.get((node, j))
                scores = [float(operation == kept) for operation in ("none", *OPERATIONS)]
                weights = torch.tensor(scores, dtype=torch.float64).softmax(0).tolist()
                for operation, weight in zip(OPERATIONS, weights[1:], strict=True):
                    total = total + weight * reference._option(f"{name}.node{node}.from{j}", operation, state)
            states.append(total)
        before, last = last, torch.cat(states[2:], dim=1)
    return reference._run(("classifier",), last)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_soft_path_is_the_dense_computation_with_softmax_weights(
    supernet: SuperNet, architecture: Architecture
) -> None:
    images, labels = batch()
    dense = copy.deepcopy(supernet)
    outputs, expected = (
        supernet.forward_soft(images, architecture),
        soft_reference(dense, images, architecture),
    )
    torch.testing.assert_close(outputs, expected, rtol=1e-9, atol=1e-12)
    backward(functional.cross_entropy(outputs, labels))
    backward(functional.cross_entropy(expected, labels))
    for (name, soft), naive in zip(supernet.named_parameters(), dense.parameters(), strict=True):
        assert soft.grad is not None, name
        assert naive.grad is not None
        torch.testing.assert_close(soft.grad, naive.grad, rtol=1e-6, atol=1e-9)


def test_a_soft_path_of_a_chain_mixes_each_layer() -> None:
    space = ChainSpace(1)
    supernet = SuperNet(space).double()
    images = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    stem, *_, classifier = space.graph((0, SKIP)).nodes
    image = supernet.unit(stem)(images)
    conv3, conv5 = (supernet.unit(space.graph((0, option)).nodes[1])(image) for option in (CONV3, CONV5))
    expand, project, _ = space.graph((0, RESIDUAL)).nodes[1:-1]
    options = [image, conv3, conv5, image + supernet.unit(project)(supernet.unit(expand)(image))]
    for chosen in range(4):
        mixed = torch.zeros(())
        for weight, output in zip(soft_weights(4, chosen), options, strict=True):
            mixed = mixed + weight * output
        torch.testing.assert_close(
            supernet.forward_soft(images, (0, chosen)),
            supernet.unit(classifier)(mixed),
            rtol=1e-9,
            atol=1e-12,
        )


def test_an_extracted_soft_network_computes_the_same_and_owns_its_weights(supernet: SuperNet) -> None:
    images, _ = batch()
    before = snapshot(supernet)
    extracted = supernet.extract(ARCHITECTURES[0], soft_path=True)
    extracted.eval()
    with torch.no_grad():
        expected = supernet.eval().forward_soft(images, ARCHITECTURES[0])
        assert torch.equal(extracted(images), expected)
        for parameter in extracted.parameters():
            parameter.add_(1)
    after = supernet.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def restricted(space: Darts) -> Darts:
    """Return the space with the first option that there is of every other decision."""
    return space.restrict([options[: 1 + d % 2] for d, options in enumerate(space.allowed)])


def test_a_restriction_keeps_its_modules_and_drops_all_others(supernet: SuperNet) -> None:
    smaller = restricted(SPACE)
    kept = [(node.slot, node.spec) for node in smaller.all_nodes("search")]
    before = {(node.slot, node.spec): supernet.unit(node) for node in SPACE.all_nodes("search")}
    references = {key: weakref.ref(unit) for key, unit in before.items()}
    same = [before[key] for key in kept]
    del before
    supernet.activate(smaller)
    gc.collect()
    assert len(kept) < len(references) / 2
    assert [key for key, reference in references.items() if reference() is not None] == [
        key for key in references if key in kept
    ]
    assert [id(unit) for unit in supernet.units.values()] == [id(unit) for unit in same]


def test_new_operations_get_weights_that_follow_from_the_seed_alone(supernet: SuperNet) -> None:
    smaller = restricted(SPACE)
    kept = snapshot(supernet)
    supernet.activate(smaller)
    supernet.activate(SPACE)
    other = SuperNet(SPACE, seed=1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.activate(smaller)
    other.double().activate(SPACE)
    common = tuple(f"units.{name}." for name in SuperNet(smaller).units)
    fresh = other.state_dict()
    for name, tensor in supernet.state_dict().items():
        assert torch.equal(tensor, kept[name] if name.startswith(common) else fresh[name]), name
        assert tensor.dtype in (torch.float64, torch.int64)


def test_a_reset_draws_every_weight_anew_and_each_time_others(supernet: SuperNet) -> None:
    drawn = [snapshot(supernet)]
    for _ in range(2):
        supernet.reset()
        drawn.append(snapshot(supernet))
    twin = SuperNet(SPACE, seed=1).double()
    twin.reset()
    assert all(torch.equal(tensor, drawn[1][name]) for name, tensor in twin.state_dict().items())
    for name, tensor in drawn[0].items():
        if tensor.ndim > 1:
            assert not torch.equal(tensor, drawn[1][name]), name
            assert not torch.equal(drawn[1][name], drawn[2][name]), name


def test_an_operation_that_was_dropped_is_refused(supernet: SuperNet) -> None:
    supernet.activate(SPACE.restrict([(0,)] * len(SPACE.choices)))
    assert supernet(batch()[0], (0,) * len(SPACE.choices)).shape == (6, 3)
    with pytest.raises(ArchitectureError, match="has no weights: the search has dropped it"):
        supernet(batch()[0], (0, 4, 4) * 8)


def test_a_path_has_the_weights_of_its_network_in_the_order_of_all(supernet: SuperNet) -> None:
    for architecture in ARCHITECTURES:
        live = SPACE.graph(architecture).live
        own = {id(weight) for node in live.nodes for weight in supernet.unit(node).parameters()}
        expected = [weight for weight in supernet.parameters() if id(weight) in own]
        path = supernet.path(architecture)
        assert [id(weight) for weight in path.parameters] == [id(weight) for weight in expected]
        assert path is supernet.path(architecture)


@pytest.mark.parametrize("soft_path", [False, True])
def test_what_runs_is_looked_up_anew_after_weights_were_made_anew(soft_path: bool) -> None:
    supernet, (images, _) = SuperNet(SPACE, seed=1).double(), batch()
    architecture = ARCHITECTURES[0]
    run = supernet.forward_soft if soft_path else supernet.forward
    before = run(images, architecture)
    supernet.reset()
    weights = {id(weight) for weight in supernet.parameters()}
    path = supernet.path(architecture, soft_path=soft_path)
    assert {id(weight) for weight in path.parameters} <= weights
    assert not torch.equal(run(images, architecture), before)


def test_what_a_restricted_space_dropped_does_not_run_any_more() -> None:
    supernet, (images, _) = SuperNet(SPACE, seed=1).double(), batch()
    first, other = ARCHITECTURES[:2]
    supernet(images, first)
    supernet.activate(SPACE.restrict([(option,) for option in other]))
    with pytest.raises(ArchitectureError, match="dropped"):
        supernet(images, first)
    supernet(images, other)


def test_a_copied_supernet_runs_its_own_weights(supernet: SuperNet) -> None:
    images, _ = batch()
    before = supernet(images, ARCHITECTURES[0])
    copied = copy.deepcopy(supernet)
    with torch.no_grad():
        for weight in supernet.parameters():
            weight.zero_()
    assert torch.equal(copied(images, ARCHITECTURES[0]), before)
    own = {id(weight) for weight in copied.parameters()}
    assert {id(weight) for weight in copied.path(ARCHITECTURES[0]).parameters} <= own


@pytest.mark.parametrize("soft_path", [False, True])
def test_a_shared_network_has_the_weights_themselves_and_statistics_of_its_own(
    supernet: SuperNet, soft_path: bool
) -> None:
    images, _ = batch()
    for architecture in ARCHITECTURES:
        shared = supernet.share(architecture, soft_path=soft_path)
        extracted = supernet.extract(architecture, soft_path=soft_path)
        weights = {id(weight) for weight in supernet.parameters()}
        assert {id(weight) for weight in shared.parameters()} <= weights
        before = snapshot(supernet)
        assert torch.equal(shared.train()(images), extracted.train()(images))
        assert torch.equal(shared.eval()(images), extracted.eval()(images))
        after = snapshot(supernet)
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert supernet.training
        assert all(module.training for module in supernet.modules())


def test_a_supernet_takes_over_all_weights_and_statistics_of_another(supernet: SuperNet) -> None:
    images, _ = batch()
    other = SuperNet(SPACE, seed=2).double()
    other(images, ARCHITECTURES[0])
    supernet.copy_from(other)
    expected = snapshot(other)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in snapshot(supernet).items())
    other(images, ARCHITECTURES[0])
    assert not all(torch.equal(tensor, expected[name]) for name, tensor in snapshot(other).items())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in snapshot(supernet).items())
