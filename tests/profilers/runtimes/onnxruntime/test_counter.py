"""Counting what ONNX Runtime executes of networks, without building them."""

from functools import cache

import pytest
import torch
from torch import nn

from cars_hw.networks.graph import Graph, Node
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from devices._errors import DeviceError
from devices.cpu import Cpu
from devices.fake import Fake
from latency_tables.spec import OpSpec
from latency_tables.units.graph import ExecutedGraph
from latency_tables.units.unit import Unit
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._onnxruntime.counter import OnnxCounter
from profilers.runtimes._onnxruntime.session import open_session
from profilers.runtimes._reference import random_inputs
from profilers.runtimes._runtime import LoweredModel, Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from tests.fakes.networks import learnt

SHAPE = (1, 16, 8, 8)
STEM = Node("stem", OpSpec.of("conv_bn", (1, 3, 8, 8), out=16, kernel=3, stride=1, affine=1), ("image",))
POOL = OpSpec.of("max_pool", SHAPE, kernel=3, stride=1, batch_norm=1)
CONV = OpSpec.of("relu_conv_bn", SHAPE, out=16, kernel=1, stride=1, affine=1)
SUM = OpSpec.of("sum", SHAPE, inputs=2)
CLASSIFIER = OpSpec.of("classifier", SHAPE, out=10)


def cell(left: OpSpec, right: OpSpec) -> Graph:
    """Return a network of two operations of one tensor, added up."""
    nodes = [STEM, Node("left", left, ("stem",)), Node("right", right, ("stem",))]
    nodes += [Node("sum", SUM, ("left", "right")), Node("classifier", CLASSIFIER, ("sum",))]
    return Graph(tuple(nodes))


def whole(graph: Graph) -> ExecutedGraph:
    """Return what ONNX Runtime makes of the exported network."""

    def exported() -> nn.Module:
        return nn.Sequential(learnt(Network.untrained(graph), seed=7))  # which does not tell its operations

    workload = Workload(OpSpec.of("network", (1, 3, 8, 8)), exported)
    return OnnxRuntime().executed(workload, Cpu.connect(""))


@cache
def counter() -> OnnxCounter:
    """Return one counter for all tests: lowering an operation takes longer than counting a network."""
    return OnnxCounter(modules.build)


@pytest.mark.parametrize(
    "graph",
    [
        cell(CONV, POOL),
        cell(CONV, CONV),
        cell(POOL, POOL),
        cell(POOL, OpSpec.of("zero", SHAPE, out=16, stride=1)),
        cell(*[OpSpec.of("zero", SHAPE, out=16, stride=1)] * 2),
        cell(*[OpSpec.of("avg_pool", SHAPE, kernel=3, stride=1, batch_norm=0)] * 2),
        cell(*[OpSpec.of("sep_conv", SHAPE, kernel=3, stride=1, affine=0)] * 2),
    ],
    ids=["both", "convolutions", "pools with norms", "pool and zeros", "zeros", "pools", "without affine"],
)
def test_a_stitched_network_is_executed_as_the_exported_one(graph: Graph) -> None:
    stitched, exported = counter().executed(graph.nodes), whole(graph)
    assert stitched.counts == exported.counts


def pointwise(graph: Graph) -> int:
    """Count the 1x1 convolutions of 16 channels that are executed."""
    counts = counter().executed(graph.nodes).counts
    return sum(n for unit, n in counts.items() if (16, 16, 1, 1) in Unit.of(unit).weight_shapes)


def test_equal_operations_with_weights_of_their_own_are_all_executed() -> None:
    assert [pointwise(cell(CONV, POOL)), pointwise(cell(CONV, CONV))] == [1, 2]


def test_zeros_of_one_tensor_are_executed_once() -> None:
    zero = OpSpec.of("zero", SHAPE, out=16, stride=1)
    assert [pointwise(cell(POOL, zero)), pointwise(cell(zero, zero))] == [1, 1]


def test_a_known_network_needs_no_module() -> None:
    built = []

    def build(spec: OpSpec) -> nn.Module:
        built.append(spec)
        return modules.build(spec)

    mine = OnnxCounter(build)
    mine.executed(cell(CONV, POOL).nodes)
    first = list(built)
    mine.executed(cell(POOL, CONV).nodes)
    assert sorted(map(str, built)) == sorted(map(str, set(first)))


def test_counting_leaves_the_random_numbers_of_a_search_alone() -> None:
    before = torch.get_rng_state()
    OnnxCounter(modules.build).executed(cell(CONV, POOL).nodes)
    assert torch.equal(before, torch.get_rng_state())


def test_a_network_is_counted_the_same_in_every_process() -> None:
    graph = cell(CONV, POOL)
    assert counter().lowered(graph.nodes) == OnnxCounter(modules.build).lowered(graph.nodes)


def test_every_unit_runs_alone_and_writes_the_shape_of_its_key() -> None:
    mine = counter()
    units = {
        unit for graph in (cell(CONV, POOL), cell(POOL, POOL)) for unit in mine.executed(graph.nodes).counts
    }
    for unit in sorted(units, key=str):
        source = mine.workload(unit).source
        assert isinstance(source, LoweredModel)
        assert source.is_optimised
        session = open_session(source.content, threads=1, is_optimised=True, subject=unit)
        names = [node.name for node in session.get_inputs()]
        [output] = session.run(None, dict(zip(names, random_inputs(unit), strict=True)))
        assert output.shape == Unit.of(unit).output_shape


def test_a_unit_is_measured_as_it_is() -> None:
    device, mine = Cpu.connect(""), counter()
    [unit, *_] = mine.executed(cell(CONV, POOL).nodes).counts
    with device.quiet(1), OnnxRuntime().prepare(mine.workload(unit), device) as sampler:
        assert sampler(2)[0] > 0


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (OpSpec.of("conv", SHAPE), "has no such unit"),
        (Unit("Conv", (SHAPE,), SHAPE, domain="lab").spec(), "is no unit of ONNX Runtime"),
        (Unit("Conv", (SHAPE,), SHAPE, attributes={"reads": "iw"}).spec(), "is no unit of ONNX Runtime"),
        (Unit("Conv", (SHAPE,), SHAPE, attributes={"reads": 3}).spec(), "is no unit of ONNX Runtime"),
        (Unit("Relu", ((1 << 20,) * 4,), SHAPE).spec(), "is no unit of ONNX Runtime"),
        (Unit("Relu", (SHAPE,), SHAPE, ((1 << 20,) * 3,)).spec(), "is no unit of ONNX Runtime"),
        (
            Unit("Reshape", (SHAPE,), SHAPE, ((2,),), {"values1": (1, 2, 3)}).spec(),
            "no list of as many integers",
        ),
    ],
)
def test_what_is_no_unit_of_onnx_runtime_is_refused(unit: OpSpec, message: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=message):
        counter().workload(unit)


def test_a_unit_that_onnx_runtime_does_not_know_is_refused_when_it_is_loaded() -> None:
    workload = counter().workload(Unit("Warp", (SHAPE,), SHAPE).spec())
    with (
        pytest.raises(UnsupportedOperationError, match="does not load"),
        OnnxRuntime().prepare(workload, Cpu()),
    ):
        pass


@pytest.mark.parametrize("attribute", ["name", "domain", "doc_string", "operator"])
def test_an_attribute_of_any_name_stays_an_attribute(attribute: str) -> None:
    workload = counter().workload(Unit("Relu", (SHAPE,), SHAPE, attributes={attribute: "lab"}).spec())
    with pytest.raises(UnsupportedOperationError, match=attribute), OnnxRuntime().prepare(workload, Cpu()):
        pass


def test_a_network_that_reads_no_image_is_refused() -> None:
    with pytest.raises(UnsupportedOperationError, match="reads no image"):
        counter().executed([Node("sum", SUM, ())])


def test_providers_that_compile_show_nothing() -> None:
    runtime = OnnxRuntime(provider="nnapi")
    with pytest.raises(UnsupportedOperationError, match="does not show what provider nnapi executes"):
        runtime.counter(modules.build)
    with pytest.raises(UnsupportedOperationError, match="does not show what provider nnapi executes"):
        runtime.executed(Workload(POOL, lambda: modules.build(POOL)), Cpu.connect(""))


def test_a_device_without_processors_here_shows_nothing() -> None:
    with pytest.raises(DeviceError, match="use cpu"):
        OnnxRuntime().executed(Workload(POOL, lambda: modules.build(POOL)), Fake.connect(""))


def test_errors_of_counting_are_of_profiling() -> None:
    with pytest.raises(ProfilingError):
        counter().executed([])
