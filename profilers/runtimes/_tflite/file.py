"""TFLite files from somewhere else: read without trusting them, and measured as they are."""

from pathlib import Path

from profilers._layout import nchw_shape
from profilers.errors import ProfilingError
from profilers.runtimes._model_file import file_spec, read_bounded
from profilers.runtimes._runtime import Workload
from profilers.runtimes._tflite.interpreter import TfLiteModel

#: The most that the tensors of a file may take together, before anything is allocated for them.
_LARGEST_TENSORS_BYTES = 4 << 30

_IDENTIFIER = b"TFL3"


def read_tflite(path: Path) -> bytes:
    """Return the model in ``path``, which is whole and refers to no other file.

    Raises:
        ProfilingError: The file cannot be read, is too large, or is no TFLite model.
        DeviceError: Nothing here reads TFLite.
    """
    return _read(path)[0]


def tflite_workload(path: Path) -> Workload:
    """Return the network in ``path`` as a workload, whose spec has the digest of the file.

    Raises:
        ProfilingError: ``path`` is not to be read, or its inputs are not all of one shape.
        DeviceError: Nothing here reads TFLite.
    """
    content, model = _read(path)
    shapes = [nchw_shape(shape) for shape in model.input_shapes]
    return Workload(file_spec(path, content, kind="tflite", shapes=shapes, types=model.input_types), path)


def _read(path: Path) -> tuple[bytes, TfLiteModel]:
    content = read_bounded(path, "a TFLite model")
    if content[4:8] != _IDENTIFIER:
        raise ProfilingError(f"{path} is no TFLite model; export it again")
    try:
        model = TfLiteModel(content)  # verifies every offset of the file, and allocates nothing
    except ProfilingError as error:
        raise ProfilingError(f"{path} is {error}; export it again") from error
    if _has_external_values(content):
        raise ProfilingError(f"{path} keeps values in another file; save it as one file")
    if model.declared_bytes() > _LARGEST_TENSORS_BYTES:
        raise ProfilingError(
            f"{path} wants more than {_LARGEST_TENSORS_BYTES} bytes of memory; it is not run"
        )
    return content, model


def _has_external_values(content: bytes) -> bool:
    try:
        from profilers.lowering._tflite.flatbuffer import has_external_values
    except ModuleNotFoundError:  # without ai-edge-litert; tflite_runtime is older than external values
        return False
    return has_external_values(content)
