"""Shapes of nodes, held against onnx's own inference where that knows the operator."""

import onnx
import pytest
from onnx import TensorProto, helper, shape_inference

from latency_tables.units.unit import Unit
from profilers.runtimes._onnxruntime.executed import executed_graph
from tests.fakes.optimised_graphs import SHAPE, conv, integers, model, weights


def node(operator: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, ["x", *inputs], ["y"], **attributes)


WINDOWS = {"kernel_shape": [3, 2], "strides": [2, 1]}

NODES = {
    "conv": conv(),
    "conv of strides and dilations": conv(strides=[2, 3], dilations=[2, 1], pads=[0, 2, 1, 0]),
    "conv of the same size": helper.make_node(
        "Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[4, 2]
    ),
    "conv of valid places": helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="VALID"),
    "max pool": node("MaxPool", **WINDOWS, pads=[1, 0, 0, 1]),
    "average pool": node("AveragePool", **WINDOWS),
    "pool rounded up": node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "pool rounded up beside the image": node(
        "MaxPool", kernel_shape=[1, 1], strides=[5, 5], pads=[0, 0, 3, 3], ceil_mode=1
    ),
    "global pool": node("GlobalAveragePool"),
    "concat": node("Concat", "x", axis=-3),
    "flatten": node("Flatten"),
    "flatten from behind": node("Flatten", axis=-1),
    "reshape": node("Reshape", "shape"),
    "transpose": node("Transpose", perm=[0, 2, 3, 1]),
    "transpose of all": node("Transpose"),
    "squeeze": node("Squeeze", "zero"),
    "unsqueeze": node("Unsqueeze", "zero"),
    "pad": node("Pad", "pads"),
    "mean": node("ReduceMean", axes=[2, 3], keepdims=0),
    "mean of all": node("ReduceMean"),
    "matrix product": node("MatMul", "square"),
    "sum of one row": node("Add", "row"),
}
CONSTANTS = [
    weights(),
    weights("square", (6, 5)),
    weights("row", (6,)),
    integers("shape", 0, -1, 2, 3),
    integers("zero", 0),
    integers("pads", 0, 0, 1, 2, 0, 0, 0, 3),
]


@pytest.mark.parametrize("name", NODES)
def test_shapes_are_those_that_onnx_infers(name: str) -> None:
    check(NODES[name])


def test_a_slice_of_known_ends_has_the_shape_that_onnx_infers() -> None:
    for start, end, step in [(0, 2**63 - 1, 1), (1, 5, 2), (-1, -20, -1), (-3, 6, 1), (5, 1, -2)]:
        ends = [integers(name, value) for name, value in zip("abcd", (start, end, 2, step), strict=True)]
        check(node("Slice", *"abcd"), ends)


def check(one: onnx.NodeProto, constants: list[onnx.TensorProto] | None = None) -> None:
    content = model([one], CONSTANTS if constants is None else constants)
    inferred = shape_inference.infer_shapes(onnx.load_model_from_string(content), strict_mode=True)
    sizes = inferred.graph.output[0].type.tensor_type.shape.dim
    [found] = executed_graph(content, [SHAPE]).nodes
    assert Unit.of(found.unit).output_shape == tuple(size.dim_value for size in sizes)
    assert inferred.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
