"""ONNX files as others export them."""

import onnx


def with_open_batch(content: bytes) -> bytes:
    """Return the model ``content`` with the size of its batch left open."""
    model = onnx.load_model_from_string(content)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    changed: bytes = model.SerializeToString()
    return changed
