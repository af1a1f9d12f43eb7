"""ONNX Runtime, really run on this machine's processors; no test depends on how long anything takes."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from devices._errors import ProfilingError, UnsupportedOperationError, WrongOutputError
from devices.cpu import Cpu
from latency_tables.measurement import FailureStatus, Measurement
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers.lowering.onnx import lower
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from tests.fakes.onnx_files import with_open_batch

SPEC = OpSpec.of("conv", (1, 8, 12, 12))

_QUICK = MeasurementPlan(precision=0.1, min_rounds=5, span_s=0.0, max_rounds=10, budget_s=1.0)


class Noise(nn.Module):
    """Never gives the same numbers twice: no runtime can agree with it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Overflow(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(-torch.abs(x))


class Join(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.cat([a, b], 1)


def conv() -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())


def prepared(source: Callable[[], nn.Module] | Path, spec: OpSpec = SPEC) -> tuple[float, ...]:
    device = Cpu.connect("")
    with device.quiet(1), OnnxRuntime().prepare(Workload(spec, source), device) as sampler:
        return tuple(sampler(4))


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        (SPEC, conv),
        (OpSpec.of("pool", (1, 8, 12, 12)), lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        (OpSpec.of("join", (1, 8, 12, 12), inputs=2), Join),
        (OpSpec.of("linear", (1, 64)), lambda: nn.Linear(64, 10)),
        (OpSpec.of("identity", (1, 1, 1, 1)), nn.Identity),
    ],
)
def test_a_workload_that_agrees_with_torch_gives_the_mean_of_a_block(
    spec: OpSpec, source: Callable[[], nn.Module]
) -> None:
    (latency_s,) = prepared(source, spec)
    assert latency_s > 0


def test_an_output_that_differs_from_torch_is_refused() -> None:
    with pytest.raises(WrongOutputError, match=r"differs from torch's"):
        prepared(Noise)


def test_an_output_that_is_not_finite_is_refused() -> None:
    with pytest.raises(WrongOutputError, match="1152 of 1152 outputs"):
        prepared(Overflow)


def test_what_onnx_runtime_does_not_know_is_unsupported(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, SPEC.input_shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, SPEC.input_shape)
    nodes = [helper.make_node("Warp", ["x"], ["y"], domain="lab")]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("lab", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=opsets, ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedOperationError, match=r"ONNX Runtime does not load .*Warp"):
        prepared(tmp_path / "m.onnx")


def test_only_float32_is_measured() -> None:
    with pytest.raises(UnsupportedOperationError, match="float32"):
        prepared(conv, OpSpec("conv", (1, 8, 12, 12), dtype="int8"))


@pytest.mark.parametrize("changed", [bytes, with_open_batch])
def test_a_file_is_run_as_it_is(changed: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(changed(lower(conv(), [SPEC.input_shape])))
    assert prepared(tmp_path / "m.onnx")[0] > 0


@pytest.mark.parametrize(
    "spec",
    [OpSpec.of("conv", (1, 8, 6, 6)), OpSpec.of("conv", (1, 8, 12, 12), inputs=2), OpSpec.of("conv", (8,))],
)
def test_a_file_with_other_inputs_than_its_spec_is_refused(spec: OpSpec, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(lower(conv(), [SPEC.input_shape]))
    with pytest.raises(ProfilingError, match="give the shapes of its inputs"):
        prepared(tmp_path / "m.onnx", spec)


def test_a_file_whose_output_is_not_finite_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(lower(Overflow(), [SPEC.input_shape]))
    with pytest.raises(WrongOutputError, match="not finite"):
        prepared(tmp_path / "m.onnx")


def test_external_data_never_reaches_onnx_runtime(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(lower(conv(), [SPEC.input_shape]))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(ProfilingError, match="in another file"):
        prepared(tmp_path / "m.onnx")


def test_a_failure_while_running_names_the_operation(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, SPEC.input_shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    rows = helper.make_tensor("rows", TensorProto.INT64, [1], [7])
    nodes = [helper.make_node("NonZero", ["x"], ["n"]), helper.make_node("Gather", ["n", "rows"], ["g"])]
    nodes.append(helper.make_node("Cast", ["g"], ["y"], to=TensorProto.FLOAT))
    opsets = [helper.make_opsetid("", 17)]
    graph = helper.make_graph(nodes, "g", [x], [y], [rows])
    content = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ProfilingError, match=r"ONNX Runtime failed on conv\[1x8x12x12;float32\]"):
        prepared(tmp_path / "m.onnx")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list threads")
def test_the_threads_of_a_session_stay_on_the_processors_that_are_held_quiet() -> None:
    def threads() -> set[int]:
        return {int(task.name) for task in Path("/proc/self/task").iterdir()}

    device = Cpu.connect("")
    with device.quiet(1):
        before = threads()
        with OnnxRuntime(threads=2).prepare(Workload(SPEC, conv), device) as sampler:
            sampler(1)
            started = threads() - before
            assert started
            assert {tuple(os.sched_getaffinity(thread)) for thread in started} == {device.state().affinity}


def test_a_table_is_filled_and_a_wrong_operation_stays_out_of_it() -> None:
    wrong = OpSpec.of("noise", (1, 8, 12, 12))
    workloads = [Workload(SPEC, conv), Workload(wrong, Noise)]
    with Cpu.connect("") as device:
        profiler = Profiler(device, OnnxRuntime(), _QUICK)
        table = LatencyTable.in_memory(profiler.header())
        entries = list(profiler.fill(table, workloads))
    assert len(entries) == 2
    assert isinstance(table[SPEC], Measurement)
    assert 0 < table[SPEC].latency_s < 1
    assert table.failures[wrong].status is FailureStatus.WRONG_OUTPUT
