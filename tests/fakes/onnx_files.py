"""ONNX files as others export them."""

import onnx
import onnxruntime
import torch


def run(model: bytes, *inputs: torch.Tensor) -> torch.Tensor:
    """Run ``model``."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    (output,) = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
    return torch.tensor(output)


def with_open_batch(content: bytes) -> bytes:
    """Return the model ``content`` with the size of its batch left open."""
    model = onnx.load_model_from_string(content)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    changed: bytes = model.SerializeToString()
    return changed


def casting(element_type: int, shape: tuple[int, ...] = (1, 3, 8, 8), *, inputs: int = 1) -> bytes:
    """Return a model that sums up ``inputs`` inputs of an element type, as float32."""
    names = [f"x{i}" for i in range(inputs)]
    nodes = [onnx.helper.make_node("Cast", [x], [f"f{x}"], to=onnx.TensorProto.FLOAT) for x in names]
    graph = onnx.helper.make_graph(
        [*nodes, onnx.helper.make_node("Sum", [f"f{x}" for x in names], ["y"])],
        "casting",
        [onnx.helper.make_tensor_value_info(x, element_type, shape) for x in names],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
    )
    return of_graph(graph)


def of_graph(graph: onnx.GraphProto) -> bytes:
    """Return ``graph`` as a file."""
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content
