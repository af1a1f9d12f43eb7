"""Optimised graphs as ONNX Runtime writes them, made by hand."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 8, 6, 6)


def node(
    operator: str, *inputs: str, output: str = "y", domain: str = "", **attributes: object
) -> onnx.NodeProto:
    """Return a node that reads ``inputs``."""
    made = helper.make_node(operator, list(inputs), [output], domain=domain)
    made.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return made


def conv(*inputs: str, output: str = "y", domain: str = "", **attributes: object) -> onnx.NodeProto:
    """Return a convolution of ``x`` with ``w`` unless told otherwise, 3x3, keeping the size."""
    usual: dict[str, object] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "group": 1}
    usual |= attributes
    made = node("Conv", *(inputs or ("x", "w")), output=output, domain=domain)
    made.attribute.extend(helper.make_attribute(name, value) for name, value in usual.items())
    return made


def weights(name: str = "w", shape: Sequence[int] = (8, 8, 3, 3)) -> onnx.TensorProto:
    """Return random weights."""
    return numpy_helper.from_array(np.random.default_rng(0).random(shape, np.float32), name)


def integers(name: str, *values: int) -> onnx.TensorProto:
    """Return a list of integers."""
    return numpy_helper.from_array(np.array(values, np.int64), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto] = (),
    *,
    takes: int = TensorProto.FLOAT,
) -> bytes:
    """Return a file of ``nodes`` that reads ``x`` and writes what the last one does."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", takes, SHAPE)],
        [helper.make_tensor_value_info(nodes[-1].output[0] if nodes else "x", TensorProto.FLOAT, None)],
        list(constants),
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft.nchwc", 1)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return content
