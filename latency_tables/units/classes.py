"""What kind of work a unit does, and how much: by the names of ONNX, ONNX Runtime, TFLite and torch.

ONNX has images as (n, c, h, w) and weights of convolutions as (out, in, h, w); ONNX Runtime's blocked layout
(``com.microsoft.nchwc``) is told in the same order. Where its channels come last (``com.ms.internal.nhwc``,
``NhwcFusedConv``), weights keep that order. TFLite has images as (n, h, w, c) and weights as (out, h, w, in),
those of a depthwise convolution as (1, h, w, out). An operator that is not known here is of the rest and
multiplies nothing; it is never refused.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from latency_tables.spec import OpSpec
from latency_tables.units.unit import Shape, Unit

UnitClass = Literal["pointwise", "depthwise", "convolution", "pool", "norm", "reorder", "rest"]

UNIT_CLASSES: tuple[UnitClass, ...] = get_args(UnitClass)

_FUSED_CHANNELS_LAST = "NhwcFusedConv"
_CONVOLUTIONS = {"Conv", "FusedConv", "ConvInteger", "QLinearConv", "Conv2d", _FUSED_CHANNELS_LAST}
_TFLITE_CONVOLUTION, _TFLITE_DEPTHWISE = "CONV_2D", "DEPTHWISE_CONV_2D"
_TRANSPOSED, _TFLITE_TRANSPOSED = "ConvTranspose", "TRANSPOSE_CONV"
_PRODUCTS = {"Gemm", "MatMul", "FusedMatMul", "FusedGemm", "BATCH_MATMUL", "Linear"}
_TFLITE_PRODUCT = "FULLY_CONNECTED"
_POOLS = {
    *("MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool", "ReduceMean"),
    *("MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D", "MEAN"),
    *("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d"),
}
_NORMS = {
    *("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization"),
    *("SkipLayerNormalization", "LRN", "L2_NORMALIZATION", "LOCAL_RESPONSE_NORMALIZATION"),
    "BatchNorm2d",
}
#: With a constant, they are what is left of a batch normalisation that no convolution took in.
_SCALINGS = {"Add", "Sub", "Mul", "Div", "ADD", "SUB", "MUL", "DIV"}
_REORDERS = {"ReorderInput", "ReorderOutput", "Transpose", "TRANSPOSE", "contiguous"}

#: The domain of ONNX Runtime's operators on images whose channels come last.
_CHANNELS_LAST = "com.ms.internal.nhwc"


class UnitWork(NamedTuple):
    """How much a unit does.

    Attributes:
        macs: Multiply-accumulates of its convolution or matrix product; 0 for any other operator.
        elements: Numbers that it reads, constants included, and writes.
        weights: Those of them that are constants.
    """

    macs: int
    elements: int
    weights: int


@lru_cache(maxsize=1 << 14)
def unit_class(spec: OpSpec) -> UnitClass:
    """Return the class of a unit, whose members err together when they are measured alone.

    Raises:
        SpecError: ``spec`` is not the key of a unit.
    """
    unit = Unit.of(spec)
    if _is_convolution(unit):
        return _convolution_class(unit)
    if unit.operator in _SCALINGS and unit.weight_shapes and len(unit.input_shapes) == 1:
        return "norm"
    named: dict[UnitClass, set[str]] = {"pool": _POOLS, "norm": _NORMS, "reorder": _REORDERS}
    return next((name for name, operators in named.items() if unit.operator in operators), "rest")


@lru_cache(maxsize=1 << 14)
def unit_work(spec: OpSpec) -> UnitWork:
    """Return how much a unit does, by its shapes.

    Raises:
        SpecError: ``spec`` is not the key of a unit.
    """
    unit = Unit.of(spec)
    weights = sum(map(math.prod, unit.weight_shapes))
    elements = weights + sum(map(math.prod, (*unit.input_shapes, unit.output_shape)))
    return UnitWork(_macs(unit), elements, weights)


def _is_convolution(unit: Unit) -> bool:
    """Tell whether it is one whose weights are known and have a window, transposed ones included."""
    names = _CONVOLUTIONS | {_TFLITE_CONVOLUTION, _TFLITE_DEPTHWISE, _TRANSPOSED, _TFLITE_TRANSPOSED}
    return unit.operator in names and len(_weights(unit)) >= 3


def _convolution_class(unit: Unit) -> UnitClass:
    weights = _weights(unit)
    is_tflite = unit.operator.isupper()
    window, channels_each = (weights[1:-1], weights[-1]) if is_tflite else (weights[2:], weights[1])
    is_channels_last = is_tflite or unit.domain == _CHANNELS_LAST or unit.operator == _FUSED_CHANNELS_LAST
    channels = unit.input_shapes[0][-1:] if is_channels_last else unit.input_shapes[0][1:2]
    is_split = unit.operator in {*_CONVOLUTIONS, _TFLITE_CONVOLUTION} and channels_each == 1 != channels[-1]
    if unit.operator == _TFLITE_DEPTHWISE or is_split:
        return "depthwise"
    return "pointwise" if set(window) == {1} else "convolution"


def _macs(unit: Unit) -> int:
    if _is_convolution(unit):
        weights, outputs = _weights(unit), math.prod(unit.output_shape)
        if unit.operator == _TFLITE_DEPTHWISE:
            return outputs * math.prod(weights[1:-1])
        if unit.operator == _TRANSPOSED:  # its weights are (in, out, h, w)
            return math.prod(unit.input_shapes[0]) * math.prod(weights[1:])
        if unit.operator == _TFLITE_TRANSPOSED:
            return math.prod(unit.input_shapes[0]) * math.prod(weights[:-1])
        return outputs * math.prod(weights[1:])
    if unit.operator in _PRODUCTS:
        return math.prod(unit.output_shape) * math.prod(_summed(unit))
    if unit.operator == _TFLITE_PRODUCT and _weights(unit):
        return math.prod(unit.output_shape) * _weights(unit)[-1]
    return 0


def _summed(unit: Unit) -> Iterable[int]:
    """Return the length of the axis over which a matrix product sums, if its first factor has one."""
    shape = unit.input_shapes[0]
    return shape[-2:-1] if unit.attributes.get("transA") == 1 and len(shape) > 1 else shape[-1:]


def _weights(unit: Unit) -> Shape:
    """Return the shape of the weights: the first constant of two axes or more, or such an input."""
    shapes = (*unit.weight_shapes, *unit.input_shapes[1:])
    return next((shape for shape in shapes if len(shape) >= 2), ())
