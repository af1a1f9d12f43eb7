"""What torch's modules, functions and methods are in TFLite.

A handler takes the layers that it adds to, then what torch's own takes, under the same names; what it does
not name is not supported. A module's handler takes the module before its inputs.
"""

import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from profilers._layout import IMAGE_RANK
from profilers.errors import UnsupportedOperationError
from profilers.lowering._tflite.layers import Array, Layers, Value, Windows, axis_in_tflite
from profilers.lowering._tflite.window import Window

Handler = Callable[..., Value | tuple[int, ...] | int]

_Sizes = int | Sequence[int]
_Operand = Value | Tensor | float


def _conv2d(
    layers: Layers,
    input: Value,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes | str = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Value:
    if not isinstance(weight, Tensor):
        raise UnsupportedOperationError("conv2d with computed weights has no form in TFLite")
    offsets = np.zeros(len(weight), dtype=np.float32) if bias is None else _array(bias)
    windows = _windows(weight.shape[2:], stride, padding, dilation)
    return layers.convolution(_image(input), _array(weight), offsets, windows, groups)


def _conv2d_module(layers: Layers, module: nn.Conv2d, x: Value) -> Value:
    if module.padding_mode != "zeros":
        raise UnsupportedOperationError(f"Conv2d with {module.padding_mode} padding has no form in TFLite")
    sliding = (module.stride, module.padding, module.dilation)
    return _conv2d(layers, x, module.weight, module.bias, *sliding, module.groups)


def _batch_norm(layers: Layers, module: nn.BatchNorm2d, x: Value) -> Value:
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedOperationError("BatchNorm2d without running statistics has no form in TFLite")
    scale = 1.0 / np.sqrt(_array(module.running_var).astype(np.float64) + module.eps)
    if module.affine:
        scale = scale * _array(module.weight)
    shift = -scale * _array(module.running_mean)
    if module.affine:
        shift = shift + _array(module.bias)
    return layers.scale_shift(_image(x), scale.astype(np.float32), shift.astype(np.float32))


def _relu(layers: Layers, input: Value, inplace: bool = False) -> Value:
    return layers.activation(input, "RELU")


def _relu6(layers: Layers, input: Value, inplace: bool = False) -> Value:
    return layers.activation(input, "RELU6")


def _sigmoid(layers: Layers, input: Value) -> Value:
    return layers.activation(input, "LOGISTIC")


def _hardsigmoid(layers: Layers, input: Value, inplace: bool = False) -> Value:
    return layers.hard_sigmoid(input)


def _silu(layers: Layers, input: Value, inplace: bool = False) -> Value:
    return layers.multiply(input, layers.activation(input, "LOGISTIC"))


def _hardswish(layers: Layers, input: Value, inplace: bool = False) -> Value:
    return layers.activation(input, "HARD_SWISH")


def _gelu(layers: Layers, input: Value, approximate: str = "none") -> Value:
    return layers.activation(input, "GELU", {"approximate": approximate == "tanh"})


def _softmax(layers: Layers, input: Value, dim: int | None = None, dtype: torch.dtype | None = None) -> Value:
    rank = len(input.shape)
    if dim is None or dtype not in (None, torch.float32) or axis_in_tflite(dim % rank, rank) != rank - 1:
        raise UnsupportedOperationError(
            f"softmax of {input.shape} over {dim} has no form in TFLite; only over channels or classes has"
        )
    return layers.softmax(input)


def _to(layers: Layers, input: Value, dtype: object) -> Value:
    if dtype != torch.float32:
        raise UnsupportedOperationError(
            f"conversion to {dtype!s:.40} has no form in TFLite; only to float32 has"
        )
    return layers.to_float(input)


def _float(layers: Layers, input: Value) -> Value:
    return layers.to_float(input)


def _max_pool(layers: Layers, module: nn.MaxPool2d, x: Value) -> Value:
    windows = _pool_windows(module)
    if any(window.dilation != 1 for window in windows) or module.return_indices:
        raise UnsupportedOperationError(f"{module} has no form in TFLite")
    return layers.max_pool(_image(x), windows)


def _average_pool(layers: Layers, module: nn.AvgPool2d, x: Value) -> Value:
    if module.divisor_override is not None:
        raise UnsupportedOperationError("AvgPool2d with a divisor_override has no form in TFLite")
    return layers.average_pool(_image(x), _pool_windows(module), counts_padding=module.count_include_pad)


def _global_pool(layers: Layers, module: nn.AdaptiveAvgPool2d, x: Value) -> Value:
    if module.output_size not in (1, (1, 1)):
        raise UnsupportedOperationError(f"{module} has no form in TFLite; only one to a single pixel has")
    return layers.mean_of_image(_image(x))


def _linear(layers: Layers, module: nn.Linear, x: Value) -> Value:
    if len(x.shape) != 2:
        raise UnsupportedOperationError(f"{module} of {x.shape} has no form in TFLite; flatten first")
    offsets = np.zeros(module.out_features, dtype=np.float32) if module.bias is None else _array(module.bias)
    return layers.linear(x, _array(module.weight), offsets)


def _flatten(layers: Layers, input: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    n, *rest = input.shape
    if start_dim != 1 or end_dim not in (-1, len(rest)):
        raise UnsupportedOperationError(f"flatten from {start_dim} to {end_dim} has no form in TFLite")
    if len(rest) == 3 and rest[0] > 1 and rest[1] * rest[2] > 1:
        raise UnsupportedOperationError(
            f"flatten of {input.shape} would need a transposition in TFLite; pool it to one pixel first"
        )
    return layers.reshape(input, (n, int(np.prod(rest))))


def _flatten_module(layers: Layers, module: nn.Flatten, x: Value) -> Value:
    return _flatten(layers, x, module.start_dim, module.end_dim)


def _mean(layers: Layers, input: Value, dim: _Sizes, keepdim: bool = False) -> Value:
    axes = (dim,) if isinstance(dim, int) else dim
    if len(input.shape) != IMAGE_RANK or sorted(axis % IMAGE_RANK for axis in axes) != [2, 3]:
        raise UnsupportedOperationError(f"mean of {input.shape} over {dim} has no form in TFLite")
    pooled = layers.mean_of_image(input)
    return pooled if keepdim else layers.reshape(pooled, pooled.shape[:2])


def _identity(layers: Layers, module: nn.Module, x: Value) -> Value:
    return x


def _contiguous(layers: Layers, input: Value) -> Value:
    return input


def _add(layers: Layers, input: _Operand, other: _Operand) -> Value:
    if isinstance(input, Value) and isinstance(other, int | float):
        return layers.scale_shift(input, _number(1), _number(other))
    if isinstance(other, Value) and not isinstance(input, Value):
        return _add(layers, other, input)
    if isinstance(input, Value) and isinstance(other, Tensor) and _is_by_channel(input, other):
        return layers.scale_shift(input, _number(1), _array(other).reshape(-1))
    first, second = (each if isinstance(each, Value) else _constant(layers, each) for each in (input, other))
    if first.shape != second.shape:
        raise UnsupportedOperationError(f"add of {first.shape} and {second.shape} has no form in TFLite")
    return layers.add(first, second)


def _multiply(layers: Layers, input: _Operand, other: _Operand) -> Value:
    if isinstance(input, Value) and isinstance(other, int | float):
        return layers.scale_shift(input, _number(other), _number(0))
    if isinstance(other, Value) and not isinstance(input, Value):
        return _multiply(layers, other, input)
    if isinstance(input, Value) and isinstance(other, Tensor) and _is_by_channel(input, other):
        return layers.scale_shift(input, _array(other).reshape(-1), _number(0))
    first, second = (each if isinstance(each, Value) else _constant(layers, each) for each in (input, other))
    if first.shape == (*second.shape[:2], 1, 1):
        first, second = second, first
    if second.shape not in (first.shape, (*first.shape[:2], 1, 1)):
        raise UnsupportedOperationError(f"mul of {first.shape} and {second.shape} has no form in TFLite")
    return layers.multiply(first, second)


def _divide(layers: Layers, input: _Operand, other: _Operand) -> Value:
    if isinstance(input, Value) and isinstance(other, int | float) and other:
        return layers.scale_shift(input, _number(1 / other), _number(0))
    raise UnsupportedOperationError(f"div by {other!s:.40} has no form in TFLite; only by a number has")


def _concatenate(layers: Layers, tensors: Sequence[Value | Tensor], dim: int = 0) -> Value:
    parts = [each if isinstance(each, Value) else _constant(layers, each) for each in tensors]
    return parts[0] if len(parts) == 1 else layers.concatenate(parts, dim % len(parts[0].shape))


def _take(layers: Layers, input: Value, index: object) -> Value:
    slices = index if isinstance(index, tuple) else (index,)
    if len(slices) > len(input.shape) or not all(map(_is_plain_slice, slices)):
        raise UnsupportedOperationError(f"getitem of {index!s:.60} has no form in TFLite; only slices have")
    whole = (slice(None),) * (len(input.shape) - len(slices))
    return layers.take(
        input,
        [range(n)[each] for n, each in zip(input.shape, (*slices, *whole), strict=True)],
    )


def _attribute(layers: Layers, input: Value, name: str) -> tuple[int, ...]:
    if name != "shape":
        raise UnsupportedOperationError(f"a tensor's {name} has no form in TFLite")
    return input.shape


def _size(layers: Layers, input: Value, dim: int | None = None) -> tuple[int, ...] | int:
    return input.shape if dim is None else input.shape[dim]


def _new_zeros(layers: Layers, input: Value, *size: int) -> Value:
    return layers.constant(np.zeros(size, dtype=np.float32))


def _zeros_like(layers: Layers, input: Value) -> Value:
    return layers.constant(np.zeros(input.shape, dtype=np.float32))


MODULES: Mapping[type[nn.Module], Handler] = {
    nn.AdaptiveAvgPool2d: _global_pool,
    nn.AvgPool2d: _average_pool,
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: _conv2d_module,
    nn.Dropout: _identity,
    nn.Dropout2d: _identity,
    nn.Flatten: _flatten_module,
    nn.GELU: lambda layers, module, x: _gelu(layers, x, module.approximate),
    nn.Hardsigmoid: lambda layers, module, x: _hardsigmoid(layers, x),
    nn.Hardswish: lambda layers, module, x: _hardswish(layers, x),
    nn.Identity: _identity,
    nn.Linear: _linear,
    nn.MaxPool2d: _max_pool,
    nn.ReLU: lambda layers, module, x: layers.activation(x, "RELU"),
    nn.ReLU6: lambda layers, module, x: layers.activation(x, "RELU6"),
    nn.Sigmoid: lambda layers, module, x: _sigmoid(layers, x),
    nn.Softmax: lambda layers, module, x: _softmax(layers, x, module.dim),
    nn.SiLU: lambda layers, module, x: _silu(layers, x),
}

FUNCTIONS: Mapping[object, Handler] = {
    getattr: _attribute,
    operator.add: _add,
    operator.getitem: _take,
    operator.mul: _multiply,
    operator.truediv: _divide,
    nn.functional.gelu: _gelu,
    nn.functional.hardsigmoid: _hardsigmoid,
    nn.functional.hardswish: _hardswish,
    nn.functional.relu: _relu,
    nn.functional.relu6: _relu6,
    nn.functional.silu: _silu,
    nn.functional.softmax: _softmax,
    torch.add: _add,
    torch.cat: _concatenate,
    torch.conv2d: _conv2d,
    torch.div: _divide,
    torch.flatten: _flatten,
    torch.mean: _mean,
    torch.mul: _multiply,
    torch.relu: _relu,
    torch.sigmoid: _sigmoid,
    torch.softmax: _softmax,
    torch.zeros_like: _zeros_like,
}

METHODS: Mapping[str, Handler] = {
    "add": _add,
    "contiguous": _contiguous,
    "div": _divide,
    "flatten": _flatten,
    "float": _float,
    "mean": _mean,
    "mul": _multiply,
    "new_zeros": _new_zeros,
    "relu": _relu,
    "sigmoid": _sigmoid,
    "size": _size,
    "softmax": _softmax,
    "to": _to,
}


def _is_by_channel(image: Value, factors: Tensor) -> bool:
    """Tell whether ``factors`` are one for each channel of an image, (1, c, 1, 1) or (c, 1, 1)."""
    shape = tuple(factors.shape)
    return len(image.shape) == IMAGE_RANK and shape in ((image.shape[1], 1, 1), (1, image.shape[1], 1, 1))


def _is_plain_slice(index: object) -> bool:
    if not isinstance(index, slice):
        return False
    bounds = (index.start, index.stop, index.step)
    return all(bound is None or isinstance(bound, int) for bound in bounds) and (index.step or 1) > 0


def _pool_windows(module: nn.MaxPool2d | nn.AvgPool2d) -> Windows:
    if module.ceil_mode:
        raise UnsupportedOperationError(f"{type(module).__name__} with ceil_mode has no form in TFLite")
    kernel = _pair(module.kernel_size)
    dilation = module.dilation if isinstance(module, nn.MaxPool2d) else 1
    return _windows(kernel, module.stride, module.padding, dilation)


def _windows(kernel: Sequence[int], stride: _Sizes, padding: _Sizes | str, dilation: _Sizes) -> Windows:
    height, width = (
        _window(*each, padding if isinstance(padding, str) else _pair(padding)[i])
        for i, each in enumerate(zip(kernel, _pair(stride), _pair(dilation), strict=True))
    )
    return height, width


def _window(kernel: int, stride: int, dilation: int, padding: int | str) -> Window:
    """Return the window along one axis; torch's "same" has the larger half of its padding behind."""
    whole = dilation * (kernel - 1) if padding == "same" else 0
    before, after = (whole // 2, whole - whole // 2) if isinstance(padding, str) else (padding, padding)
    return Window(kernel, stride, before, after, dilation)


def _pair(sizes: _Sizes) -> tuple[int, int]:
    if isinstance(sizes, int):
        return sizes, sizes
    first, *others = sizes
    return first, others[0] if others else first


def _image(x: Value) -> Value:
    if len(x.shape) != IMAGE_RANK:
        raise UnsupportedOperationError(
            f"an image of shape {x.shape} has no form in TFLite; only (n, c, h, w) has"
        )
    return x


def _constant(layers: Layers, values: Tensor | float) -> Value:
    return layers.constant(_array(torch.as_tensor(values)))


def _number(value: float) -> Array:
    """Return ``value`` as (1,)."""
    return np.array([value], dtype=np.float32)


def _array(values: Tensor) -> Array:
    """Return ``values`` in their own shape, as float32 on this machine's memory."""
    return values.detach().cpu().contiguous().numpy().astype(np.float32)
