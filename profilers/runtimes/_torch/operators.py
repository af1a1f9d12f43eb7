"""The operators of torch's eager mode: what is told of each call by the key of its unit.

A unit is named after torch's module where there is one (``Conv2d``), else after its function (``cat``).
Shapes are those of torch, (n, c, h, w); weights of convolutions are (out, in / groups, h, w). Whether an
operator overwrites its input is not told: a call alone, repeated, must not.
"""

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from profilers.errors import UnsupportedOperationError

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Operator:
    """What a call does, but for the tensors of the network that it reads.

    Attributes:
        name: Of the operator.
        weights: Its constants.
        attributes: By name.
    """

    name: str
    weights: tuple[Tensor, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def operator_of(
    target: Callable[..., object] | str | nn.Module, args: Sequence[object], kwargs: Mapping[str, object]
) -> Operator | None:
    """Return what a call does; ``None``: nothing, what it returns is its input.

    Args:
        target: A module in evaluation mode, a function, or the name of a tensor's method.
        args: Its arguments.
        kwargs: Those given by name.

    Raises:
        UnsupportedOperationError: It is not known here.
    """
    if isinstance(target, nn.Module):
        return _of_module(target)
    reader = _METHODS.get(target) if isinstance(target, str) else _FUNCTIONS.get(target)
    if reader is None:
        raise unknown_operator(str(getattr(target, "__name__", target)))
    try:
        call = inspect.signature(reader).bind(*args, **kwargs)
    except TypeError as error:
        raise unknown_operator(f"{getattr(target, '__name__', target)} with these arguments") from error
    return reader(*call.args, **call.kwargs)


def unknown_operator(name: str) -> UnsupportedOperationError:
    """Return the error about an operator that has no unit."""
    return UnsupportedOperationError(
        f"{name} is no operator that torch's units have; profile a table by operations (--by-operations)"
    )


def _of_module(module: nn.Module) -> Operator | None:
    match module:
        case nn.Identity() | nn.Dropout():
            return None
        case nn.Conv2d():
            return _conv(module)
        case nn.BatchNorm2d():
            return _batch_norm(module)
        case nn.Linear():
            return Operator("Linear", _present(module.weight, module.bias))
        case nn.MaxPool2d() | nn.AvgPool2d():
            return _pool(module)
        case nn.AdaptiveAvgPool2d():
            return Operator("AdaptiveAvgPool2d")
        case nn.Flatten():
            return Operator("Flatten", attributes={"start": module.start_dim, "end": module.end_dim})
    return _activation(module)


def _conv(module: nn.Conv2d) -> Operator:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise unknown_operator(f"Conv2d with padding {module.padding_mode} {module.padding}")
    return _convolution(
        module.weight, module.bias, module.stride, module.padding, module.dilation, module.groups
    )


def _convolution(
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Sequence[int],
    padding: int | Sequence[int],
    dilation: int | Sequence[int],
    groups: int,
) -> Operator:
    attributes = {"strides": _pair(stride), "pads": _pair(padding), "dilations": _pair(dilation)}
    return Operator("Conv2d", _present(weight, bias), {**attributes, "group": groups})


def _functional_conv(  # noqa: PLR0913  (those of torch)
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Operator:
    if isinstance(padding, str):
        raise unknown_operator(f"conv2d with padding {padding}")
    return _convolution(weight, bias, stride, padding, dilation, groups)


def _batch_norm(module: nn.BatchNorm2d) -> Operator:
    if module.running_mean is None or module.running_var is None:
        raise unknown_operator("BatchNorm2d without running statistics")
    statistics = module.running_mean, module.running_var
    return Operator("BatchNorm2d", _present(*statistics, module.weight, module.bias))


def _pool(module: nn.MaxPool2d | nn.AvgPool2d) -> Operator:
    attributes: dict[str, Attribute] = {
        "kernel": _pair(module.kernel_size),
        "strides": _pair(module.stride),
        "pads": _pair(module.padding),
        "ceil": int(module.ceil_mode),
    }
    if isinstance(module, nn.AvgPool2d):
        if module.divisor_override:
            raise unknown_operator("AvgPool2d with a divisor of its own")
        attributes["count_pads"] = int(module.count_include_pad)
    elif module.return_indices or _pair(module.dilation) != (1, 1):
        raise unknown_operator("MaxPool2d with indices or dilation")
    return Operator(type(module).__name__, attributes=attributes)


def _activation(module: nn.Module) -> Operator:
    """Return what an activation does that has no parameter but those that torch gives it."""
    name = type(module).__name__
    usual = ACTIVATIONS.get(name)
    if usual is None or type(module) is not usual or _text(module) != _text(usual()):
        raise unknown_operator(repr(module) if usual else name)
    return Operator(name)


def _text(module: nn.Module) -> str:
    return repr(module).replace(", inplace=True", "").replace("inplace=True", "")


def _concatenated(tensors: Sequence[object], dim: int = 0) -> Operator:
    return Operator("cat", attributes={"dim": dim})


def _binary(name: str) -> Callable[[object, object], Operator]:
    def read(first: object, second: object) -> Operator:
        weights = [one for one in (first, second) if isinstance(one, nn.Parameter)]
        if weights:
            raise unknown_operator(f"{name} with a weight")
        return Operator(name)

    return read


def _sliced(first: object, index: object) -> Operator:
    """Return what indexing by slices does that begin somewhere and end with the tensor."""
    parts = index if isinstance(index, tuple) else (index,)
    starts, steps = [], []
    for part in parts:
        match part:
            case slice(start=None | int() as start, stop=None, step=None | int() as step):
                starts.append(start or 0)
                steps.append(step or 1)
            case _:
                raise unknown_operator(f"indexing by {index!r:.60}")
    return Operator("getitem", attributes={"starts": tuple(starts), "steps": tuple(steps)})


def _contiguous(first: object) -> Operator:
    return Operator("contiguous")


#: Those without parameters, as torch makes them by default.
ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Hardtanh),
        *(nn.SiLU, nn.Hardswish, nn.GELU, nn.Softplus, nn.Mish),
    )
}

_FUNCTIONS: Mapping[object, Callable[..., Operator]] = {
    torch.cat: _concatenated,
    torch.concat: _concatenated,
    nn.functional.conv2d: _functional_conv,
    operator.add: _binary("add"),
    operator.iadd: _binary("add"),
    torch.add: _binary("add"),
    operator.mul: _binary("mul"),
    operator.imul: _binary("mul"),
    torch.mul: _binary("mul"),
    operator.truediv: _binary("div"),
    operator.getitem: _sliced,
}

_METHODS: Mapping[str, Callable[..., Operator]] = {"contiguous": _contiguous}


def _present(*tensors: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in tensors if tensor is not None)


def _pair(sizes: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(sizes, int):
        return sizes, sizes
    first, second = sizes if len(sizes) > 1 else (*sizes, *sizes)
    return first, second
