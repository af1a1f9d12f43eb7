"""What holds for a file from somewhere else, whatever its format."""

from collections.abc import Callable
from pathlib import Path

import pytest

from profilers.errors import ProfilingError
from profilers.runtimes._model_file import file_spec
from profilers.runtimes._onnxruntime.file import read_onnx
from profilers.runtimes._tflite.file import read_tflite

readers = pytest.mark.parametrize("read", [read_onnx, read_tflite])


@readers
def test_a_folder_or_a_missing_file_is_refused(read: Callable[[Path], bytes], tmp_path: Path) -> None:
    with pytest.raises(ProfilingError, match="is not a file"):
        read(tmp_path)
    with pytest.raises(ProfilingError, match="cannot be read: No such file"):
        read(tmp_path / "none")


@readers
def test_a_file_beyond_the_limit_is_refused_before_it_is_read(
    read: Callable[[Path], bytes], tmp_path: Path
) -> None:
    with (tmp_path / "model").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(ProfilingError, match="is not a file of up to"):
        read(tmp_path / "model")


def test_a_key_tells_formats_shapes_and_contents_apart() -> None:
    shapes = ((1, 3, 8, 8), (2, 3, 8, 8))
    keys = {
        file_spec(Path("m"), content, kind=kind, shapes=[shape])
        for content in (b"a", b"b")
        for kind in ("onnx", "tflite")
        for shape in shapes
    }
    assert len(keys) == 8


@pytest.mark.parametrize("shapes", [[], [()], [(1, 0)], [(1, 2), (1, 3)]])
def test_inputs_that_are_not_all_of_one_known_size_have_no_key(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ProfilingError, match=r"takes inputs of shapes \[.*export it for one fixed shape"):
        file_spec(Path("m"), b"", kind="onnx", shapes=shapes)
