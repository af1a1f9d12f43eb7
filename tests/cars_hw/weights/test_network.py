import weakref

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from cars_hw import spaces
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.spaces._space import Scale
from cars_hw.weights import network
from cars_hw.weights.network import Network
from latency_tables.spec import OpSpec
from profilers.lowering.onnx import lower

CONV = OpSpec.of("relu_conv_bn", (1, 2, 4, 4), out=2, kernel=1, stride=1, affine=1)
SUM = OpSpec.of("sum", (1, 2, 4, 4), inputs=2)


@pytest.mark.parametrize("deploy", ["cifar", "imagenet"])
@pytest.mark.parametrize("scale", ["search", "deploy"])
def test_parameters_by_arithmetic_are_those_of_the_modules(deploy: str, scale: Scale) -> None:
    space = spaces.load("darts", deploy=deploy)
    rng = np.random.default_rng(3)
    for _ in range(3):
        graph = space.graph(space.sample(rng), scale)
        modules = Network.untrained(graph)
        assert sum(parameter.numel() for parameter in modules.parameters()) == graph.parameters()


def test_a_deployed_network_maps_images_to_logits() -> None:
    space = spaces.load("darts", deploy="cifar", classes=7)
    graph = space.graph((0,) * len(space.choices), "deploy")
    with torch.inference_mode():
        assert Network.untrained(graph).eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_untrained_weights_depend_on_the_seed_alone() -> None:
    graph = Graph((Node("a", CONV, (IMAGE,)),))
    vectors = [
        nn.utils.parameters_to_vector(Network.untrained(graph, seed=s).parameters()) for s in (0, 0, 1)
    ]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])


@pytest.mark.parametrize("whole", [False, True])
def test_dead_nodes_have_weights_but_run_only_in_a_whole_network(whole: bool) -> None:
    graph = Graph((Node("a", CONV, (IMAGE,)), Node("dead", CONV, ("a",)), Node("b", CONV, ("a",))))
    modules = Network.untrained(graph, whole=whole)
    modules(torch.randn(3, 2, 4, 4))
    runs = {
        name: int(value)
        for name, value in modules.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    assert runs == {
        "units.a.2.num_batches_tracked": 1,
        "units.dead.2.num_batches_tracked": int(whole),
        "units.b.2.num_batches_tracked": 1,
    }


def test_a_whole_network_is_exported_without_its_dead_nodes() -> None:
    graph = Graph((Node("a", CONV, (IMAGE,)), Node("dead", CONV, ("a",)), Node("b", CONV, ("a",))))
    live, whole = (Network.untrained(graph, whole=whole).eval() for whole in (False, True))
    operations = [
        [node.op_type for node in onnx.load_model_from_string(lower(network, [(1, 2, 4, 4)])).graph.node]
        for network in (live, whole)
    ]
    assert operations[0] == operations[1]
    assert operations[0].count("Conv") == 2


def test_a_node_may_read_one_tensor_twice() -> None:
    graph = Graph((Node("twice", SUM, (IMAGE, IMAGE)),))
    image = torch.randn(1, 2, 4, 4)
    assert torch.equal(Network.untrained(graph)(image), 2 * image)


class Census(nn.Module):
    """Adds one, and counts how many of its outputs are alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
        self.most = 0

    def forward(self, image: Tensor) -> Tensor:
        output = image + 1
        self.alive.add(output)
        self.most = max(self.most, len(self.alive))
        return output


def test_a_tensor_is_dropped_after_its_last_reader() -> None:
    graph = Graph(tuple(Node(f"n{i}", CONV, (f"n{i - 1}" if i else IMAGE,)) for i in range(20)))
    census = Census()
    with torch.inference_mode():
        network.run(graph, [census] * len(graph.nodes), torch.zeros(1))
    assert census.most == 2
