"""A TFLite graph as the bytes of a .tflite file."""

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from profilers.lowering._tflite.graph import Graph, Operation

INPUT_NAME, OUTPUT_NAME, SIGNATURE = "input", "output", "serving_default"

FILE_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3

#: The schema wants the values of a tensor to start at a multiple of it, within the file.
_ALIGNMENT = 16

#: Below it, the field that older readers know holds the code of an operation.
_LARGEST_OLD_CODE = 127

_TYPES = {np.dtype(np.float32): schema.TensorType.FLOAT32, np.dtype(np.int32): schema.TensorType.INT32}

_OPTIONS = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GELU": "GeluOptions",
    "HARD_SWISH": "HardSwishOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "PAD": "PadOptions",
    "RESHAPE": "ReshapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
}

#: Options of which the schema's own value is not ours.
_FIXED = {"SOFTMAX": {"beta": 1.0}}

#: The versions that say what we use: dilated depthwise convolutions, convolutions in groups, and values of
#: half precision.
_VERSIONS = {"DEPTHWISE_CONV_2D": 2, "CONV_2D": 6, "DEQUANTIZE": 3}


def serialize(graph: Graph) -> bytes:
    """Return ``graph`` as a file with one signature; equal graphs give equal bytes.

    Inputs are called "input", "input_1" and so on, the result "output"; every tensor has a name of its own.
    """
    names = _names(graph)
    numbers = {tensor: number for number, tensor in enumerate(names)}
    codes = sorted({operation.code for operation in graph.operations})
    buffers = [schema.BufferT()]  # of tensors without known values
    tensors = []
    for tensor, name in names.items():
        if tensor in graph.constants:
            buffers.append(schema.BufferT(data=graph.constants[tensor]))
        tensors.append(
            _tensor(graph, tensor, name, buffer=len(buffers) - 1 if tensor in graph.constants else 0)
        )
    inputs = [numbers[tensor] for tensor in graph.inputs]
    subgraph = schema.SubGraphT(
        tensors=tensors,
        inputs=inputs,
        outputs=[numbers[graph.output]],
        operators=[_operator(operation, codes, numbers) for operation in graph.operations],
        name="main",
    )
    model = schema.ModelT(
        version=_SCHEMA_VERSION,
        operatorCodes=[operator_code(code) for code in codes],
        subgraphs=[subgraph],
        description="cars_hw",
        buffers=buffers,
        signatureDefs=[_signature(names, graph, numbers)],
    )
    return packed(model)


def packed(model: Any) -> bytes:
    """Return a model of the schema as a file; the values of its tensors are aligned."""
    model.buffers = [each if each.data is None else _Values(each.data) for each in model.buffers]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def unpacked(content: bytes) -> Any:
    """Return a file, trusted, as a model of the schema that can be changed; all its values are in it."""
    model = schema.ModelT.InitFromPackedBuf(content)
    for buffer in model.buffers:
        if buffer.data is None and buffer.offset > 1:  # behind the tables, as in large files of the quantizer
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
    return model


def place_of_code(model: Any, code: str) -> int:
    """Return the place of the operation ``code`` in a model, which is added where it has none."""
    wanted = operator_code(code)
    numbers = [each.builtinCode for each in model.operatorCodes]
    if wanted.builtinCode not in numbers:
        model.operatorCodes.append(wanted)
        return len(numbers)
    return numbers.index(wanted.builtinCode)


def add_values(model: Any, values: NDArray[np.generic]) -> int:
    """Add what a tensor or an entry of a model holds; return its place."""
    model.buffers.append(schema.BufferT(data=values.reshape(-1).view(np.uint8)))
    return len(model.buffers) - 1


def operator_code(code: str) -> Any:
    """Return the entry of a model for the operation ``code``."""
    number = getattr(schema.BuiltinOperator, code)
    return schema.OperatorCodeT(
        builtinCode=number,
        deprecatedBuiltinCode=min(number, _LARGEST_OLD_CODE),
        version=_VERSIONS.get(code, 1),
    )


def has_external_values(content: bytes) -> bool:
    """Tell whether a file, whose offsets are verified, refers to values outside of itself."""
    model = schema.Model.GetRootAs(content)
    return bool(model.ExternalBufferGroupsLength() or model.ExternalBuffersLength())


class _Values(schema.BufferT):  # type: ignore[misc]  # generated code has no types
    """The values of a tensor, aligned as the schema asks for, which generated Python code does not do."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  (of the generated code)
        content = np.ascontiguousarray(self.data).tobytes()
        builder.StartVector(1, len(content), _ALIGNMENT)
        builder.head = head = builder.Head() - len(content)
        builder.Bytes[head : head + len(content)] = content
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def _names(graph: Graph) -> dict[int, str]:
    """Return the name of every tensor that is used, inputs first, then in the order of their first use."""
    names = {tensor: INPUT_NAME if i == 0 else f"{INPUT_NAME}_{i}" for i, tensor in enumerate(graph.inputs)}
    for operation in graph.operations:
        for tensor in (*operation.inputs, operation.output):
            kind = "constant" if tensor in graph.constants else operation.code.lower()
            names.setdefault(tensor, f"{kind}_{len(names)}")
    names[graph.output] = OUTPUT_NAME
    return names


def _tensor(graph: Graph, tensor: int, name: str, *, buffer: int) -> Any:
    shape = np.array(graph.shapes[tensor], dtype=np.int32)
    written = schema.TensorT(shape=shape, type=schema.TensorType.FLOAT32, buffer=buffer, name=name)
    if tensor in graph.constants:
        written.type = _TYPES[graph.constants[tensor].dtype]
        return written
    if tensor in graph.pixels:
        written.type = schema.TensorType.UINT8
    if graph.is_batch_free:
        written.shapeSignature = np.array([-1, *shape[1:]], dtype=np.int32)
    return written


def _operator(operation: Operation, codes: list[str], numbers: dict[int, int]) -> Any:
    operator = schema.OperatorT(
        opcodeIndex=codes.index(operation.code),
        inputs=[numbers[tensor] for tensor in operation.inputs],
        outputs=[numbers[operation.output]],
    )
    kind = _OPTIONS.get(operation.code)
    if kind is not None:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        options = _FIXED.get(operation.code, {}) | operation.options
        operator.builtinOptions = getattr(schema, f"{kind}T")(**options)
    return operator


def _signature(names: dict[int, str], graph: Graph, numbers: dict[int, int]) -> Any:
    def entry(tensor: int) -> Any:
        return schema.TensorMapT(name=names[tensor], tensorIndex=numbers[tensor])

    return schema.SignatureDefT(
        inputs=[entry(tensor) for tensor in graph.inputs],
        outputs=[entry(graph.output)],
        signatureKey=SIGNATURE,
        subgraphIndex=0,
    )
