"""Networks stitched together from the models of their operations, each lowered once.

To ONNX Runtime's optimiser, the result is what lowering the whole network gives: the same nodes, with
weights and statistics of their own at each place, as trained ones have them. What an operation has not
learnt, such as the zeros of a convolution that only cuts a connection, is one constant for all of its places.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import helper
from torch import nn

from latency_tables import IMAGE, OpSpec
from profilers.errors import UnsupportedOperationError
from profilers.lowering.onnx import INPUT_NAME, OPSET, OUTPUT_NAME, lower
from profilers.runtimes._onnxruntime.call import Shape
from profilers.runtimes._reference import torch_threads
from profilers.units.counter import LiveNode

_IR_VERSION = 8

_FLOAT, _FLOAT_BYTES = onnx.TensorProto.FLOAT, 4

#: What an operation learns is drawn from between these: variances are positive.
_LOWEST, _HIGHEST = 0.5, 1.5


@dataclass(frozen=True)
class _Operation:
    """The model of one operation.

    Attributes:
        nodes: In order; they read "input", "input_1" and so on, and write "output".
        weights: The shapes of what it learns, by name.
        constants: What it never learns, by name; each named by its content.
    """

    nodes: tuple[onnx.NodeProto, ...]
    weights: Mapping[str, Shape]
    constants: Mapping[str, onnx.TensorProto]


class Stitcher:
    """Makes models of networks from the operations that it knows.

    Args:
        build: Makes the module of an operation that it does not know yet.
    """

    def __init__(self, build: Callable[[OpSpec], nn.Module]) -> None:
        self._build = build
        self._operations: dict[OpSpec, _Operation] = {}
        self._random = b""

    def model(self, nodes: Sequence[LiveNode]) -> bytes:
        """Return an ONNX model of a network.

        Raises:
            UnsupportedOperationError: It has an operation without a form in ONNX, or reads no image.
        """
        operations = [self._operation(node.spec) for node in nodes]
        graph = onnx.GraphProto(name="network")
        graph.input.append(helper.make_tensor_value_info(INPUT_NAME, _FLOAT, image_shape(nodes)))
        graph.output.append(helper.make_tensor_value_info(_output(len(nodes) - 1), _FLOAT, None))
        for position, (node, operation) in enumerate(zip(nodes, operations, strict=True)):
            _add_nodes(graph, operation, position, node.inputs)
        graph.initializer.extend(self._initialisers(operations))
        model = onnx.ModelProto(ir_version=_IR_VERSION, graph=graph)
        model.opset_import.append(helper.make_opsetid("", OPSET))
        content: bytes = model.SerializeToString()
        return content

    def _operation(self, spec: OpSpec) -> _Operation:
        if spec not in self._operations:
            self._operations[spec] = _lowered(spec, self._build)
        return self._operations[spec]

    def _initialisers(self, operations: Sequence[_Operation]) -> Iterator[onnx.TensorProto]:
        """Yield weights of their own for each place, then the constants of all."""
        weights = [
            (_name(position, name), shape)
            for position, operation in enumerate(operations)
            for name, shape in operation.weights.items()
        ]
        random = self._random_bytes(len(weights) + max((_size(shape) for _, shape in weights), default=0))
        for number, (name, shape) in enumerate(weights):
            start, end = _FLOAT_BYTES * number, _FLOAT_BYTES * (number + _size(shape))
            yield onnx.TensorProto(name=name, data_type=_FLOAT, dims=shape, raw_data=random[start:end])
        yield from {
            constant.name: constant for operation in operations for constant in operation.constants.values()
        }.values()

    def _random_bytes(self, numbers: int) -> bytes:
        """Return at least so many random float32: drawing them for each network would take longer."""
        if len(self._random) < _FLOAT_BYTES * numbers:
            drawn = np.random.default_rng(0).uniform(_LOWEST, _HIGHEST, 2 * numbers)
            self._random = drawn.astype(np.float32).tobytes()
        return self._random


def image_shape(nodes: Sequence[LiveNode]) -> Shape:
    """Return the shape of the image of a network.

    Raises:
        UnsupportedOperationError: No node reads it.
    """
    for node in nodes:
        if IMAGE in node.inputs:
            return node.spec.input_shape
    raise UnsupportedOperationError("a network that reads no image has no executed graph")


def _lowered(spec: OpSpec, build: Callable[[OpSpec], nn.Module]) -> _Operation:
    """Lower an operation twice, having learnt different things: what both have is constant."""
    with torch_threads(1), torch.random.fork_rng(devices=[]):
        module = build(spec)
        graphs = []
        for seed in range(2):
            _learn(module, seed)
            model = onnx.load_model_from_string(lower(module, spec.input_shapes))
            graphs.append(model.graph)
    learnt, other = graphs
    others = {tensor.name: tensor.SerializeToString() for tensor in other.initializer}
    weights: dict[str, Shape] = {}
    constants = dict(_held(learnt))
    for tensor in learnt.initializer:
        if tensor.SerializeToString() != others.get(tensor.name):
            weights[tensor.name] = tuple(tensor.dims)
        else:
            constants[tensor.name] = _constant(tensor)
    nodes = tuple(_nameless(node) for node in learnt.node if node.output[0] not in constants)
    return _Operation(nodes, weights, constants)


def _held(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield the constants that nodes hold, which in one network are the same tensor where they are equal."""
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], _constant(node.attribute[0].t)


def _learn(module: nn.Module, seed: int) -> None:
    """Fill everything that ``module`` learns with random numbers."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(_LOWEST, _HIGHEST, generator=generator)


def _constant(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Return ``tensor`` with a name made of its content."""
    constant = onnx.TensorProto()
    constant.CopyFrom(tensor)
    constant.name = ""
    constant.name = f"constant.{hashlib.sha256(constant.SerializeToString()).hexdigest()[:32]}"
    return constant


def _nameless(node: onnx.NodeProto) -> onnx.NodeProto:
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    copied.name = ""
    return copied


def _add_nodes(graph: onnx.GraphProto, operation: _Operation, position: int, inputs: Sequence[int]) -> None:
    """Append the nodes of an operation, with names of their own for all that they write."""
    names = {name: constant.name for name, constant in operation.constants.items()}
    names |= {"": ""}
    names |= {
        INPUT_NAME if i == 0 else f"{INPUT_NAME}_{i}": INPUT_NAME if read == IMAGE else _output(read)
        for i, read in enumerate(inputs)
    }
    for node in operation.nodes:
        added = graph.node.add()
        added.CopyFrom(node)
        for i, name in enumerate(node.input):
            added.input[i] = names[name] if name in names else _name(position, name)
        for i, name in enumerate(node.output):
            added.output[i] = _name(position, name) if name else ""


def _output(position: int) -> str:
    return _name(position, OUTPUT_NAME)


def _name(position: int, name: str) -> str:
    return f"{position}.{name}"


def _size(shape: Shape) -> int:
    return math.prod(shape)
