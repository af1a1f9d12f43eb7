"""The network in training: which paths are dropped, and what the auxiliary classifier reads."""

import numpy as np
import pytest
import torch

from cars_hw import spaces
from cars_hw.networks import operations
from cars_hw.networks.graph import Graph, Node
from cars_hw.retraining.network import TrainedNetwork, auxiliary_slot, droppable_slots
from cars_hw.weights.network import Network
from latency_tables import OpSpec
from tests.fakes.retraining import graph
from tests.fakes.small_spaces import small


def _drawn(space: str, **settings: object) -> Graph:
    made = spaces.load(space, **settings)
    return made.deployed(made.sample(np.random.default_rng(1))).live


@pytest.mark.parametrize(
    ("deploy", "slot", "size"), [("cifar", "cell13.concat", 8), ("imagenet", "cell9.concat", 7)]
)
def test_the_auxiliary_classifier_reads_what_darts_reads(deploy: str, slot: str, size: int) -> None:
    found = _drawn("darts", deploy=deploy)
    assert auxiliary_slot(found) == slot
    [node] = [one for one in found.nodes if one.slot == slot]
    assert operations.output_shape(node.spec)[2:] == (size, size)


@pytest.mark.parametrize("name", ["darts", "nasbench201", "mobilenet", "nse"])
def test_the_auxiliary_classifier_fits_networks_of_every_space(name: str) -> None:
    space = small(name)
    made = space.deployed(space.sample(np.random.default_rng(0)))
    trained = TrainedNetwork(Network.untrained(made), has_auxiliary=True, seed=1)
    first, second = trained(torch.zeros(2, *made.nodes[0].spec.input_shape[1:]))
    assert second is not None
    assert first.shape == second.shape == (2, space.classes)


def test_of_darts_the_operations_of_edges_are_dropped_and_nothing_else() -> None:
    found = droppable_slots(_drawn("darts", deploy="cifar"))
    assert found
    assert all(".from" in slot for slot in found)
    every = {node.slot for node in _drawn("darts", deploy="cifar").nodes if ".from" in node.slot}
    assert found == every


def test_of_mobilenets_the_blocks_beside_a_skip_connection_are_dropped() -> None:
    space = small("mobilenet")
    made = space.deployed(tuple(0 for _ in space.choices)).live
    sums = {node.slot.removesuffix(".sum") for node in made.nodes if node.spec.kind == "sum"}
    assert droppable_slots(made) == sums


def test_without_dropping_it_computes_what_the_network_computes() -> None:
    network = Network.untrained(graph()).eval()
    trained = TrainedNetwork(network, has_auxiliary=False, seed=1).eval()
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    first, second = trained(images)
    assert second is None
    assert torch.equal(first, network(images))


def test_dropped_paths_leave_the_mean_of_a_sum_as_it_is() -> None:
    conv = OpSpec.of("conv_relu", (1, 4, 8, 8), out=4, kernel=3, stride=1)
    made = Graph(
        (
            Node("stem", OpSpec.of("conv_relu", (1, 1, 8, 8), out=4, kernel=3, stride=1), ("image",)),
            Node("node.from0", conv, ("stem",)),
            Node("node.sum", OpSpec.of("sum", (1, 4, 8, 8), inputs=2), ("node.from0", "stem")),
            Node("classifier", OpSpec.of("classifier", (1, 4, 8, 8), out=3), ("node.sum",)),
        )
    )
    assert droppable_slots(made) == {"node.from0"}
    trained = TrainedNetwork(Network.untrained(made), has_auxiliary=False, seed=1)
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(4000, -1, -1, -1)
    with torch.no_grad():
        whole, _ = trained(image[:1])
        dropped, _ = trained(image, drop_path=0.3, generator=torch.Generator().manual_seed(1))
    outcomes, counts = torch.unique(dropped.round(decimals=4), dim=0, return_counts=True)
    assert len(outcomes) == 2  # with the path, which counts more, or without it
    assert counts.min().item() == pytest.approx(0.3 * 4000, rel=0.1)
    mean = outcomes[counts.argmax()] * 0.7 + outcomes[counts.argmin()] * 0.3
    assert torch.allclose(mean, whole[0], atol=2e-4)
