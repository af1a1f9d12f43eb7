"""ONNX Runtime, really run on this machine's processors; no test depends on how long anything takes."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from torch import nn

from devices.cpu import Cpu
from latency_tables.spec import OpSpec
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.lowering.onnx import lower
from profilers.runtimes._runtime import Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from tests.fakes.modules import conv
from tests.fakes.onnx_files import with_open_batch

SPEC = OpSpec.of("conv", (1, 8, 12, 12))


def prepared(source: Callable[[], nn.Module] | Path, spec: OpSpec = SPEC) -> tuple[float, ...]:
    device = Cpu.connect("")
    with device.quiet(1), OnnxRuntime().prepare(Workload(spec, source), device) as sampler:
        return tuple(sampler(4))


def test_what_onnx_runtime_does_not_know_is_unsupported(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, SPEC.input_shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, SPEC.input_shape)
    nodes = [helper.make_node("Warp", ["x"], ["y"], domain="lab")]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("lab", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=opsets, ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedOperationError, match=r"ONNX Runtime does not load .*Warp"):
        prepared(tmp_path / "m.onnx")


def test_a_file_that_leaves_its_batch_open_is_run(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(with_open_batch(lower(conv(), [SPEC.input_shape])))
    assert prepared(tmp_path / "m.onnx")[0] > 0


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
