"""The operations of a .tflite file, for whoever wants to know what it executes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from profilers.errors import UnsupportedOperationError
from profilers.lowering._tflite.graph import Graph, Operation

_CODES: Mapping[int, str] = {
    number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}

#: They say how numbers are rounded, not what is executed.
_ROUNDING = {"potScaleInt16", "quantizedBiasType"}


def read(content: bytes) -> tuple[Graph, frozenset[int]]:
    """Return the first graph of a file, and which of its tensors are of 8-bit integers.

    Its constants have their shapes; values have those of 32-bit integers alone, others are zeros.

    Args:
        content: A file whose offsets are verified.

    Raises:
        UnsupportedOperationError: An operation has several results, or a constant ends beyond the file.
    """
    model = schema.Model.GetRootAs(content)
    written = model.Subgraphs(0)
    graph = Graph()
    integers = set()
    for number in range(written.TensorsLength()):
        tensor = written.Tensors(number)
        graph.add_tensor(tuple(int(written.Tensors(number).Shape(i)) for i in range(tensor.ShapeLength())))
        if tensor.Type() == schema.TensorType.INT8:
            integers.add(number)
        buffer = stored(content, model.Buffers(tensor.Buffer()))
        if buffer:
            graph.constants[number] = _values(buffer, tensor, graph.shapes[number])
    graph.inputs = [int(written.Inputs(i)) for i in range(written.InputsLength())]
    graph.output = int(written.Outputs(0))
    graph.operations = list(_operations(model, written))
    return graph, frozenset(integers)


def batch_size(content: bytes) -> int:
    """Return how many images the first input of a file, whose offsets are verified, takes at once."""
    graph = schema.Model.GetRootAs(content).Subgraphs(0)
    return int(graph.Tensors(graph.Inputs(0)).Shape(0))


def names_at_borders(content: bytes) -> frozenset[str]:
    """Return the names of the tensors that are computed of pixels alone, and of those of probabilities.

    Args:
        content: A TFLite file that we wrote.
    """
    graph, _ = read(content)
    of_pixels: set[int] = set()
    found = set()
    for operation in graph.operations:
        sources = [each for each in operation.inputs if each not in graph.constants]
        is_by_channel = operation.code in ("MUL", "ADD") and of_pixels.issuperset(sources)
        if operation.code == "CAST" or is_by_channel:
            of_pixels.add(operation.output)
            found.add(operation.output)
        elif operation.code == "SOFTMAX":
            found.add(operation.output)
    written = schema.Model.GetRootAs(content).Subgraphs(0)
    return frozenset(written.Tensors(place).Name().decode() for place in found)


def stored(content: bytes, buffer: Any) -> bytes:
    """Return what a buffer holds, within the tables or, as the quantizer writes large files, behind them."""
    if buffer.DataLength():
        return bytes(buffer.DataAsNumpy())
    first, size = buffer.Offset(), buffer.Size()
    if min(first, size) <= 1:  # the schema's way to say that there is none
        return b""
    stored = content[first : first + size]
    if len(stored) != size:
        raise UnsupportedOperationError("a constant of this TFLite file ends beyond it; export it again")
    return stored


def _values(stored: bytes, tensor: Any, shape: tuple[int, ...]) -> Any:
    if tensor.Type() == schema.TensorType.INT32:
        return np.frombuffer(stored, dtype="<i4").reshape(shape)
    return np.broadcast_to(np.float32(0), shape)


def _operations(model: Any, written: Any) -> Iterator[Operation]:
    for number in range(written.OperatorsLength()):
        operator = schema.OperatorT.InitFromObj(written.Operators(number))
        code = _code(model.OperatorCodes(operator.opcodeIndex))
        if len(operator.outputs) != 1:
            raise UnsupportedOperationError(
                f"{code} of this TFLite file has {len(operator.outputs)} results; units have one"
            )
        given = tuple(int(tensor) for tensor in operator.inputs if tensor >= 0)  # -1 is one left out
        yield Operation(code, given, int(operator.outputs[0]), _options(operator.builtinOptions))


def _code(code: Any) -> str:
    custom = code.CustomCode()
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    return custom.decode(errors="replace") if custom else _CODES.get(number, f"BUILTIN_{number}")


def _options(read: Any) -> dict[str, int | bool]:
    options = vars(read) if read is not None else {}
    return {
        name: value for name, value in options.items() if isinstance(value, int) and name not in _ROUNDING
    }
