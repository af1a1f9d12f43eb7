"""Modules of one operator: a unit of torch, to be measured alone."""

import operator
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from latency_tables import Unit
from profilers.runtimes._torch.operators import ACTIVATIONS, unknown_operator

#: What stands for a number that a tensor is added to, multiplied or divided by.
_NUMBER = 2.0


def module_of(unit: Unit) -> nn.Module:
    """Return a module in evaluation mode whose call is ``unit``, with random weights; it keeps its inputs.

    Args:
        unit: Not trusted: that the call is this very unit, the caller checks.

    Raises:
        UnsupportedOperationError: There is no such operator.
        ValueError: A shape or an attribute does not fit it.
        KeyError: An attribute is missing.
    """
    if unit.operator in ACTIVATIONS:
        return ACTIVATIONS[unit.operator]().eval()
    if unit.operator not in _MODULES:
        raise unknown_operator(unit.operator)
    return _MODULES[unit.operator](unit).eval()


class _Called(nn.Module):
    """Calls a function of all of its inputs."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the function does."""
        return self._function(*inputs)


def _conv_module(unit: Unit) -> nn.Module:
    weight = unit.weight_shapes[0]
    groups, (out, _, height, width) = _integer(unit, "group"), weight
    return nn.Conv2d(
        unit.input_shapes[0][1],
        out,
        (height, width),
        stride=_pair(unit, "strides"),
        padding=_pair(unit, "pads"),
        dilation=_pair(unit, "dilations"),
        groups=groups,
        bias=len(unit.weight_shapes) > 1,
    )


def _batch_norm_module(unit: Unit) -> nn.Module:
    (channels,) = unit.weight_shapes[0]
    return nn.BatchNorm2d(channels, affine=len(unit.weight_shapes) > 2)


def _linear_module(unit: Unit) -> nn.Module:
    c_out, c_in = unit.weight_shapes[0]
    return nn.Linear(c_in, c_out, bias=len(unit.weight_shapes) > 1)


def _max_pool_module(unit: Unit) -> nn.Module:
    return nn.MaxPool2d(
        _pair(unit, "kernel"),
        _pair(unit, "strides"),
        _pair(unit, "pads"),
        ceil_mode=bool(_integer(unit, "ceil")),
    )


def _average_pool_module(unit: Unit) -> nn.Module:
    return nn.AvgPool2d(
        _pair(unit, "kernel"),
        _pair(unit, "strides"),
        _pair(unit, "pads"),
        ceil_mode=bool(_integer(unit, "ceil")),
        count_include_pad=bool(_integer(unit, "count_pads")),
    )


def _adaptive_module(unit: Unit) -> nn.Module:
    height, width = unit.output_shape[2:]
    return nn.AdaptiveAvgPool2d((height, width))


def _concatenation_module(unit: Unit) -> nn.Module:
    dim = _integer(unit, "dim")
    return _Called(lambda *inputs: torch.cat(inputs, dim))


def _binary_module(function: Callable[[Tensor, Tensor | float], Tensor]) -> Callable[[Unit], nn.Module]:
    def build(unit: Unit) -> nn.Module:
        if len(unit.input_shapes) == 1:
            return _Called(lambda first: function(first, _NUMBER))
        return _Called(function)

    return build


def _slice_module(unit: Unit) -> nn.Module:
    starts, steps = _integers(unit, "starts"), _integers(unit, "steps")
    index = tuple(slice(start, None, step) for start, step in zip(starts, steps, strict=True))
    return _Called(lambda first: first[index])


_MODULES: Mapping[str, Callable[[Unit], nn.Module]] = {
    "Conv2d": _conv_module,
    "BatchNorm2d": _batch_norm_module,
    "Linear": _linear_module,
    "MaxPool2d": _max_pool_module,
    "AvgPool2d": _average_pool_module,
    "AdaptiveAvgPool2d": _adaptive_module,
    "Flatten": lambda unit: nn.Flatten(_integer(unit, "start"), _integer(unit, "end")),
    "cat": _concatenation_module,
    "add": _binary_module(operator.add),
    "mul": _binary_module(operator.mul),
    "div": _binary_module(operator.truediv),
    "getitem": _slice_module,
    "contiguous": lambda _: _Called(lambda first: first.contiguous()),
}


def _integer(unit: Unit, name: str) -> int:
    value = unit.attributes[name]
    if not isinstance(value, int):
        raise ValueError(f"attribute {name} is no integer")
    return value


def _integers(unit: Unit, name: str) -> tuple[int, ...]:
    value = unit.attributes[name]
    if not isinstance(value, tuple):
        raise ValueError(f"attribute {name} is no list of integers")
    return tuple(int(one) for one in value)


def _pair(unit: Unit, name: str) -> tuple[int, int]:
    first, second = _integers(unit, name)
    return first, second
