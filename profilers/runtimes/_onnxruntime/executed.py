"""What ONNX Runtime executes of a network, read from the optimised graph that it writes: never trusted.

The key of a unit holds, beside what every unit's has:

* the shapes that tensors have in memory, see ``shapes``: channels of blocked tensors are filled up;
* ``a.reads``, where a node does not read all tensors of the network first and then its constants: a letter
  for each position, ``i`` for a tensor of the network, ``w`` for a constant, ``_`` for none. A convolution
  that adds another tensor to what it computes reads ``iwwi``;
* ``a.values1``, ``a.values2``, ...: a constant of few integers by its position, such as the ends of a slice.

Names, and numbers that change no work (``epsilon``), are not part of it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from latency_tables import IMAGE, ExecutedGraph, ExecutedNode, OpSpec, SpecError, Unit
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._onnxruntime.call import Attribute, Call, Operand, Shape
from profilers.runtimes._onnxruntime.shapes import BLOCKED, output_shape, shape_is_bounded

READS, VALUES = "reads", "values"

#: Ends of a slice are numbers beyond any size; a key takes no larger ones.
_LARGEST_VALUE = 10**18 - 1
_MOST_VALUES = 16

#: The largest networks that are measured have some ten thousand.
_MOST_NODES = 100_000

_FLOAT, _INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64

#: They change no work.
_IDLE = frozenset({"epsilon", "momentum"})

#: Distinct nodes whose keys are remembered: those of a space are some hundreds.
_REMEMBERED = 1 << 14


def executed_graph(content: bytes, input_shapes: Sequence[Shape]) -> ExecutedGraph:
    """Return the units of an optimised graph, in the order of the file, which is one of execution.

    Args:
        content: An ONNX file that ONNX Runtime wrote.
        input_shapes: Of the inputs of the network, in their order.

    Raises:
        UnsupportedOperationError: A node has no key: its operator is not known, or it takes no float32.
        ProfilingError: The file is damaged, or contradicts itself.
    """
    return _Reading(_parsed(content), input_shapes).graph()


def named_units(content: bytes, input_shapes: Sequence[Shape]) -> dict[str, OpSpec]:
    """Return the units of an optimised graph by the names of their nodes, those of one node alone.

    Raises:
        UnsupportedOperationError: As ``executed_graph`` says.
        ProfilingError: As ``executed_graph`` says.
    """
    reading = _Reading(_parsed(content), input_shapes)
    names = reading.names
    often = Counter(names)
    named = zip(names, reading.graph().nodes, strict=True)
    return {name: node.unit for name, node in named if name and often[name] == 1}


def _parsed(content: bytes) -> onnx.GraphProto:
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ProfilingError(
            "the optimised graph that ONNX Runtime wrote is damaged; run it again"
        ) from error
    graph = model.graph
    if len(graph.node) > _MOST_NODES:
        raise ProfilingError(f"an optimised graph has {len(graph.node)} nodes; up to {_MOST_NODES} are read")
    return graph


class _Reading:
    """The walk through one optimised graph.

    Args:
        graph: The file's.
        input_shapes: Of the inputs of the network.
    """

    def __init__(self, graph: onnx.GraphProto, input_shapes: Sequence[Shape]) -> None:
        self._nodes = [node for node in graph.node if node.op_type != "Constant"]
        self._operands = dict(_constants(graph))
        self._positions = dict(self._inputs(graph, input_shapes))
        self._channels = dict(_blocked_channels(self._nodes, self._operands))

    @property
    def names(self) -> list[str]:
        """The names of the nodes, in their order; some may be empty, and all are after ``graph``."""
        return [node.name for node in self._nodes]

    def graph(self) -> ExecutedGraph:
        """Return the units of all nodes, which lose their names: to be called once."""
        if not self._nodes:
            raise ProfilingError("an optimised graph without nodes computes nothing")
        return ExecutedGraph(tuple(self._read(position, node) for position, node in enumerate(self._nodes)))

    def _inputs(self, graph: onnx.GraphProto, shapes: Sequence[Shape]) -> Iterator[tuple[str, int]]:
        """Note the shapes of the network's inputs; yield their names as those of images."""
        inputs = [value for value in graph.input if value.name not in self._operands]
        if len(inputs) != len(shapes):
            raise ProfilingError(f"an optimised graph reads {len(inputs)} tensors, not {len(shapes)}")
        for value, shape in zip(inputs, shapes, strict=True):
            if value.type.tensor_type.elem_type != _FLOAT:
                raise UnsupportedOperationError(
                    f"input {value.name[:64]!r} is not float32; units are of float32 networks"
                )
            self._operands[value.name] = Operand(tuple(shape))
            yield value.name, IMAGE

    def _read(self, position: int, node: onnx.NodeProto) -> ExecutedNode:
        read, outputs = list(node.input), list(node.output)
        operands = tuple(map(self._operand, read))
        channels = self._channels.get(outputs[0]) if outputs else None
        # What is left says what is done: nodes that do the same have the same bytes, and are read once.
        for field in ("input", "output", "name", "doc_string"):
            node.ClearField(field)
        unit, shape = _unit(node.SerializeToString(), operands, channels)
        written = [name for name in outputs if name]
        if len(written) != 1 or written[0] in self._operands:
            raise UnsupportedOperationError(f"node {position} ({unit.kind}) does not write one new tensor")
        self._operands[written[0]] = Operand(shape)
        self._positions[written[0]] = position
        reads = [self._positions[name] for name in read if name in self._positions]
        return ExecutedNode(unit, tuple(reads))

    def _operand(self, name: str) -> Operand:
        if not name:
            return Operand(None)
        if name not in self._operands:
            raise ProfilingError(f"an optimised graph reads {name[:64]!r} before anything writes it")
        return self._operands[name]


def _domain(node: onnx.NodeProto) -> str:
    return "" if node.domain == "ai.onnx" else str(node.domain)


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, Operand]]:
    """Yield the constants of a graph by name."""
    for tensor in graph.initializer:
        yield tensor.name, _constant(tensor.name, tensor)
    for node in graph.node:
        if node.op_type == "Constant":
            tensors = [attribute.t for attribute in node.attribute if attribute.name == "value"]
            if len(tensors) != 1 or len(node.output) != 1:
                raise UnsupportedOperationError("a node Constant holds something else than one tensor")
            yield node.output[0], _constant(node.output[0], tensors[0])


def _constant(name: str, tensor: onnx.TensorProto) -> Operand:
    shape = tuple(tensor.dims)
    if not shape_is_bounded(shape):
        raise ProfilingError(f"constant {name[:64]!r} of an optimised graph has a shape out of bounds")
    if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ProfilingError(f"constant {name[:64]!r} of an optimised graph is in another file")
    is_short = tensor.data_type == _INT64 and math.prod(shape) <= _MOST_VALUES
    return Operand(shape, is_constant=True, values=_values(name, tensor) if is_short else None)


def _values(name: str, tensor: onnx.TensorProto) -> tuple[int, ...]:
    try:
        values = onnx.numpy_helper.to_array(tensor).ravel().tolist()
    except (ValueError, TypeError) as error:
        raise ProfilingError(f"constant {name[:64]!r} of an optimised graph is damaged") from error
    return tuple(max(-_LARGEST_VALUE, min(_LARGEST_VALUE, value)) for value in values)


def _blocked_channels(
    nodes: Iterable[onnx.NodeProto], operands: Mapping[str, Operand]
) -> Iterator[tuple[str, int]]:
    """Yield, for each tensor that a blocked convolution reads, how many channels it has in memory.

    ``ReorderInput`` does not say how wide the blocks are; the filters of the convolutions that read it do.
    """
    for node in nodes:
        if node.domain == BLOCKED and node.op_type == "Conv" and len(node.input) > 1:
            weights = operands.get(node.input[1], Operand(None)).shape or ()
            groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
            if len(weights) > 1:
                yield node.input[0], weights[1] * groups


@lru_cache(maxsize=_REMEMBERED)
def _unit(content: bytes, operands: tuple[Operand, ...], channels: int | None) -> tuple[OpSpec, Shape]:
    """Return the key of a node, and the shape of what it writes."""
    node = onnx.NodeProto.FromString(content)
    operator, domain = str(node.op_type), _domain(node)
    named = dict(_attributes(operator, node.attribute))
    shape = output_shape(Call(operator, domain, operands, named, channels))
    inputs = [one.shape for one in operands if one.shape is not None and not one.is_constant]
    if not inputs:
        raise UnsupportedOperationError(f"a node {operator} reads no tensor of the network")
    weights = tuple(one.shape for one in operands if one.shape is not None and one.is_constant)
    reads = "".join(map(_letter, operands))
    if reads != usual_reads(len(inputs), len(weights)):
        named[READS] = reads
    named |= {f"{VALUES}{i}": one.values for i, one in enumerate(operands) if one.values}
    try:
        return Unit(operator, tuple(inputs), shape, weights, named, domain).spec(), shape
    except SpecError as error:
        raise UnsupportedOperationError(f"a node {operator} of ONNX Runtime has no key: {error}") from error


def usual_reads(inputs: int, weights: int) -> str:
    """Return the letters of a node that reads tensors of the network first, and then constants."""
    return "i" * inputs + "w" * weights


def _letter(operand: Operand) -> str:
    if operand.shape is None:
        return "_"
    return "w" if operand.is_constant else "i"


def _attributes(operator: str, attributes: Iterable[onnx.AttributeProto]) -> Iterator[tuple[str, Attribute]]:
    """Yield the attributes that say what work is done."""
    for attribute in attributes:
        value = _value(operator, attribute)
        if attribute.name not in _IDLE and value not in ((), "", "NOTSET"):
            yield attribute.name, value


def _value(operator: str, attribute: onnx.AttributeProto) -> Attribute:
    kinds = onnx.AttributeProto
    if attribute.type == kinds.INT:
        return int(attribute.i)
    if attribute.type == kinds.FLOAT:
        return _single(attribute.f)
    if attribute.type == kinds.STRING:
        return bytes(attribute.s).decode("utf-8", errors="replace")
    if attribute.type == kinds.INTS:
        return tuple(attribute.ints)
    if attribute.type == kinds.FLOATS:
        return tuple(map(_single, attribute.floats))
    raise UnsupportedOperationError(
        f"a node {operator} has the attribute {attribute.name[:64]!r}, which is no number and no text"
    )


def _single(number: float) -> float:
    """Return the shortest text's number of a float32."""
    return float(str(np.float32(number)))
