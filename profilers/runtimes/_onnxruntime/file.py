"""ONNX files from somewhere else: read without trusting them, and measured as they are."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from profilers.errors import ProfilingError
from profilers.runtimes._model_file import file_spec, read_bounded
from profilers.runtimes._onnxruntime.limits import parts, require_bounded
from profilers.runtimes._runtime import Workload

_NUMPY_NAMES = {"float": "float32", "double": "float64"}


def read_onnx(path: Path) -> bytes:
    """Return the model in ``path``, which refers to no other file.

    ONNX Runtime reads what a model names as external data, through a hard link even outside of the model's
    folder; so give it these bytes, never the path.

    Raises:
        ProfilingError: The file cannot be read, is too large, is no ONNX model, has external data,
            or declares more nodes or larger tensors than are run.
    """
    content = read_bounded(path, "an ONNX model")
    try:
        model = onnx.load_model_from_string(content)
        _require_whole(path, model)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ProfilingError(f"{path} is no ONNX model, or damaged; export it again") from error
    return content


def _require_whole(path: Path, model: onnx.ModelProto) -> None:
    """Check that ``model`` has a graph, refers to no other file, and is within the limits."""
    if not model.HasField("graph"):
        raise ProfilingError(f"{path} is an ONNX file without a graph; export it again")
    for tensor in parts(model, onnx.TensorProto):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ProfilingError(
                f"{path} keeps tensor {tensor.name[:64]!r} in another file; save it as one file"
            )
    try:
        require_bounded(model)
    except ProfilingError as error:
        raise ProfilingError(f"{path} {error}") from error


def onnx_workload(path: Path) -> Workload:
    """Return the network in ``path`` as a workload, whose spec has the digest of the file.

    A batch size that the model leaves open is measured as 1.

    Raises:
        ProfilingError: ``path`` is not to be read, or its inputs are not all of one shape and known size.
    """
    content = read_onnx(path)
    graph = onnx.load_model_from_string(content).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [node for node in graph.input if node.name not in weights]
    spec = file_spec(
        path,
        content,
        kind="onnx",
        shapes=[_shape(node) for node in inputs],
        types=[_type(node) for node in inputs],
    )
    return Workload(spec, path)


def file_type(name: str) -> str:
    """Return numpy's name of the element type that ONNX calls ``name``: "float" is its float32."""
    return _NUMPY_NAMES.get(name, name)


def tensor_type(kind: str) -> str:
    """Return numpy's name of what ONNX Runtime calls ``tensor(float)``."""
    return file_type(kind.removeprefix("tensor(").removesuffix(")"))


def _shape(node: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the sizes of an input; one that is left open is 1 for the batch, and 0 elsewhere."""
    sizes = [dimension.dim_value for dimension in node.type.tensor_type.shape.dim]
    return tuple(size or (1 if i == 0 else 0) for i, size in enumerate(sizes))


def _type(node: onnx.ValueInfoProto) -> str:
    """Return the type of the numbers of an input, by numpy's name."""
    if node.type.WhichOneof("value") != "tensor_type":
        return "other than tensor"
    number = node.type.tensor_type.elem_type
    known = onnx.TensorProto.DataType.values()
    return file_type(onnx.TensorProto.DataType.Name(number).lower()) if number in known else f"type {number}"
