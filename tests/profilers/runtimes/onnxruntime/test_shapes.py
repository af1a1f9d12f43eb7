"""Shapes of nodes, held against what ONNX Runtime computes."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import helper

from latency_tables.units.unit import Unit
from profilers.runtimes._onnxruntime.executed import executed_graph
from profilers.runtimes._onnxruntime.session import open_session
from tests.fakes.optimised_graphs import SHAPE, conv, integers, model, weights


def node(operator: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
    made = helper.make_node(operator, ["x", *inputs], ["y"])
    made.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return made


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
        "MaxPool", kernel_shape=[2, 2], strides=[4, 4], pads=[0, 0, 1, 1], ceil_mode=1
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
def test_shapes_are_those_that_onnx_runtime_computes(name: str) -> None:
    check(NODES[name], CONSTANTS)


def test_a_slice_of_known_ends_has_the_shape_that_onnx_runtime_computes() -> None:
    for start, end, step in [(0, 2**63 - 1, 1), (1, 5, 2), (-1, -20, -1), (-3, 6, 1), (5, 1, -2)]:
        ends = [integers(name, value) for name, value in zip("abcd", (start, end, 2, step), strict=True)]
        check(node("Slice", *"abcd"), ends)


def check(one: onnx.NodeProto, constants: Sequence[onnx.TensorProto]) -> None:
    content = model([one], constants)
    session = open_session(content, threads=1, is_optimised=True, subject="a node")
    [output] = session.run(None, {"x": np.zeros(SHAPE, np.float32)})
    [found] = executed_graph(content, [SHAPE]).nodes
    assert Unit.of(found.unit).output_shape == output.shape
