"""What torch executes of a module in eager mode: every call, in the order in which it is written."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from latency_tables import OpSpec, SpecError, Unit
from profilers.errors import UnsupportedOperationError
from profilers.lowering._evaluation import evaluating
from profilers.lowering._tracing import Root, Target, target_name, traced
from profilers.runtimes._torch.operators import operator_of


class Call(NamedTuple):
    """A call that does something.

    Attributes:
        unit: Its key.
        reads: Of each tensor that it reads, the position of the call that wrote it, or ``input_at(i)``.
    """

    unit: OpSpec
    reads: tuple[int, ...]


class Calls(NamedTuple):
    """What a module does.

    Attributes:
        calls: In the order of execution.
        result: Where what it returns comes from, as in ``Call.reads``.
    """

    calls: tuple[Call, ...]
    result: int


@dataclass(frozen=True)
class _Value:
    """A tensor of the network: its shape, and where it comes from."""

    tensor: Tensor
    source: int


def input_at(position: int) -> int:
    """Return how a call refers to an input of its module; it is its own inverse."""
    return -1 - position


def calls_of(module: nn.Module, input_shapes: Sequence[tuple[int, ...]]) -> Calls:
    """Return what ``module`` calls in evaluation mode; nothing is computed, shapes alone.

    Args:
        module: Takes tensors of ``input_shapes`` and returns one tensor. It loses its weights.
        input_shapes: Shape of each input in torch's order, with the batch first.

    Raises:
        UnsupportedOperationError: One of its calls has no unit.
    """
    root = Root(module.to("meta"))
    with evaluating(root), torch.inference_mode():
        inputs = [torch.empty(shape, device="meta") for shape in input_shapes]
        try:
            return _Walk(root).run(traced(root, len(inputs)), inputs)
        except fx.proxy.TraceError as error:
            raise UnsupportedOperationError(
                f"what {type(module).__name__} executes depends on its input: "
                f"{str(error).partition(chr(10))[0]}"
            ) from error
        except (RuntimeError, SpecError) as error:  # shapes that do not fit, or that no key holds
            raise UnsupportedOperationError(f"{type(module).__name__} has no units: {error}") from error


class _Walk:
    """Follows the shapes of tensors through the calls of a traced module."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._values: dict[fx.Node, object] = {}
        self._calls: list[Call] = []

    def run(self, traced_calls: fx.Graph, inputs: Sequence[Tensor]) -> Calls:
        """Return what is called for ``inputs``."""
        given = iter([_Value(tensor, input_at(i)) for i, tensor in enumerate(inputs)])
        for node in traced_calls.nodes:
            match node.op:
                case "placeholder":
                    self._values[node] = next(given)
                case "get_attr":
                    self._values[node] = operator.attrgetter(str(node.target))(self._root)
                case "output":
                    return Calls(tuple(self._calls), self._result(node))
                case _:
                    self._values[node] = self._called(node)
        raise UnsupportedOperationError("a module without a result has no units")

    def _called(self, node: fx.Node) -> object:
        args, kwargs = self._given((node.args, node.kwargs))
        target: Target | nn.Module = node.target
        if node.op == "call_module":
            target = self._root.get_submodule(str(node.target))
        result = _computed(target, args, kwargs)
        read = _values_in((args, kwargs))
        if not read or not isinstance(result, Tensor):
            return result
        found = operator_of(target, args, kwargs)
        if found is None:
            return read[0]
        unit = Unit(
            found.name,
            tuple(tuple(value.tensor.shape) for value in read),
            tuple(result.shape),
            tuple(tuple(weight.shape) for weight in found.weights),
            found.attributes,
        )
        self._calls.append(Call(unit.spec(), tuple(value.source for value in read)))
        return _Value(result, len(self._calls) - 1)

    def _given(self, arguments: fx.node.Argument) -> Any:
        """Return ``arguments`` with the value of each node in place of the node."""
        return fx.node.map_arg(arguments, self._values.__getitem__)  # type: ignore[arg-type]

    def _result(self, node: fx.Node) -> int:
        result = self._given(node.args[0])
        if not isinstance(result, _Value):
            raise UnsupportedOperationError(
                f"a module that returns a {type(result).__name__} has no units; return one tensor"
            )
        return result.source


def _computed(target: Target | nn.Module, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """Return what a call gives."""
    plain_args, plain_kwargs = _plain(args), _plain(kwargs)
    if isinstance(target, str):
        return getattr(plain_args[0], target)(*plain_args[1:], **plain_kwargs)
    if not callable(target):
        raise UnsupportedOperationError(f"{target_name(target)} cannot be called")
    return target(*plain_args, **plain_kwargs)


def _plain(argument: Any) -> Any:
    """Return an argument with tensors in place of values."""
    match argument:
        case _Value():
            return argument.tensor
        case tuple() | list():
            return (
                [_plain(one) for one in argument]
                if isinstance(argument, list)
                else tuple(map(_plain, argument))
            )
        case dict():
            return {name: _plain(one) for name, one in argument.items()}
    return argument


def _values_in(argument: object) -> list[_Value]:
    """Return the tensors of the network among arguments, in order."""
    match argument:
        case _Value():
            return [argument]
        case tuple() | list():
            return [value for one in argument for value in _values_in(one)]
        case dict():
            return [value for one in argument.values() for value in _values_in(one)]
    return []
