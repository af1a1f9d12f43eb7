"""The scripted runtime."""

import numpy as np
import pytest
from torch import nn

from cars_hw.networks.graph import Node, network_spec
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from devices._errors import DeviceError
from devices.cpu import Cpu
from devices.fake import Fake
from latency_tables.spec import OpSpec
from latency_tables.units.graph import IMAGE, ExecutedGraph, ExecutedNode
from latency_tables.units.unit import Unit
from profilers.errors import UnsupportedOperationError, WrongOutputError
from profilers.runtimes._runtime import Workload
from profilers.runtimes.fake import FakeRuntime
from tests.fakes.small_spaces import small

WORKLOAD = Workload(OpSpec.of("relu", (1, 8, 10, 10)), nn.ReLU)


def test_a_block_advances_the_clock_by_the_script() -> None:
    device = Fake()
    with FakeRuntime(latency_s=lambda _, now_s: 1e-3 + now_s).prepare(WORKLOAD, device) as sampler:
        assert sampler(4) == pytest.approx([1e-3])
        assert device.clock_s() == pytest.approx(4e-3)
        assert sampler(1) == pytest.approx([5e-3])


def test_without_a_script_a_call_takes_a_microsecond_and_a_nanosecond_per_element() -> None:
    with FakeRuntime().prepare(WORKLOAD, Fake()) as sampler:
        assert sampler(10) == pytest.approx([1.8e-6])


def test_blocks_are_logged_in_order() -> None:
    runtime = FakeRuntime()
    with runtime.prepare(WORKLOAD, Fake()) as sampler:
        sampler(2)
        sampler(1)
    assert runtime.calls == [(WORKLOAD.spec, 2), (WORKLOAD.spec, 1)]


def test_a_scripted_error_is_raised_when_preparing() -> None:
    runtime = FakeRuntime(errors={"relu": WrongOutputError("differs")})
    with pytest.raises(WrongOutputError), runtime.prepare(WORKLOAD, Fake()):
        pass


def test_each_live_operation_is_a_unit_of_its_kind() -> None:
    pool = OpSpec.of("max_pool", (1, 8, 4, 4), kernel=3)
    nodes = (
        Node("a", pool, ("image",)),
        Node("dead", pool, ("a",)),
        Node("sum", OpSpec.of("sum", (1, 8, 4, 4), inputs=2), ("a", "image")),
    )
    counter = FakeRuntime().counter(modules.build)
    graph = counter.executed(nodes)
    shape = (1, 8, 4, 4)
    of_pool = Unit("max_pool", (shape,), shape, attributes={"kernel": 3}).spec()
    of_sum = Unit("sum", (shape, shape), shape).spec()
    assert graph == ExecutedGraph((ExecutedNode(of_pool, (IMAGE,)), ExecutedNode(of_sum, (0, IMAGE))))
    with FakeRuntime().prepare(counter.workload(of_pool), Fake()) as sampler:
        assert sampler(1)[0] > 0


def test_a_network_of_nodes_is_executed_as_it_is_counted() -> None:
    space = small("darts")
    graph = space.deployed(space.sample(np.random.default_rng(0)))
    workload = Workload(network_spec(graph), lambda: Network.untrained(graph))
    counted = FakeRuntime().counter(modules.build).executed(graph.nodes)
    assert FakeRuntime().executed(workload, Fake()) == counted


def test_a_runtime_that_shows_no_units_says_so() -> None:
    runtime = FakeRuntime(shows_units=False)
    with pytest.raises(UnsupportedOperationError, match="fake does not show what it executes"):
        runtime.counter(modules.build)
    with pytest.raises(UnsupportedOperationError, match="fake does not show what it executes"):
        runtime.executed(WORKLOAD, Fake())


def test_a_module_that_is_no_network_of_nodes_has_no_units() -> None:
    with pytest.raises(UnsupportedOperationError, match="networks of nodes only"):
        FakeRuntime().executed(WORKLOAD, Fake())


def test_real_hardware_is_refused() -> None:
    with pytest.raises(DeviceError, match="use fake"):
        FakeRuntime().version(Cpu.connect(""))
