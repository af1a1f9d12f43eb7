"""What torch executes of networks, counted operation by operation."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cars_hw import spaces
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph, Node, network_spec
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from devices.cpu import Cpu
from latency_tables.spec import OpSpec
from latency_tables.units.unit import Unit
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._runtime import Workload
from profilers.runtimes._torch.counter import TorchCounter, executed_graph
from profilers.runtimes._torch.graph import calls_of
from profilers.runtimes.torch import Torch
from tests.fakes.modules import InverseError, Pair
from tests.fakes.small_spaces import small

SHAPE = (1, 16, 8, 8)
POOL = OpSpec.of("max_pool", SHAPE, kernel=3, stride=1, batch_norm=0)
CONV = OpSpec.of("relu_conv_bn", SHAPE, out=16, kernel=1, stride=1, affine=1)


def counter() -> TorchCounter:
    return TorchCounter(modules.build)


def operators(module: nn.Module, *shapes: tuple[int, ...]) -> list[str]:
    graph = executed_graph(calls_of(module, shapes or [SHAPE]))
    return [Unit.of(node.unit).operator for node in graph.nodes]


def require_counted(space: SearchSpace, architecture: Architecture) -> None:
    """Check that a network is counted as its modules are called, and that each of its units has a module."""
    graph, counted = space.deployed(architecture), counter()
    workload = Workload(network_spec(graph), lambda: Network.untrained(graph, whole=True))
    found = counted.executed(graph.nodes)
    assert found == Torch().executed(workload, Cpu.connect(""))
    for one in found.counts:
        assert counted.workload(one).spec == one


@pytest.mark.parametrize("name", spaces.names())
def test_a_network_is_counted_as_it_is_executed_and_each_of_its_units_alone(name: str) -> None:
    space = small(name)
    require_counted(space, space.sample(np.random.default_rng(3)))


@pytest.mark.slow
@pytest.mark.parametrize("name", spaces.names())
def test_many_networks_of_a_space_are_counted_as_they_are_executed(name: str) -> None:
    space, rng = small(name), np.random.default_rng(4)
    for option in range(max(space.choices)):
        require_counted(space, tuple(min(option, options - 1) for options in space.choices))
    for _ in range(10):
        require_counted(space, space.sample(rng))


def test_calls_are_told_in_order_with_what_they_read() -> None:
    nodes = [Node("a", CONV, ("image",)), Node("b", POOL, ("a",))]
    nodes.append(Node("sum", OpSpec.of("sum", SHAPE, inputs=3), ("a", "b", "image")))
    graph = counter().executed(nodes)
    assert [Unit.of(node.unit).operator for node in graph.nodes] == [
        *("ReLU", "Conv2d", "BatchNorm2d", "MaxPool2d", "add", "add")
    ]
    assert [node.inputs for node in graph.nodes] == [(-1,), (0,), (1,), (2,), (2, 3), (4, -1)]


def test_nodes_that_nothing_reads_and_equal_ones_are_executed_each() -> None:
    nodes = [Node(slot, POOL, ("image",)) for slot in "abc"]
    assert Counter(counter().executed(nodes).counts.values()) == {3: 1}


def test_what_does_nothing_is_no_unit() -> None:
    assert operators(nn.Sequential(nn.Identity(), nn.ReLU(), nn.Dropout())) == ["ReLU"]


def test_an_operation_of_a_plug_in_with_another_activation_has_units() -> None:
    module = nn.Sequential(nn.Conv2d(16, 4, (3, 1), bias=True), nn.Tanh())
    calls = calls_of(module, [SHAPE]).calls
    assert [Unit.of(call.unit).operator for call in calls] == ["Conv2d", "Tanh"]
    assert Unit.of(calls[0].unit).weight_shapes == ((4, 16, 3, 1), (4,))


class Branching(nn.Module):
    """Executes what its input decides."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Indexed(nn.Module):
    """Takes one image."""

    def forward(self, x: Tensor) -> Tensor:
        return x[0]


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (InverseError(), "erfinv is no operator"),
        (nn.LeakyReLU(0.3), r"LeakyReLU\(negative_slope=0.3\) is no operator"),
        (nn.Softmax(1), "Softmax is no operator"),
        (nn.Conv2d(16, 16, 3, padding="same"), "padding zeros same"),
        (nn.AvgPool2d(3, divisor_override=2), "divisor"),
        (nn.MaxPool2d(3, dilation=2), "dilation"),
        (nn.BatchNorm2d(16, track_running_stats=False), "running statistics"),
        (nn.Conv2d(8, 8, 3), "Conv2d has no units"),
        (Branching(), "depends on its input"),
        (Indexed(), "indexing by 0"),
        (Pair(), "returns a tuple"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_unit_is_refused_with_its_name(module: nn.Module, why: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=why):
        calls_of(module, [SHAPE])


def unit(operator: str, *, out: tuple[int, ...] = SHAPE, weights: tuple[tuple[int, ...], ...] = ()) -> OpSpec:
    attributes = {"strides": (1, 1), "pads": (0, 0), "dilations": (1, 1)}
    found = Unit(operator, (SHAPE,), out, weights, {**attributes, "group": 1})
    return found.spec() if operator == "Conv2d" else replace(found, attributes={}).spec()


@pytest.mark.parametrize(
    "spec",
    [
        CONV,
        unit("system"),
        unit("Module"),
        unit("ReLU", out=(1, 16, 8, 9)),
        unit("Conv2d"),
        unit("Conv2d", weights=((16, 8, 1, 1),)),
        unit("Conv2d", weights=((1 << 20, 16, 64, 64),)),
        unit("Conv2d", weights=((0, 16, 1, 1),)),
        unit("BatchNorm2d", weights=((16, 16),)),
        unit("getitem"),
        unit("Flatten", out=(1, 1024)),
        unit("AdaptiveAvgPool2d", out=(1, 16)),
    ],
    ids=str,
)
def test_a_key_that_is_no_unit_of_torch_is_refused(spec: OpSpec) -> None:
    with pytest.raises(UnsupportedOperationError, match="unit"):
        counter().workload(spec)


def test_a_network_without_nodes_or_calls_is_refused() -> None:
    with pytest.raises(ProfilingError, match="without nodes"):
        counter().executed([])
    with pytest.raises(UnsupportedOperationError, match="calls nothing"):
        executed_graph(calls_of(nn.Identity(), [SHAPE]))


def test_counting_leaves_the_random_numbers_of_others_alone() -> None:
    before = torch.random.get_rng_state()
    counter().executed(Graph((Node("a", CONV, ("image",)),)).nodes)
    assert torch.equal(before, torch.random.get_rng_state())
