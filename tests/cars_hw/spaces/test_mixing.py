"""Soft graphs made of hard ones: which options are mixed, with which weights, and from what they read."""

import math

import pytest

from cars_hw.networks.graph import WEIGHTED_SUM, SoftGraph, soft_weights
from cars_hw.networks.joins import by_slot
from cars_hw.spaces._space import SearchSpace
from cars_hw.testing._tabular import TinySpace
from tests.fakes.chains import CONV3, CONV5, RESIDUAL, SKIP, ChainSpace, SubsetSpace


def mixtures(soft: SoftGraph) -> dict[str, tuple[str, ...]]:
    """Return the inputs of the mixing nodes, by the slots of architectures."""
    return {
        node.slot: tuple(soft.shared.get(slot, slot) for slot in node.inputs)
        for node in soft.graph.nodes
        if node.spec.kind == WEIGHTED_SUM
    }


def test_weights_are_the_softmax_of_a_row_with_a_one() -> None:
    assert soft_weights(3, 1) == pytest.approx((1 / (2 + math.e), math.e / (2 + math.e), 1 / (2 + math.e)))
    assert soft_weights(4, None) == (0.25,) * 4
    assert sum(soft_weights(72, 5)) == pytest.approx(1)


def test_all_options_of_a_layer_are_mixed_behind_it() -> None:
    soft = ChainSpace(2).soft_graph((0, CONV5, SKIP))
    assert mixtures(soft) == {
        "layer0.sum~mix": ("stem", "layer0", "layer0", "layer0.sum"),
        "layer1.sum~mix": ("layer0.sum~mix", "layer1", "layer1", "layer1.sum"),
    }
    assert soft.weights["layer0.sum~mix"] == soft_weights(4, CONV5)
    assert soft.weights["layer1.sum~mix"] == soft_weights(4, SKIP)


def test_what_comes_after_a_place_reads_the_mixture_and_the_options_what_comes_before() -> None:
    nodes = by_slot(ChainSpace(2).soft_graph((0, SKIP, SKIP)).graph)
    assert nodes["classifier"].inputs == ("layer1.sum~mix",)
    assert nodes["layer1.expand"].inputs == ("layer0.sum~mix",)
    assert nodes["layer1.project"].inputs == ("layer1.expand",)
    assert nodes["layer1.sum"].inputs == ("layer0.sum~mix", "layer1.project")
    kernels = sorted(
        node.spec.integer("kernel") for slot, node in nodes.items() if slot.startswith("layer1~")
    )
    assert kernels == [3, 5]


@pytest.mark.parametrize("architecture", [(0, SKIP, SKIP, SKIP), (0, CONV3, RESIDUAL, CONV5)])
def test_the_supergraph_is_the_same_for_all_architectures(architecture: tuple[int, ...]) -> None:
    space = ChainSpace()
    assert space.soft_graph(architecture).graph == space.soft_graph((0, CONV5, CONV5, SKIP)).graph


def test_every_operation_of_the_space_runs_once_with_its_own_weights() -> None:
    space = ChainSpace()
    soft = space.soft_graph((0, SKIP, CONV3, SKIP))
    run = [soft.original(node) for node in soft.graph.nodes if node.spec.kind != WEIGHTED_SUM]
    assert len(run) == len({(node.slot, node.spec) for node in run})
    assert {(node.slot, node.spec) for node in run} == {(node.slot, node.spec) for node in space.all_nodes()}


def test_a_width_is_hard_and_its_layers_stay_soft() -> None:
    space = ChainSpace(2, widths=(4, 6))
    for width in (0, 1):
        soft = space.soft_graph((width, CONV3, SKIP))
        assert set(soft.weights) == {"layer0.sum~mix", "layer1.sum~mix"}
        assert by_slot(soft.graph)["stem"].spec.integer("out") == (4, 6)[width]


def test_only_one_of_several_branches_of_a_sum_is_soft() -> None:
    space = SubsetSpace()
    for architecture in ((1, 0, 0, 1), (0, 0, 0, 0), (1, 1, 1, 1)):
        soft = space.soft_graph(architecture)
        assert len(soft.weights) == 2
        assert set(soft.weights.values()) <= {soft_weights(2, 0), soft_weights(2, 1)}


def test_a_restricted_space_mixes_what_it_has() -> None:
    space = ChainSpace(2).restrict(((0,), (SKIP, CONV3, CONV5), (CONV5,)))
    soft = space.soft_graph((0, CONV3, CONV5))
    assert list(soft.weights.values()) == [soft_weights(3, CONV3)]
    present = {(node.slot, node.spec) for node in space.all_nodes()}
    run = [soft.original(node) for node in soft.graph.nodes if node.spec.kind != WEIGHTED_SUM]
    assert {(node.slot, node.spec) for node in run} == present


@pytest.mark.parametrize("space", [ChainSpace(), TinySpace(), SubsetSpace()])
def test_a_space_of_one_architecture_mixes_nothing(space: SearchSpace) -> None:
    one = space.restrict([(options[-1],) for options in space.allowed])
    architecture = tuple(options[0] for options in one.allowed)
    soft = one.soft_graph(architecture)
    assert set(soft.graph.nodes) == set(space.graph(architecture).nodes)
    assert not soft.weights


def test_a_place_may_be_the_output() -> None:
    soft = TinySpace((4, 3), ((0,), (1,))).soft_graph((2, 0))
    assert soft.graph.nodes[-1].spec.kind == WEIGHTED_SUM
    assert [len(weights) for weights in soft.weights.values()] == [4, 3]
