"""What TFLite executes of a network, counted without lowering the network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from cars_hw.weights import modules
from devices.cpu import Cpu
from latency_tables.spec import OpSpec
from latency_tables.units.graph import IMAGE
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._runtime import LoweredModel, UnitCounter, Workload
from profilers.runtimes.tflite import TfLite

_SHAPE = (1, 8, 12, 12)
_CONV = OpSpec.of("relu_conv_bn", _SHAPE, out=8, kernel=1, stride=1, affine=0)
_POOL = OpSpec.of("max_pool", _SHAPE, kernel=3, stride=1, batch_norm=0)
_NORMALISED = OpSpec.of("max_pool", _SHAPE, kernel=3, stride=1, batch_norm=1)
_NOTHING = OpSpec.of("zero", _SHAPE, out=8, stride=1)
_SUM = OpSpec.of("sum", _SHAPE, inputs=2)


@dataclass(frozen=True)
class At:
    slot: str
    spec: OpSpec
    inputs: tuple[str, ...]


def counter() -> UnitCounter:
    return TfLite().counter(modules.build)


def operators(nodes: Sequence[At], counted: UnitCounter | None = None) -> list[str]:
    executed = (counted or counter()).executed(nodes)
    return [node.unit.kind.removeprefix("unit.") for node in executed.nodes]


def joined(spec: OpSpec) -> list[At]:
    """Return two operations on one image, and their sum."""
    return [At("a", spec, ("image",)), At("b", spec, ("image",)), At("sum", _SUM, ("a", "b"))]


def test_equal_operations_without_weights_are_executed_once() -> None:
    assert operators(joined(_POOL)) == ["MAX_POOL_2D", "ADD"]
    assert operators(joined(_NOTHING)) == ["CONV_2D", "ADD"]


def test_each_occurrence_has_weights_and_statistics_of_its_own() -> None:
    assert operators(joined(_CONV)) == ["RELU", "CONV_2D", "CONV_2D", "ADD"]
    assert operators(joined(_NORMALISED)) == ["MAX_POOL_2D", "MUL", "ADD", "MUL", "ADD", "ADD"]


def test_what_follows_an_operation_is_fused_into_it_across_their_border() -> None:
    nodes = [At("a", _CONV, ("image",)), At("b", _CONV, ("a",))]
    graph = counter().executed(nodes)
    assert [node.unit.kind for node in graph.nodes] == ["unit.RELU", "unit.CONV_2D", "unit.CONV_2D"]
    assert "a.activation=RELU" in str(graph.nodes[1].unit)
    assert [node.inputs for node in graph.nodes] == [(IMAGE,), (0,), (1,)]


def test_what_does_not_reach_the_output_is_not_counted() -> None:
    assert operators([At("dead", _CONV, ("image",)), At("a", _POOL, ("image",))]) == ["MAX_POOL_2D"]


def test_a_network_of_one_skip_copies_its_image() -> None:
    skip = OpSpec.of("sum", _SHAPE, inputs=1)
    assert operators([At("a", skip, ("image",))]) == ["RESHAPE"]


def test_torch_is_left_alone_once_the_operations_are_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = counter()
    first = counted.executed(joined(_CONV))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("torch was called")

    monkeypatch.setattr(nn.Module, "__call__", refuse)
    monkeypatch.setattr(nn.Module, "__init__", refuse)
    assert counted.executed(joined(_CONV)) == first
    assert counted.executed([At("a", _CONV, ("image",))]).nodes[1] in first.nodes


def test_counting_leaves_torchs_generator_as_it_was() -> None:
    before = torch.random.get_rng_state()
    counter().executed(joined(_CONV))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_network_without_nodes_is_refused() -> None:
    with pytest.raises(ProfilingError, match="without nodes"):
        counter().executed([])


def test_networks_of_integers_have_floats_at_their_borders() -> None:
    nodes = [replace(node, spec=replace(node.spec, dtype="int8")) for node in joined(_CONV)]
    units = [node.unit for node in counter().executed(nodes).nodes]
    names = ["QUANTIZE", "RELU", "CONV_2D", "CONV_2D", "ADD", "DEQUANTIZE"]
    assert [unit.kind.removeprefix("unit.") for unit in units] == names
    assert {unit.dtype for unit in units} == {"int8"}
    with pytest.raises(UnsupportedOperationError):
        counter().workload(units[1])


def test_floats_and_integers_are_not_counted_together() -> None:
    first, *others = joined(_CONV)
    with pytest.raises(UnsupportedOperationError, match="float32 or of int8, not of float32, int8"):
        counter().executed([replace(first, spec=replace(first.spec, dtype="int8")), *others])


@pytest.mark.parametrize("delegate", ["gpu", "nnapi"])
def test_what_a_delegate_compiles_is_not_shown(delegate: str) -> None:
    runtime = TfLite(delegate=delegate)
    with pytest.raises(UnsupportedOperationError, match="does not show what it executes"):
        runtime.counter(modules.build)
    with pytest.raises(UnsupportedOperationError, match="does not show what it executes"):
        runtime.executed(Workload(_POOL, lambda: modules.build(_POOL)), Cpu.connect(""))


def test_each_unit_is_measured_as_a_model_of_its_own() -> None:
    counted, device = counter(), Cpu.connect("")
    padded = OpSpec.of("conv_bn", _SHAPE, out=4, kernel=3, stride=2, affine=0)
    nodes = [At("a", padded, ("image",)), At("b", padded, ("image",))]
    nodes.append(At("c", OpSpec.of("concat", (1, 4, 6, 6), inputs=2), ("a", "b")))
    for unit in counted.executed(nodes).counts:
        workload = counted.workload(unit)
        assert isinstance(workload.source, LoweredModel)
        assert workload.source.is_optimised
        assert TfLite().executed(workload, device).counts == {unit: 1}
        with device.quiet(1), TfLite().prepare(workload, device) as sampler:
            assert sampler(2)[0] > 0


def test_an_operation_is_no_unit() -> None:
    with pytest.raises(UnsupportedOperationError):
        counter().workload(_POOL)
