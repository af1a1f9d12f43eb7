"""What came with mobile networks, squeeze-and-excitation and smooth activations, from arithmetic to files.

Counts against torch's modules, numbers against torch's in both runtimes, and what is executed against what is
exported. In 8-bit integers, all but GELU stays with XNNPACK.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cars_hw import spaces
from cars_hw.networks import operations
from cars_hw.networks.graph import IMAGE, Graph, Node, network_spec
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from devices.cpu import Cpu
from latency_tables import OpSpec
from latency_tables.units.classes import unit_class, unit_work
from profilers import Workload, runtimes
from profilers.lowering._tflite.reading import read
from profilers.lowering._tflite.units import executed
from profilers.lowering.int8 import quantize
from profilers.lowering.tflite import lower
from profilers.runtimes._tflite.interpreter import TfLiteModel
from profilers.runtimes.tflite import TfLite
from tests.fakes.networks import learnt
from tests.fakes.tflite_files import content, run

_SHAPE = (1, 8, 6, 6)
_ACTIVATIONS = ("hard_sigmoid", "swish", "hard_swish", "gelu")
_SQUEEZES = (("relu", "sigmoid"), ("relu", "hard_sigmoid"), ("swish", "sigmoid"))

OPERATIONS = [
    *(OpSpec.of(kind, _SHAPE) for kind in _ACTIVATIONS),
    *(
        OpSpec.of("conv_bn_act", _SHAPE, out=8, kernel=3, stride=1, activation=word)
        for word in ("relu", "relu6", "sigmoid", *_ACTIVATIONS)
    ),
    *(OpSpec.of("squeeze_excite", _SHAPE, squeezed=4, inner=inner, gate=gate) for inner, gate in _SQUEEZES),
    OpSpec.of("bottleneck", _SHAPE, out=8, kernel=5, stride=1, wide=20, activation="hard_swish"),
    OpSpec.of(
        "gated_bottleneck",
        _SHAPE,
        out=8,
        kernel=3,
        stride=1,
        wide=8,
        activation="relu",
        squeezed=2,
        inner="relu",
        gate="hard_sigmoid",
    ),
]
CLASSIFIER = OpSpec.of("hidden_classifier", _SHAPE, hidden=12, activation="hard_swish", out=10)


def chain(*specs: OpSpec) -> Graph:
    """One operation after the other."""
    slots = [IMAGE, *(f"layer{i}" for i in range(len(specs)))]
    return Graph(tuple(Node(slots[i + 1], spec, (slots[i],)) for i, spec in enumerate(specs)))


EVERY_ONE = chain(*OPERATIONS, CLASSIFIER)


@pytest.mark.parametrize("spec", [*OPERATIONS, CLASSIFIER], ids=str)
def test_parameters_and_shapes_by_arithmetic_are_those_of_the_module(spec: OpSpec) -> None:
    module = modules.build(spec).eval()
    assert sum(parameter.numel() for parameter in module.parameters()) == operations.parameters(spec)
    image = torch.randn(_SHAPE)
    given = image.clone()
    assert module(image).shape == operations.output_shape(spec)
    assert torch.equal(image, given)  # others read it


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
@pytest.mark.parametrize("spec", [*OPERATIONS, CLASSIFIER], ids=str)
def test_a_runtime_computes_what_torch_computes_and_is_measured(spec: OpSpec, runtime: str) -> None:
    device = Cpu.connect("")
    with modules.seeded(0):
        module = modules.build(spec)
    with runtimes.load(runtime).prepare(Workload(spec, lambda: module), device) as sampler:
        assert sampler(1)[0] > 0
        assert sampler.facts().get("nodes_outside", 0) == 0


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
def test_a_network_of_all_is_counted_as_it_is_exported(runtime: str) -> None:
    counted = runtimes.load(runtime).counter(modules.build).executed(EVERY_ONE.nodes)
    assert counted.counts == exported(EVERY_ONE, runtime)


def test_the_multiply_accumulates_of_what_is_executed_are_those_by_arithmetic() -> None:
    counts = TfLite().counter(modules.build).executed(EVERY_ONE.nodes).counts
    assert sum(n * unit_work(unit).macs for unit, n in counts.items()) == EVERY_ONE.macs()
    gates = [unit for unit in counts if unit.kind == "unit.MUL" and dict(unit.params).get("in1") == "1x1x1x8"]
    assert [unit_class(unit) for unit in gates] == ["rest"]


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
def test_each_unit_of_all_is_measured_alone(runtime: str) -> None:
    made, device = runtimes.load(runtime), Cpu.connect("")
    counter = made.counter(modules.build)
    for unit in counter.executed(EVERY_ONE.nodes).counts:
        workload = counter.workload(unit)
        assert made.executed(workload, device).counts == {unit: 1}
        with made.prepare(workload, device) as sampler:
            assert sampler(1)[0] > 0


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
@pytest.mark.parametrize("family", ["mnasnet", "mobilenet_v3"])
def test_a_small_network_of_a_family_is_counted_as_it_is_exported(family: str, runtime: str) -> None:
    require_counted_as_exported(family, runtime, n=1)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
@pytest.mark.parametrize("family", ["mnasnet", "mobilenet_v3"])
def test_many_small_networks_of_a_family_are_counted_as_they_are_exported(family: str, runtime: str) -> None:
    require_counted_as_exported(family, runtime, n=20)


def require_counted_as_exported(family: str, runtime: str, n: int) -> None:
    space = spaces.load("mobilenet", family=family, deploy="search", layers=2, channels=8, image_size=16)
    made, rng = runtimes.load(runtime), np.random.default_rng(0)
    counter = made.counter(modules.build)
    for _ in range(n):
        graph = space.deployed(space.sample(rng))
        assert counter.executed(graph.nodes).counts == exported(graph, runtime), graph


def exported(graph: Graph, runtime: str) -> Mapping[OpSpec, int]:
    """Return what a runtime executes of a network that has learnt something."""
    workload = Workload(network_spec(graph), lambda: learnt(Network.untrained(graph), seed=0))
    return runtimes.load(runtime).executed(workload, Cpu.connect("")).counts


def in_integers(graph: Graph) -> tuple[bytes, bytes]:
    """Return a network whose activations are ordinary numbers, in float and in 8-bit integers."""
    network = Network.untrained(graph, seed=0).train()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    rng = np.random.default_rng(0)
    shape = graph.nodes[0].spec.input_shape
    images = rng.standard_normal((16, *shape[1:])).astype(np.float32)
    with torch.no_grad():
        network(torch.from_numpy(images))
    model = lower(network.eval(), [shape])
    return model, quantize(model, images)


def outside(model: bytes) -> int | None:
    loaded = TfLiteModel(model)
    loaded.allocate()
    return loaded.nodes_outside()


def test_in_integers_all_but_gelu_stays_with_the_delegate_and_is_counted() -> None:
    kept = chain(*(spec for spec in OPERATIONS if "gelu" not in str(spec)), CLASSIFIER)
    whole, small = in_integers(kept)
    assert (outside(whole), outside(small)) == (0, 0)
    nodes = [replace(node, spec=replace(node.spec, dtype="int8")) for node in kept.nodes]
    counted = TfLite().counter(modules.build).executed(nodes)
    assert counted.counts == executed(*read(small)).counts


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mnasnet", "mobilenet_v3"])
def test_in_integers_a_network_of_a_family_stays_with_the_delegate_and_is_counted(family: str) -> None:
    space = spaces.load("mobilenet", family=family, deploy="search", layers=2, channels=16, image_size=32)
    kept = space.deployed(space.sample(np.random.default_rng(1)))
    whole, small = in_integers(kept)
    assert (outside(whole), outside(small)) == (0, 0)
    nodes = [replace(node, spec=replace(node.spec, dtype="int8")) for node in kept.nodes]
    assert TfLite().counter(modules.build).executed(nodes).counts == executed(*read(small)).counts


def test_in_integers_gelu_is_counted_and_runs_outside_of_the_delegate() -> None:
    graph = chain(OpSpec.of("conv_bn_act", _SHAPE, out=8, kernel=3, stride=1, activation="gelu"), CLASSIFIER)
    whole, small = in_integers(graph)
    assert (outside(whole), outside(small)) == (0, 1)
    nodes = [replace(node, spec=replace(node.spec, dtype="int8")) for node in graph.nodes]
    assert TfLite().counter(modules.build).executed(nodes).counts == executed(*read(small)).counts


def test_in_integers_a_hard_swish_is_an_addition_and_two_multiplications() -> None:
    graph = chain(OpSpec.of("hard_swish", _SHAPE), CLASSIFIER)
    whole, small = in_integers(graph)
    assert content(whole).operations["HARD_SWISH"] == 2
    operations = content(small).operations
    assert (operations["HARD_SWISH"], operations["ADD"], operations["MUL"]) == (0, 2, 4)
    image = torch.from_numpy(np.random.default_rng(1).standard_normal(_SHAPE).astype(np.float32))
    exact, rounded = run(whole, image), run(small, image)
    assert float((exact - rounded).abs().max()) < 0.05 * float(exact.abs().max())
    assert float((exact - rounded).abs().max()) > 0
