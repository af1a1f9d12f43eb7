"""Shapes of what ONNX Runtime's nodes compute, by arithmetic: ``onnx`` does not know its layouts.

On x86 and ARM, ONNX Runtime computes convolutions on tensors whose channels are in blocks of a vector's width
(domain ``com.microsoft.nchwc``), and fills the last block with zeros. The shapes here are of the tensors as
they are in memory: 8 channels are 16 where a vector has 16 numbers. ``ReorderOutput`` gives the network's own
back.

Providers of cards compute on tensors whose channels come last (domain ``com.ms.internal.nhwc``); on ARM, some
convolutions do (``NhwcFusedConv``). Weights keep ONNX's order.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._onnxruntime.call import Call, Shape

FUSED, BLOCKED, CHANNELS_LAST = "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"

_HIGHEST_RANK, _MOST_ELEMENTS = 8, 1 << 30


def output_shape(call: Call) -> Shape:
    """Return the shape of the first tensor that a node writes.

    Raises:
        UnsupportedOperationError: The operator is not known here.
        ProfilingError: The node contradicts itself.
    """
    known = _SHAPES.get(call.domain, {}).get(call.operator)
    name = f"{call.domain}.{call.operator}".lstrip(".")
    if known is None:
        raise UnsupportedOperationError(
            f"what ONNX Runtime executes has the operator {name[:96]!r}, whose shapes are not known here"
        )
    try:
        shape = known(call)
    except (ValueError, IndexError, ArithmeticError) as error:
        raise ProfilingError(f"a node {name} that ONNX Runtime wrote contradicts itself: {error}") from error
    if not shape_is_bounded(shape):
        raise ProfilingError(f"a node {name} that ONNX Runtime wrote has an output out of bounds: {shape}")
    return shape


def shape_is_bounded(shape: Sequence[int]) -> bool:
    """Tell whether ``shape`` is one of a tensor that networks measured here could have."""
    return len(shape) <= _HIGHEST_RANK and min(shape, default=1) > 0 and math.prod(shape) <= _MOST_ELEMENTS


def _same(call: Call) -> Shape:
    return call.shape()


def _joint(call: Call) -> Shape:
    return _broadcast([operand.shape for operand in call.operands if operand.shape is not None])


def _broadcast(shapes: Sequence[Shape]) -> Shape:
    """Return the shape of what is computed number by number from tensors of ``shapes``."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = tuple(map(max, zip(*padded, strict=True)))
    if any(size not in (1, largest) for shape in padded for size, largest in zip(shape, result, strict=True)):
        raise ValueError(f"shapes {shapes[:4]} do not go together")
    return result


def _convolution(call: Call) -> Shape:
    n, _, *image = call.shape()
    channels, _, *kernel = call.shape(1)
    return (n, channels, *_windows(call, image, kernel))


def _pool(call: Call) -> Shape:
    n, channels, *image = call.shape()
    return (n, channels, *_windows(call, image, call.integers("kernel_shape", [0] * len(image))))


def _windows(call: Call, image: Sequence[int], kernel: Sequence[int]) -> Shape:
    """Return how many windows of ``kernel`` are computed in each direction of ``image``."""
    ones = [1] * len(image)
    strides, dilations = call.integers("strides", ones), call.integers("dilations", ones)
    mode = call.attributes.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        return tuple(-(-size // stride) for size, stride in zip(image, strides, strict=True))
    pads = call.integers("pads", [0] * 2 * len(image)) if mode == "NOTSET" else (0,) * 2 * len(image)
    sizes = []
    for i, (size, side, stride, dilation) in enumerate(zip(image, kernel, strides, dilations, strict=True)):
        room = size + pads[i] + pads[i + len(image)] - dilation * (side - 1) - 1
        windows = room // stride + 1
        if call.integer("ceil_mode") and room % stride and windows * stride < size + pads[i]:
            windows += 1
        sizes.append(windows)
    return tuple(sizes)


def _global_pool(call: Call) -> Shape:
    n, channels, *image = call.shape()
    return (n, channels, *(1 for _ in image))


def _channels_last(known: Callable[[Call], Shape]) -> Callable[[Call], Shape]:
    """Return what gives the shape of the same operator where channels come last."""

    def shape(call: Call) -> Shape:
        n, *image, channels = call.shape()
        image_operand = replace(call.operands[0], shape=(n, channels, *image))
        n, channels, *image = known(replace(call, operands=(image_operand, *call.operands[1:])))
        return (n, *image, channels)

    return shape


def _reorder_input(call: Call) -> Shape:
    shape = call.shape()
    n, c, h, w = (shape[0], shape[3], shape[1], shape[2]) if call.integer("channels_last") else shape
    return (n, c if call.channels is None else call.channels, h, w)


def _reorder_output(call: Call) -> Shape:
    n, _, h, w = call.shape()
    channels = call.integer("channels")
    return (n, h, w, channels) if call.integer("channels_last") else (n, channels, h, w)


def _upsample(call: Call) -> Shape:
    shape = call.shape()
    scales = call.integers("scales", [1] * len(shape))
    return tuple(size * scale for size, scale in zip(shape, scales, strict=True))


def _concat(call: Call) -> Shape:
    shapes = [call.shape(i) for i in range(len(call.operands))]
    axis = _axis(call.integer("axis"), len(shapes[0]))
    if len({(*shape[:axis], -1, *shape[axis + 1 :]) for shape in shapes}) != 1:
        raise ValueError(f"shapes {shapes[:4]} do not go together")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _gemm(call: Call) -> Shape:
    a, b = call.shape(), call.shape(1)
    rows, columns = a[1 if call.integer("transA") else 0], b[0 if call.integer("transB") else 1]
    return (rows, columns)


def _matmul(call: Call) -> Shape:
    a, b = call.shape(), call.shape(1)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"shapes {a} and {b} are no matrices")
    rows, columns = a[-1 if call.integer("transA") else -2], b[-2 if call.integer("transB") else -1]
    return (*_broadcast([a[:-2], b[:-2]]), rows, columns)


def _flatten(call: Call) -> Shape:
    shape = call.shape()
    axis = call.integer("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return (math.prod(shape[:axis]), math.prod(shape[axis:]))


def _reshape(call: Call) -> Shape:
    shape, wanted = call.shape(), call.given(1, "shape") or ()
    sizes = [shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    rest = math.prod(size for size in sizes if size > 0)
    sizes = [math.prod(shape) // rest if size == -1 else size for size in sizes]
    if math.prod(sizes) != math.prod(shape):
        raise ValueError(f"{shape} cannot become {wanted}")
    return tuple(sizes)


def _transpose(call: Call) -> Shape:
    shape = call.shape()
    order = call.integers("perm", range(len(shape))[::-1])
    if sorted(order) != list(range(len(shape))):
        raise ValueError(f"{order} is no order of axes")
    return tuple(shape[axis] for axis in order)


def _squeeze(call: Call) -> Shape:
    shape = call.shape()
    axes = call.given(1, "axes")
    gone = {_axis(axis, len(shape)) for axis in axes} if axes else {i for i, n in enumerate(shape) if n == 1}
    return tuple(size for axis, size in enumerate(shape) if axis not in gone)


def _unsqueeze(call: Call) -> Shape:
    axes = call.given(1, "axes") or ()
    shape, rank = list(call.shape()), len(call.shape()) + len(axes)
    for axis in sorted(_axis(axis, rank) for axis in axes):
        shape.insert(axis, 1)
    return tuple(shape)


def _reduced(call: Call) -> Shape:
    shape = call.shape()
    axes = call.given(1, "axes") or tuple(range(len(shape)))
    gone = {_axis(axis, len(shape)) for axis in axes}
    if call.integer("keepdims", 1):
        return tuple(1 if axis in gone else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in gone)


def _sliced(call: Call) -> Shape:
    shape = list(call.shape())
    starts, ends = call.given(1, "starts") or (), call.given(2, "ends") or ()
    axes = call.given(3, "axes") or tuple(range(len(starts)))
    steps = call.given(4, "steps") or (1,) * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = _axis(axis, len(shape))
        shape[place] = len(range(shape[place])[start:end:step])
    return tuple(shape)


def _padded(call: Call) -> Shape:
    shape = call.shape()
    pads = call.given(1, "pads") or ()
    if len(pads) != 2 * len(shape):
        raise ValueError(f"{len(pads)} sizes do not pad {shape}")
    return tuple(size + pads[i] + pads[i + len(shape)] for i, size in enumerate(shape))


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is none of {rank}")
    return axis % rank


_ACTIVATIONS = (
    "Clip",
    "Elu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "PRelu",
    "Relu",
    "Selu",
)
_CURVES = ("Abs", "Erf", "Exp", "Log", "Neg", "Reciprocal", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Tanh")
_NORMS = ("BatchNormalization", "Identity", "LayerNormalization", "LogSoftmax", "Softmax")
_SUMS = ("Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum")
_REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")

_OF_ONNX: Mapping[str, Callable[[Call], Shape]] = {
    **dict.fromkeys((*_ACTIVATIONS, *_CURVES, *_NORMS), _same),
    **dict.fromkeys(_SUMS, _joint),
    **dict.fromkeys(_REDUCTIONS, _reduced),
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    "Concat": _concat,
    "Conv": _convolution,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Pad": _padded,
    "Reshape": _reshape,
    "Slice": _sliced,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}

_FUSED: Mapping[str, Callable[[Call], Shape]] = {
    **dict.fromkeys(("BiasGelu", "FastGelu", "Gelu", "QuickGelu"), _same),
    "FusedConv": _convolution,
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "NhwcFusedConv": _channels_last(_convolution),
}

_BLOCKED: Mapping[str, Callable[[Call], Shape]] = {
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    "Conv": _convolution,
    "ReorderInput": _reorder_input,
    "ReorderOutput": _reorder_output,
    "Upsample": _upsample,
}

_CHANNELS_LAST: Mapping[str, Callable[[Call], Shape]] = {
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), _channels_last(_pool)),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _channels_last(_global_pool)),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), _same),
    "Conv": _channels_last(_convolution),
}

_SHAPES = {"": _OF_ONNX, FUSED: _FUSED, BLOCKED: _BLOCKED, CHANNELS_LAST: _CHANNELS_LAST}
