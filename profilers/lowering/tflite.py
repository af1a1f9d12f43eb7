"""From a torch module to TFLite: the one lowering, for measuring and for exporting."""

import inspect
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import fx, nn

from profilers._layout import nhwc_shape
from profilers.errors import UnsupportedOperationError
from profilers.lowering._evaluation import evaluating
from profilers.lowering._tflite.flatbuffer import serialize
from profilers.lowering._tflite.graph import Graph
from profilers.lowering._tflite.handlers import FUNCTIONS, METHODS, MODULES, Handler
from profilers.lowering._tflite.layers import Layers, Value
from profilers.lowering._tflite.passes import free_batch, require_floats, simplify
from profilers.lowering._tracing import Root, Target, target_name, traced


def lower(
    module: nn.Module,
    input_shapes: Sequence[tuple[int, ...]],
    *,
    input_dtype: Literal["float32", "uint8"] = "float32",
    is_batch_dynamic: bool = False,
) -> bytes:
    """Return ``module`` in evaluation mode as a TFLite model; equal modules give equal bytes.

    Images are (n, h, w, c) inside and at the borders, where torch has (n, c, h, w). A batch normalisation is
    folded into the convolution before it, an activation into what it is applied to. The inputs are called
    "input", "input_1" and so on, the output "output".

    Args:
        module: Takes tensors of ``input_shapes`` and returns one tensor. Its mode is the same afterwards.
        input_shapes: Shape of each input in torch's order, with the batch first.
        input_dtype: Of each input. The module converts integers to float32 before all else.
        is_batch_dynamic: Whether the file, which is made for one image, can be resized to any number.

    Raises:
        UnsupportedOperationError: An operation of the module has no form here.
    """
    if is_batch_dynamic:
        input_shapes = [(1, *shape[1:]) for shape in input_shapes]
    graph = written(module, input_shapes, of_pixels=input_dtype == "uint8")
    simplify(graph)
    require_floats(graph)
    if is_batch_dynamic:
        free_batch(graph)
    return serialize(graph)


def written(module: nn.Module, input_shapes: Sequence[tuple[int, ...]], *, of_pixels: bool = False) -> Graph:
    """Return ``module`` in evaluation mode as a graph of TFLite's operations, as they are written.

    Args:
        module: As ``lower`` takes it.
        input_shapes: Likewise.
        of_pixels: Whether its inputs are 8-bit unsigned integers.

    Raises:
        UnsupportedOperationError: An operation of the module has no form here.
    """
    root = Root(module)
    graph = Graph()
    with evaluating(module):
        calls = _traced(root, len(input_shapes))
        inputs = [
            Value(graph.add_input(nhwc_shape(shape), of_pixels=of_pixels), tuple(shape))
            for shape in input_shapes
        ]
        graph.output = _Walk(root, Layers(graph)).run(calls, inputs).tensor
    return graph


def _traced(root: Root, n_inputs: int) -> fx.Graph:
    try:
        return traced(root, n_inputs)
    except fx.proxy.TraceError as error:
        raise UnsupportedOperationError(
            f"{type(root.module).__name__} has no form in TFLite: {str(error).partition(chr(10))[0]}"
        ) from error


class _Walk:
    """Lowers the nodes of a traced module one by one; what depends on no input is computed at once."""

    def __init__(self, root: nn.Module, layers: Layers) -> None:
        self._root, self._layers = root, layers
        self._values: dict[fx.Node, object] = {}

    def run(self, calls: fx.Graph, inputs: Sequence[Value]) -> Value:
        """Return the result of ``calls`` for ``inputs``."""
        given = iter(inputs)
        for node in calls.nodes:
            match node.op:
                case "placeholder":
                    self._values[node] = next(given)
                case "get_attr":
                    self._values[node] = operator.attrgetter(str(node.target))(self._root)
                case "output":
                    return self._result(node)
                case _:
                    self._values[node] = self._called(node)
        raise UnsupportedOperationError("a module without a result has no form in TFLite")

    def _called(self, node: fx.Node) -> object:
        args, kwargs = self._given((node.args, node.kwargs))
        target: Target = node.target
        if node.op == "call_module":
            target = self._root.get_submodule(str(node.target))
        if not _depends_on_input((args, kwargs)):
            return _computed(target, args, kwargs)
        _refuse_shared_in_place(node, target)
        handler, given = _handler(target)
        if handler is None:
            raise UnsupportedOperationError(f"{target_name(target)} has no form in TFLite")
        try:
            call = inspect.signature(handler).bind(self._layers, *given, *args, **kwargs)
        except TypeError as error:
            raise UnsupportedOperationError(
                f"{target_name(target)} with these arguments has no form in TFLite: {error}"
            ) from error
        return handler(*call.args, **call.kwargs)

    def _given(self, arguments: fx.node.Argument) -> Any:
        """Return ``arguments`` with the value of each node in place of the node."""
        return fx.node.map_arg(arguments, self._values.__getitem__)  # type: ignore[arg-type]

    def _result(self, node: fx.Node) -> Value:
        result = self._given(node.args[0])
        if not isinstance(result, Value):
            raise UnsupportedOperationError(
                f"a module that returns a {type(result).__name__} has no form in TFLite; return one tensor"
            )
        return result


def _handler(target: Target) -> tuple[Handler | None, tuple[object, ...]]:
    """Return what lowers ``target``, and what that takes before the arguments of the call."""
    if isinstance(target, nn.Module):
        return MODULES.get(type(target)), (target,)
    return METHODS.get(target) if isinstance(target, str) else FUNCTIONS.get(target), ()


def _depends_on_input(argument: object) -> bool:
    match argument:
        case Value():
            return True
        case tuple() | list():
            return any(map(_depends_on_input, argument))
        case dict():
            return _depends_on_input(list(argument.values()))
        case slice():
            return _depends_on_input((argument.start, argument.stop, argument.step))
    return False


def _computed(target: Target, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """Return what a call gives that depends on no input."""
    if isinstance(target, str):
        return getattr(args[0], target)(*args[1:], **kwargs)
    return target(*args, **kwargs)


def _refuse_shared_in_place(node: fx.Node, target: Target) -> None:
    """Refuse to overwrite a tensor that others read: torch would give them the new values."""
    is_in_place = node.kwargs.get("inplace") or getattr(target, "inplace", False)
    if is_in_place and any(len(source.users) > 1 for source in node.all_input_nodes):
        raise UnsupportedOperationError(
            f"{target_name(target)} overwrites a tensor that others read, which has no form in TFLite"
        )
