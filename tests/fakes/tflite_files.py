"""TFLite files as their reader sees them: what they compute, and what they consist of."""

from collections import Counter
from dataclasses import dataclass

import flatbuffers
import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

_CODES = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_RESOLVERS = {True: OpResolverType.AUTO, False: OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}


@dataclass(frozen=True)
class Content:
    """What a file says of itself.

    Attributes:
        operations: How often each operation occurs.
        activations: How many operations apply an activation of their own.
        tensors: Names, in order.
        inputs: Shape of each input.
        signature: Its key, the names of its inputs and those of its outputs.
    """

    operations: Counter[str]
    activations: int
    tensors: list[str]
    inputs: list[tuple[int, ...]]
    signature: tuple[str, list[str], list[str]]


def run(model: bytes, *inputs: torch.Tensor, delegated: bool = True) -> torch.Tensor:
    """Run ``model`` on tensors in torch's layout, by XNNPACK or by TFLite's own kernels."""
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=_RESOLVERS[delegated])
    interpreter.allocate_tensors()
    for place, x in zip(interpreter.get_input_details(), inputs, strict=True):
        values = x.numpy()
        interpreter.set_tensor(place["index"], np.moveaxis(values, 1, -1) if values.ndim == 4 else values)
    interpreter.invoke()
    [place] = interpreter.get_output_details()
    output = torch.tensor(interpreter.get_tensor(place["index"]))
    return output.movedim(-1, 1) if output.ndim == 4 else output


def content(model: bytes) -> Content:
    """Read what ``model`` consists of."""
    read = schema.ModelT.InitFromPackedBuf(model)
    [graph] = read.subgraphs
    [signature] = read.signatureDefs
    codes = [_CODES[code.builtinCode] for code in read.operatorCodes]
    options = [operator.builtinOptions for operator in graph.operators]
    return Content(
        operations=Counter(codes[operator.opcodeIndex] for operator in graph.operators),
        activations=sum(bool(getattr(option, "fusedActivationFunction", 0)) for option in options),
        tensors=[tensor.name.decode() for tensor in graph.tensors],
        inputs=[tuple(graph.tensors[i].shape.tolist()) for i in graph.inputs],
        signature=(
            signature.signatureKey.decode(),
            [entry.name.decode() for entry in signature.inputs],
            [entry.name.decode() for entry in signature.outputs],
        ),
    )


def types_of(model: bytes, code: str) -> set[tuple[str, str]]:
    """Return the types of the first input and of the result of each operation ``code``."""
    names = {number: name for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
    read = schema.ModelT.InitFromPackedBuf(model)
    [graph] = read.subgraphs
    wanted = [
        operator
        for operator in graph.operators
        if _CODES[read.operatorCodes[operator.opcodeIndex].builtinCode] == code
    ]
    pairs = [(operator.inputs[0], operator.outputs[0]) for operator in wanted]
    return {(names[graph.tensors[x].type], names[graph.tensors[y].type]) for x, y in pairs}


def weight_offsets(model: bytes) -> list[int]:
    """Return where in the file the values of each constant start."""
    read = schema.Model.GetRootAs(model)
    buffers = [read.Buffers(i) for i in range(read.BuffersLength())]
    return [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]


def with_custom_operation(model: bytes) -> bytes:
    """Return ``model`` with its first kind of operation made one that nobody knows."""
    read = schema.ModelT.InitFromPackedBuf(model)
    code = read.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "Warp"
    return packed(read)


def with_values_behind_the_tables(model: bytes) -> bytes:
    """Return ``model`` with its constants behind everything else, as the quantizer writes large files."""
    read = schema.ModelT.InitFromPackedBuf(model)
    stored = [buffer.data.tobytes() if buffer.data is not None else b"" for buffer in read.buffers]
    tables = b""
    for _ in range(2):  # where the constants start is known once the tables are written
        end = len(tables) or 1 << 16
        for buffer, content in zip(read.buffers, stored, strict=True):
            buffer.data, buffer.offset, buffer.size = None, end if content else 0, len(content)
            end += len(content)
        tables = packed(read)
    return tables + b"".join(stored)


def with_external_values(model: bytes) -> bytes:
    """Return ``model`` with a constant that is said to lie in another file."""
    read = schema.ModelT.InitFromPackedBuf(model)
    read.externalBufferGroups = [schema.ExternalBufferGroupT(name="weights.bin")]
    read.externalBuffers = [schema.ExternalBufferT(id=1, group=0, offset=0, length=4)]
    read.subgraphs[0].tensors[-1].externalBuffer = 1
    return packed(read)


def with_input_shape(model: bytes, shape: tuple[int, ...]) -> bytes:
    """Return ``model`` with another shape written on its first input."""
    read = schema.ModelT.InitFromPackedBuf(model)
    [graph] = read.subgraphs
    graph.tensors[graph.inputs[0]].shape = np.array(shape, dtype=np.int32)
    return packed(read)


def casting(kind: str, shape: tuple[int, ...] = (1, 8, 8, 3)) -> bytes:
    """Return a model of one input of the type ``kind``, ``"UINT8"``, that it gives back as float32."""
    types = (getattr(schema.TensorType, kind), schema.TensorType.FLOAT32)
    code = schema.BuiltinOperator.CAST
    graph = schema.SubGraphT(
        tensors=[
            schema.TensorT(shape=np.array(shape, np.int32), type=number, buffer=0, name=name)
            for name, number in zip(("x", "y"), types, strict=True)
        ],
        inputs=[0],
        outputs=[1],
        operators=[schema.OperatorT(opcodeIndex=0, inputs=[0], outputs=[1])],
    )
    model = schema.ModelT(
        version=3,
        operatorCodes=[schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1)],
        subgraphs=[graph],
        buffers=[schema.BufferT()],
    )
    return packed(model)


def packed(read: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(read.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def output_step(model: bytes) -> float:
    """Return how much one step of the 8-bit integers is, of which the outputs of ``model`` are made."""
    read = schema.ModelT.InitFromPackedBuf(model)
    [graph] = read.subgraphs
    [last] = [
        operator
        for operator in graph.operators
        if _CODES[read.operatorCodes[operator.opcodeIndex].builtinCode] == "DEQUANTIZE"
        and graph.tensors[operator.inputs[0]].buffer == 0
    ]
    return float(graph.tensors[last.inputs[0]].quantization.scale[0])
