"""TFLite files from somewhere else: read without trusting them, and measured as they are."""

import hashlib
from pathlib import Path

from devices._errors import ProfilingError
from latency_tables.spec import OpSpec
from profilers._layout import nchw_shape
from profilers.runtimes._runtime import Workload
from profilers.runtimes._tflite_interpreter import TfLiteModel

#: Larger files do not fit a flatbuffer's offsets, with what a phone can hold well below.
_LARGEST_BYTES = 1 << 30

#: What a file may say that its tensors take together, before anything is allocated for them.
_LARGEST_TENSORS_BYTES = 4 << 30

_IDENTIFIER = b"TFL3"


def read_tflite(path: Path) -> bytes:
    """Return the model in ``path``, which is whole and refers to no other file.

    Raises:
        ProfilingError: The file cannot be read, is too large, or is no TFLite model.
        DeviceError: Nothing here reads TFLite.
    """
    return _read(path)[0]


def file_workload(path: Path) -> Workload:
    """Return the network in ``path`` as a workload, whose spec has the digest of the file.

    Raises:
        ProfilingError: ``path`` is not to be read, or its inputs are not all of one shape.
        DeviceError: Nothing here reads TFLite.
    """
    content, model = _read(path)
    shapes = [nchw_shape(shape) for shape in model.input_shapes]
    if len(set(shapes)) != 1 or min(shapes[0], default=0) < 1:
        raise ProfilingError(f"{path} takes inputs of shapes {shapes}; export it for one fixed shape")
    digest = hashlib.sha256(content).hexdigest()[:16]
    return Workload(OpSpec.of("tflite", shapes[0], inputs=len(shapes), file=f"sha256.{digest}"), path)


def _read(path: Path) -> tuple[bytes, TfLiteModel]:
    try:
        size_bytes = path.stat().st_size
        if not path.is_file() or size_bytes > _LARGEST_BYTES:
            raise ProfilingError(f"{path} is not a file of up to {_LARGEST_BYTES} bytes; give a TFLite model")
        content = path.read_bytes()
    except OSError as error:
        raise ProfilingError(f"{path} cannot be read: {error.strerror}") from error
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
        from profilers.lowering._tflite_flatbuffer import has_external_values
    except ModuleNotFoundError:  # without ai-edge-litert; tflite_runtime is older than external values
        return False
    return has_external_values(content)
