"""ONNX files from somewhere else: read without trusting them, and measured as they are."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, Message

from profilers.errors import ProfilingError
from profilers.runtimes._model_file import file_spec, read_bounded
from profilers.runtimes._runtime import Workload


def read_onnx(path: Path) -> bytes:
    """Return the model in ``path``, which refers to no other file.

    ONNX Runtime reads what a model names as external data, through a hard link even outside of the model's
    folder; so give it these bytes, never the path.

    Raises:
        ProfilingError: The file cannot be read, is too large, is no ONNX model, or has external data.
    """
    content = read_bounded(path, "an ONNX model")
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ProfilingError(f"{path} is no ONNX model, or damaged; export it again") from error
    if not model.HasField("graph"):
        raise ProfilingError(f"{path} is an ONNX file without a graph; export it again")
    for tensor in _tensors(model):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ProfilingError(
                f"{path} keeps tensor {tensor.name[:64]!r} in another file; save it as one file"
            )
    return content


def onnx_workload(path: Path) -> Workload:
    """Return the network in ``path`` as a workload, whose spec has the digest of the file.

    A batch size that the model leaves open is measured as 1.

    Raises:
        ProfilingError: ``path`` is not to be read, or its inputs are not all of one shape and known size.
    """
    content = read_onnx(path)
    graph = onnx.load_model_from_string(content).graph
    weights = {tensor.name for tensor in graph.initializer}
    shapes = [_shape(node) for node in graph.input if node.name not in weights]
    return Workload(file_spec(path, content, kind="onnx", shapes=shapes), path)


def _shape(node: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the sizes of an input; one that is left open is 1 for the batch, and 0 elsewhere."""
    sizes = [dimension.dim_value for dimension in node.type.tensor_type.shape.dim]
    return tuple(size or (1 if i == 0 else 0) for i, size in enumerate(sizes))


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """Walk every tensor of a model: initializers, attributes, subgraphs, functions, sparse tensors."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                yield from _tensors(part)
