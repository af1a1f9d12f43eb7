"""Models of networks, stitched together from models of their operations, which are lowered for all networks.

To ONNX Runtime's optimiser, the result is what lowering the whole network gives: the same nodes, with what
is learnt at each place. What an operation has not learnt, such as the zeros of a convolution that only cuts a
connection, is one constant for all of its places.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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
_FLOAT = onnx.TensorProto.FLOAT

#: What an operation learns is drawn from between these: variances are positive.
LOWEST, HIGHEST = 0.5, 1.5


@dataclass(frozen=True)
class Operation:
    """The model of one operation.

    Attributes:
        nodes: In order; they read "input", "input_1" and so on, and write "output".
        output: The shape of "output".
        weights: The shapes of what it learns, by name.
        constants: What it never learns, by name; each named by its content.
    """

    nodes: tuple[onnx.NodeProto, ...]
    output: Shape
    weights: Mapping[str, Shape]
    constants: Mapping[str, onnx.TensorProto]


@dataclass(frozen=True, eq=False)
class Place:
    """An operation where it stands in a network.

    Attributes:
        node: What it is, and reads.
        operation: Its model.
        learnt: The names of its weights here, by those that they have in the model.
    """

    node: LiveNode
    operation: Operation
    learnt: Mapping[str, str]


def lowered_operation(spec: OpSpec, module: nn.Module, *, is_folded: bool = True) -> Operation:
    """Lower an operation twice, having learnt different things: what both have is constant.

    Args:
        spec: The operation.
        module: Computes it.
        is_folded: As of ``lower``.

    Raises:
        UnsupportedOperationError: It has no form in ONNX.
    """
    with torch_threads(1), _as_learnt(module):
        graphs = []
        for seed in range(2):
            _learn(module, seed)
            model = onnx.load_model_from_string(lower(module, spec.input_shapes, is_folded=is_folded))
            graphs.append(model.graph)
    learnt, (held, others) = graphs[0], [dict(_held(graph)) for graph in graphs]
    constants = {name: tensor for name, tensor in held.items() if tensor == others.get(name)}
    weights = {name: tuple(tensor.dims) for name, tensor in held.items() if name not in constants}
    nodes = tuple(_nameless(node) for node in learnt.node if node.output[0] not in held)
    output = tuple(size.dim_value for size in learnt.output[0].type.tensor_type.shape.dim)
    return Operation(nodes, output, weights, constants)


def stitched(places: Sequence[Place], weights: Iterable[onnx.TensorProto]) -> bytes:
    """Return an ONNX model of a network, of the inputs and outputs that ``lower`` gives it.

    Args:
        places: Its operations, in topological order; the last one is the output.
        weights: What all of them have learnt, by names that tensors of other content have not.

    Raises:
        UnsupportedOperationError: It reads no image.
    """
    graph, last = onnx.GraphProto(name="network"), places[-1]
    image = image_shape([place.node for place in places])
    graph.input.append(helper.make_tensor_value_info(INPUT_NAME, _FLOAT, image))
    graph.output.append(helper.make_tensor_value_info(OUTPUT_NAME, _FLOAT, last.operation.output))
    for position, place in enumerate(places):
        prefix = "" if place is last else f"{position}."
        graph.node.extend(_renamed(place, prefix))
    constants = [tensor for place in places for tensor in place.operation.constants.values()]
    graph.initializer.extend({tensor.name: tensor for tensor in (*weights, *constants)}.values())
    model = onnx.ModelProto(ir_version=_IR_VERSION, graph=graph)
    model.opset_import.append(helper.make_opsetid("", OPSET))
    content: bytes = model.SerializeToString()
    return content


def image_shape(nodes: Sequence[LiveNode]) -> Shape:
    """Return the shape of the image of a network.

    Raises:
        UnsupportedOperationError: No node reads it.
    """
    for node in nodes:
        if IMAGE in node.inputs:
            return node.spec.input_shape
    raise UnsupportedOperationError("a network that reads no image has no executed graph")


def named_by_content(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Return ``tensor`` with a name made of its content."""
    named = onnx.TensorProto()
    named.CopyFrom(tensor)
    named.name = ""
    named.name = f"tensor.{hashlib.sha256(named.SerializeToString()).hexdigest()[:32]}"
    return named


def _held(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield tensors that are not computed, by name: those that nodes hold, too."""
    for tensor in graph.initializer:
        yield tensor.name, named_by_content(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], named_by_content(node.attribute[0].t)


@contextmanager
def _as_learnt(module: nn.Module) -> Iterator[None]:
    """Give a module, when it is left, what it has learnt now."""
    learnt = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    try:
        yield
    finally:
        for name, tensor in module.state_dict().items():
            tensor.copy_(learnt[name])


def _learn(module: nn.Module, seed: int) -> None:
    """Fill everything that ``module`` learns with random numbers."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(LOWEST, HIGHEST, generator=generator)


def _nameless(node: onnx.NodeProto) -> onnx.NodeProto:
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    copied.name = ""
    return copied


def _renamed(place: Place, prefix: str) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of an operation, with names of their own for all that they write."""
    names = {name: constant.name for name, constant in place.operation.constants.items()}
    names |= place.learnt
    for i, read in enumerate(place.node.inputs):
        name = INPUT_NAME if i == 0 else f"{INPUT_NAME}_{i}"
        names[name] = INPUT_NAME if read == IMAGE else f"{read}.{OUTPUT_NAME}"
    names[""] = ""
    for node in place.operation.nodes:
        names |= {name: f"{prefix}{name}" for name in node.output if name}
        added = onnx.NodeProto()
        added.CopyFrom(node)
        added.input[:] = [names[name] for name in node.input]
        added.output[:] = [names[name] for name in node.output]
        yield added
