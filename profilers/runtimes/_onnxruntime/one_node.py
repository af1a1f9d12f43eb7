"""Models of one node: an executed unit, to be measured alone and without further optimisation."""

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

from latency_tables import OpSpec, SpecError, Unit
from profilers.errors import UnsupportedOperationError
from profilers.lowering.onnx import INPUT_NAME, OPSET, OUTPUT_NAME
from profilers.runtimes._onnxruntime.call import Attribute
from profilers.runtimes._onnxruntime.executed import READS, VALUES, usual_reads
from profilers.runtimes._onnxruntime.shapes import BLOCKED, CHANNELS_LAST, FUSED, shape_is_bounded

_OPSETS = {"": OPSET, FUSED: 1, BLOCKED: 1, CHANNELS_LAST: OPSET}

#: ONNX Runtime 1.12, of 2022, reads it; newer ones do.
_IR_VERSION = 8

_SEED = 0


def one_node_model(spec: OpSpec) -> bytes:
    """Return an ONNX model whose only node is the unit ``spec``, with random constants.

    Its inputs have the shapes that tensors have in memory: those of blocked tensors are filled up.

    Raises:
        UnsupportedOperationError: It is no unit of ONNX Runtime.
    """
    try:
        unit = Unit.of(spec)
    except SpecError as error:
        raise UnsupportedOperationError(f"ONNX Runtime has no such unit: {error}") from error
    attributes = dict(unit.attributes)
    reads = attributes.pop(READS, usual_reads(len(unit.input_shapes), len(unit.weight_shapes)))
    if unit.domain not in _OPSETS or not _matches(unit, str(reads)) or not _is_bounded(unit):
        raise UnsupportedOperationError(f"{spec} is no unit of ONNX Runtime")
    values = {name: attributes.pop(name) for name in list(attributes) if name.startswith(VALUES)}
    inputs = [
        helper.make_tensor_value_info(_input(i), onnx.TensorProto.FLOAT, shape)
        for i, shape in enumerate(unit.input_shapes)
    ]
    constants = list(_constants(unit, str(reads), values))
    node = helper.make_node(unit.operator, list(_names(str(reads))), [OUTPUT_NAME], domain=unit.domain)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    output = helper.make_tensor_value_info(OUTPUT_NAME, onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "unit", inputs, [output], constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    content: bytes = helper.make_model(
        graph, opset_imports=opsets, ir_version=_IR_VERSION
    ).SerializeToString()
    return content


def _matches(unit: Unit, reads: str) -> bool:
    counts = (reads.count("i"), reads.count("w"), reads.count("_"))
    return counts[:2] == (len(unit.input_shapes), len(unit.weight_shapes)) and sum(counts) == len(reads)


def _is_bounded(unit: Unit) -> bool:
    """Tell whether memory for it can be asked for: keys come from tables, which are not trusted."""
    return all(map(shape_is_bounded, (*unit.input_shapes, *unit.weight_shapes, unit.output_shape)))


def _names(reads: str) -> Iterator[str]:
    """Yield the name of what is read at each position."""
    inputs = 0
    for position, letter in enumerate(reads):
        if letter == "i":
            yield _input(inputs)
            inputs += 1
        else:
            yield f"w{position}" if letter == "w" else ""


def _input(number: int) -> str:
    return INPUT_NAME if number == 0 else f"{INPUT_NAME}_{number}"


def _constants(unit: Unit, reads: str, values: dict[str, Attribute]) -> Iterator[onnx.TensorProto]:
    rng = np.random.default_rng(_SEED)
    positions = [position for position, letter in enumerate(reads) if letter == "w"]
    for position, shape in zip(positions, unit.weight_shapes, strict=True):
        given = values.get(f"{VALUES}{position}")
        if given is None:  # positive: a variance may be among them
            yield numpy_helper.from_array(rng.uniform(0.5, 1.5, shape).astype(np.float32), f"w{position}")
        elif isinstance(given, tuple) and len(given) == math.prod(shape):
            yield numpy_helper.from_array(np.array(given, np.int64).reshape(shape), f"w{position}")
        else:
            raise UnsupportedOperationError(
                f"constant {position} of {unit.operator} is no list of as many integers"
            )
