"""What an ONNX file says of itself, held against limits before a runtime allocates anything for it."""

import math
from collections.abc import Iterable, Iterator, Sequence

import onnx
from google.protobuf.message import Message

from profilers.errors import ProfilingError

#: The largest networks that are measured have some ten thousand.
_MOST_NODES = 100_000

#: The most elements of one tensor, 4 GiB of float32: no network of those measured here comes near.
_MOST_ELEMENTS = 1 << 30

#: Sizes in the shape that ConstantOfShape is given.
_HIGHEST_RANK = 16


def require_bounded(model: onnx.ModelProto) -> None:
    """Check the number of nodes, and the sizes of all tensors that the file declares.

    Raises:
        ProfilingError: One is beyond the limits.
    """
    nodes = list(parts(model, onnx.NodeProto))
    if len(nodes) > _MOST_NODES:
        raise ProfilingError(f"has {len(nodes)} nodes; up to {_MOST_NODES} are run")
    tensors = list(parts(model, onnx.TensorProto))
    for tensor in tensors:
        _require_size(tensor.name, tensor.dims)
    for value in parts(model, onnx.ValueInfoProto):
        _require_size(value.name, [size.dim_value for size in value.type.tensor_type.shape.dim])
    shapes = {tensor.name: tensor for tensor in tensors}
    shapes |= {
        name: attribute.t
        for node in nodes
        if node.op_type == "Constant"
        for name, attribute in zip(node.output, node.attribute, strict=False)
    }
    for node in nodes:
        if node.op_type == "ConstantOfShape" and node.input and node.input[0] in shapes:
            _require_size(node.name or "of ConstantOfShape", _sizes(shapes[node.input[0]]))


def parts(message: Message, kind: type[Message]) -> Iterator[Message]:
    """Walk every ``kind`` of a model: of its graph, attributes, subgraphs and functions."""
    pending = [message]
    while pending:
        part = pending.pop()
        if isinstance(part, kind):
            yield part
        for field, value in part.ListFields():
            if field.message_type is not None:
                pending += value if field.is_repeated else (value,)


def _require_size(name: str, sizes: Iterable[int]) -> None:
    sizes = list(sizes)
    if min(sizes, default=0) < 0 or math.prod(size for size in sizes if size) > _MOST_ELEMENTS:
        shape = "x".join(map(str, sizes[:8]))
        raise ProfilingError(
            f"has tensor {name[:64]!r} of {shape:.80} elements; up to {_MOST_ELEMENTS} are run"
        )


def _sizes(tensor: onnx.TensorProto) -> Sequence[int]:
    """Return the values of a tensor that gives a shape; none where it is no short list of int64."""
    if tensor.data_type != onnx.TensorProto.INT64 or math.prod(tensor.dims) > _HIGHEST_RANK:
        return []
    try:
        return [int(size) for size in onnx.numpy_helper.to_array(tensor).ravel()]
    except ValueError:  # it declares another number of values than it has: the runtime refuses that
        return []
