"""Files whose inputs are not float32: measured, or unsupported."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

import devices
from latency_tables import Failure, FailureStatus, Measurement, OpSpec
from profilers import MeasurementPlan, Profiler, UnsupportedOperationError, formats, runtimes
from profilers.runtimes._reference import INPUT_TYPES, made_up_inputs
from tests.fakes import onnx_files, tflite_files

_HASTY = MeasurementPlan(block_s=1e-4, min_rounds=3, precision=0.5, spread_s=0)
_ONNX_NAMES = {"float32": "FLOAT", "float64": "DOUBLE"}


def measured(path: Path) -> Measurement | Failure:
    made_by = formats.of_file(path)
    with devices.connect("cpu") as device:
        [entry] = Profiler(device, runtimes.load(made_by.runtime), _HASTY).measure([made_by.workload(path)])
    return entry


def onnx_file(path: Path, kind: str, inputs: int = 1) -> Path:
    number = getattr(onnx.TensorProto, _ONNX_NAMES.get(kind, kind.upper()))
    path.write_bytes(onnx_files.casting(number, inputs=inputs))
    return path


@pytest.mark.parametrize("kind", INPUT_TYPES)
@pytest.mark.parametrize("inputs", [1, 2])
def test_an_onnx_file_of_any_number_type_is_measured(kind: str, inputs: int, tmp_path: Path) -> None:
    entry = measured(onnx_file(tmp_path / "m.onnx", kind, inputs))
    assert isinstance(entry, Measurement), entry
    assert entry.latency_s > 0


@pytest.mark.parametrize("kind", ["UINT8", "INT8", "INT16", "INT32", "INT64", "FLOAT16", "FLOAT32", "BOOL"])
def test_a_tflite_file_of_any_number_type_is_measured(kind: str, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(tflite_files.casting(kind))
    entry = measured(tmp_path / "m.tflite")
    assert isinstance(entry, Measurement), entry
    assert entry.latency_s > 0


@pytest.mark.parametrize("kind", ["string", "bfloat16", "complex64", "float8e4m3fn", "int4"])
def test_an_onnx_file_of_another_type_is_unsupported_by_name(kind: str, tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "m.onnx", kind)
    with pytest.raises(UnsupportedOperationError, match=rf"unsupported: it takes inputs of type {kind}"):
        formats.of_file(path).workload(path)


@pytest.mark.parametrize("kind", ["STRING", "COMPLEX64", "RESOURCE", "BFLOAT16"])
def test_a_tflite_file_of_another_type_is_unsupported(kind: str, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(tflite_files.casting(kind))
    path = tmp_path / "m.tflite"
    with pytest.raises(UnsupportedOperationError, match="unsupported"):
        formats.of_file(path).workload(path)


def test_inputs_of_several_types_are_unsupported(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(onnx_files.casting(onnx.TensorProto.FLOAT, inputs=2))
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedOperationError, match="float32, int64"):
        formats.of_file(tmp_path / "m.onnx").workload(tmp_path / "m.onnx")


def test_an_input_that_is_no_tensor_is_unsupported(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(onnx_files.casting(onnx.TensorProto.FLOAT))
    model.graph.input[0].type.CopyFrom(
        onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(1, (1, 2)))
    )
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedOperationError, match="other than tensor"):
        formats.of_file(tmp_path / "m.onnx").workload(tmp_path / "m.onnx")


def test_an_operation_that_does_not_take_the_type_is_a_failure_of_one_line(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(onnx_files.casting(onnx.TensorProto.UINT8))
    model.graph.node[0].op_type = "Sqrt"
    del model.graph.node[0].attribute[:]
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    entry = measured(tmp_path / "m.onnx")
    assert isinstance(entry, Failure)
    assert entry.status is FailureStatus.UNSUPPORTED
    assert "\n" not in entry.reason


def test_the_key_of_a_file_says_its_type_unless_that_is_float32(tmp_path: Path) -> None:
    kinds = {kind: onnx_file(tmp_path / f"{kind}.onnx", kind) for kind in ("float32", "uint8")}
    specs = {kind: formats.of_file(path).workload(path).spec for kind, path in kinds.items()}
    assert "takes" not in str(specs["float32"])
    assert "takes=uint8" in str(specs["uint8"])
    assert OpSpec.parse(str(specs["uint8"])) == specs["uint8"]


@pytest.mark.parametrize("kind", INPUT_TYPES)
def test_inputs_are_made_up_in_their_type_and_vary(kind: str) -> None:
    spec = OpSpec.of("onnx", (1, 3, 8, 8), inputs=2, takes=kind)
    values: Sequence[np.ndarray] = made_up_inputs(spec)
    assert {(one.dtype.name, one.shape) for one in values} == {(kind, (1, 3, 8, 8))}
    assert all(len(np.unique(one)) > 1 for one in values)
    if kind in ("int16", "int32", "int64", "uint16", "uint32", "uint64"):
        assert {int(number) for one in values for number in np.unique(one)} == {0, 1}
