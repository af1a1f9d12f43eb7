"""What is changed in an ONNX file that is written: weights of half precision, and what it tells of itself."""

import json

import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from pydantic import JsonValue

from profilers._layout import IMAGE_RANK
from profilers.errors import ProfilingError
from profilers.lowering.description import KEY, Description, facts_from_json
from profilers.lowering.halves import halves

#: Words of ONNX's documentation of metadata: by channels, and by mean and std.
_PIXEL_FORMATS = {1: "Gray8", 3: "Rgb8"}
_PIXEL_RANGES = {
    (0.0, 1.0): "NominalRange_0_255",
    (0.0, 255.0): "Normalized_0_1",
    (127.5, 127.5): "Normalized_1_1",
}

#: Operations that have nearly all of a network's weights, as their second input.
_WEIGHTED = ("Conv", "Gemm", "MatMul")


def halved(content: bytes) -> bytes:
    """Return a float model whose weights take half the bytes; they are converted back when it is loaded.

    Args:
        content: An ONNX file that we wrote.

    Raises:
        UnsupportedOperationError: A weight is too large for half precision.
    """
    model = onnx.load_model_from_string(content)
    weights = {node.input[1] for node in model.graph.node if node.op_type in _WEIGHTED}
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.name in weights:
            name, stored = tensor.name, halves(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(stored, f"{name}/half"))
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return _serialized(model)


def embed(content: bytes, description: Description) -> bytes:
    """Return an ONNX file, trusted, with ``description`` inside, in the place of one that was there.

    All facts stand under one key; beside it stand those that other tools look for, under names of theirs:
    ``names`` with the classes by their number, and the format and the range of pixels that ONNX's
    documentation of metadata defines.
    """
    model = onnx.load_model_from_string(content)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, kept | _properties(model, description))
    model.doc_string = description.text.encode(errors="replace").decode()
    return _serialized(model)


def embedded(content: bytes) -> dict[str, JsonValue] | None:
    """Return the facts that an ONNX file, not trusted, holds; ``None`` where it holds none.

    Raises:
        ProfilingError: It is no ONNX file, or what stands in their place is not to be read.
    """
    try:
        model = onnx.load_model_from_string(content)
        properties = {entry.key: entry.value for entry in model.metadata_props}
    except (DecodeError, UnicodeDecodeError) as error:
        raise ProfilingError("no ONNX model, or damaged; export it again") from error
    return facts_from_json(properties[KEY]) if KEY in properties else None


def _properties(model: onnx.ModelProto, description: Description) -> dict[str, str]:
    """Return what is written into a model, as text of ASCII."""
    properties: dict[str, JsonValue] = {
        "name": description.name,
        "names": {str(i): name for i, name in enumerate(description.class_names)},
        "mean": list(description.mean),
        "std": list(description.std),
        "outputs": description.outputs_are,
    }
    written = {key: each if isinstance(each, str) else json.dumps(each) for key, each in properties.items()}
    return written | _pixels(model, description) | {KEY: description.facts_as_json()}


def _pixels(model: onnx.ModelProto, description: Description) -> dict[str, str]:
    """Return the format and the range of pixels, as far as ONNX has words for them."""
    sizes = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim]
    known = {}
    if len(sizes) == IMAGE_RANK and sizes[1] in _PIXEL_FORMATS:
        known["Image.BitmapPixelFormat"] = _PIXEL_FORMATS[sizes[1]]
    pairs = set(zip(description.mean, description.std, strict=True))
    words = {_PIXEL_RANGES.get(pair) for pair in pairs}
    if len(words) == 1 and (word := words.pop()) is not None:
        known["Image.NominalPixelRange"] = word
    return known


def _serialized(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))
