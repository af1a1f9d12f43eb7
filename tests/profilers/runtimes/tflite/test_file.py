"""TFLite files from somewhere else: read without trusting them."""

from pathlib import Path

import pytest
from torch import nn

from profilers.errors import ProfilingError
from profilers.lowering.onnx import lower as lower_to_onnx
from profilers.lowering.tflite import lower
from profilers.runtimes._tflite.file import read_tflite, tflite_workload
from tests.fakes.modules import Sum
from tests.fakes.tflite_files import with_external_values, with_input_shape

IMAGE = (1, 3, 9, 7)


def conv() -> bytes:
    return lower(nn.Conv2d(3, 4, 3).eval(), [IMAGE])


def test_a_model_is_read_as_it_is(tmp_path: Path) -> None:
    content = conv()
    (tmp_path / "m.tflite").write_bytes(content)
    assert read_tflite(tmp_path / "m.tflite") == content


def test_a_file_is_a_workload_of_its_inputs_in_torch_s_order_and_its_content(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(conv())
    workload = tflite_workload(path)
    assert workload.source == path
    assert workload.spec.input_shapes == (IMAGE,)
    path.write_bytes(lower(Sum(), [(2, 8), (2, 8)]))
    assert tflite_workload(path).spec.input_shapes == ((2, 8), (2, 8))
    assert tflite_workload(path).spec.kind == workload.spec.kind == "tflite"
    path.write_bytes(lower(nn.Conv2d(3, 4, 3).eval(), [IMAGE]))
    assert tflite_workload(path).spec != workload.spec  # other weights


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"not a model", b"\xff" * 1000, b"\x00" * 4 + b"TFL3" * 99]
)
def test_what_is_no_model_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(ProfilingError, match="export it again") as caught:
        read_tflite(tmp_path / "m.tflite")
    assert "\n" not in str(caught.value)


def test_another_format_is_refused_even_under_this_suffix(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(lower_to_onnx(nn.Conv2d(3, 4, 3).eval(), [IMAGE]))
    with pytest.raises(ProfilingError, match="no TFLite model"):
        tflite_workload(tmp_path / "m.tflite")


def test_a_cut_model_is_refused(tmp_path: Path) -> None:
    content = conv()
    for length in range(0, len(content) - 1, 7):
        (tmp_path / "m.tflite").write_bytes(content[:length])
        with pytest.raises(ProfilingError, match="export it again"):
            read_tflite(tmp_path / "m.tflite")


def test_values_in_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(with_external_values(conv()))
    with pytest.raises(ProfilingError, match="values in another file; save it as one file"):
        read_tflite(tmp_path / "m.tflite")


@pytest.mark.parametrize(
    ("height", "why"), [(1 << 16, "wants more than 4294967296 bytes"), (-(1 << 16), "or a damaged one")]
)
def test_a_file_that_wants_too_much_memory_is_refused(height: int, why: str, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(with_input_shape(conv(), (1, height, 1 << 14, 3)))
    with pytest.raises(ProfilingError, match=why) as caught:
        read_tflite(tmp_path / "m.tflite")
    assert "\n" not in str(caught.value)


def test_inputs_of_different_or_unknown_sizes_are_no_workload(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(with_input_shape(lower(Sum(), [(2, 8), (2, 8)]), (1, 8)))
    with pytest.raises(ProfilingError, match="export it for one fixed shape"):
        tflite_workload(path)
    path.write_bytes(with_input_shape(conv(), (1, 0, 7, 3)))
    with pytest.raises(ProfilingError, match="export it for one fixed shape"):
        tflite_workload(path)
