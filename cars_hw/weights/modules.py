"""The modules that compute operations: what is measured, searched, retrained and exported."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from cars_hw.networks import layers, operations
from cars_hw.weights.quick import AveragePool, HasQuickForm, MaxPool, concatenated, every_second
from latency_tables import OpSpec

#: With fewer input channels in channels-last format, the backward pass of a 1x1 convolution of stride 2
#: writes outside of its buffers on x86 CPUs (torch 2.13.0, oneDNN; found with glibc's checking malloc).
_FEWEST_CHANNELS_LAST = 8

_DENSE_DILATION = 2


def build(spec: OpSpec) -> nn.Module:
    """Return a new module that computes ``spec``; it takes one tensor for each of ``spec.input_shapes``.

    Its weights are drawn from torch's CPU generator. It leaves its inputs as they are.

    Raises:
        SpecError: ``spec`` is of an unknown kind, or lacks a parameter.
    """
    # A ReLU may overwrite what the layer before it computed, but not the input: other operations read that.
    modules = [_module(layer, owns_input=index > 0) for index, layer in enumerate(operations.layers_of(spec))]
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw weights as if torch's CPU generator had just been seeded, and leave that generator as it was."""
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)


class Zero(nn.Module):
    """Zeros as a convolution that every runtime has, so that an exported network reads its input."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.weight: Tensor
        self.register_buffer("weight", torch.zeros(c_out, c_in, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, c_in, h, w) to zeros (n, c_out, ceil(h/stride), ceil(w/stride))."""
        return nn.functional.conv2d(image, self.weight, stride=self.stride)


class Sum(nn.Module):
    """Add tensors of one shape."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Return the sum of all arguments, of their shape (n, c, h, w)."""
        for other in others:
            first = first + other
        return first


class Mean(Sum):
    """Average tensors of one shape."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Return the mean of all arguments, of their shape (n, c, h, w)."""
        return super().forward(first, *others) / (1 + len(others))


class Concat(HasQuickForm):
    """Join tensors along the channels."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map tensors (n, c_i, h, w) to one (n, sum of c_i, h, w), in the order of the arguments."""
        if torch.is_grad_enabled() and self.quickens(inputs[0]):
            return concatenated(inputs)
        return torch.cat(inputs, dim=1)


class FactorizedConv(HasQuickForm):
    """Two 1x1 convolutions of stride 2, on the even and on the odd pixels, each for half of the channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(c_in, c_out // 2, kernel_size=1, stride=2, bias=False)
        self.odd = nn.Conv2d(c_in, c_out // 2, kernel_size=1, stride=2, bias=False)
        self.is_narrow = c_in < _FEWEST_CHANNELS_LAST
        if not self.is_narrow:
            convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, c_in, h, w) to (n, c_out, h/2, w/2)."""
        if torch.is_grad_enabled() and self.quickens(image):
            even, odd = every_second(image, 0, 1)
            halves = nn.functional.conv2d(even, self.even.weight), nn.functional.conv2d(odd, self.odd.weight)
            return concatenated(halves)
        if self.is_narrow:
            image = image.contiguous()
        return torch.cat([self.even(image), self.odd(image[:, :, 1:, 1:])], dim=1)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate made of the means of all channels.

    Args:
        layer: Says how many channels there are, and what is applied.
    """

    def __init__(self, layer: layers.SqueezeExcite) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(layer.channels, layer.squeezed, kernel_size=1),
            _activation(layer.activation, owns_input=True),
            nn.Conv2d(layer.squeezed, layer.channels, kernel_size=1),
            _activation(layer.gate, owns_input=True),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        scaled: Tensor = image * self.gate(image)
        return scaled


class DilatedConv(nn.Conv2d, HasQuickForm):
    """Convolution of dilation 2, trained as a dense one on every second pixel.

    Its taps never mix even with odd rows or columns, so the image falls into four images of half the size
    (at stride 2, only the even one is needed). Backward passes of dilated depthwise convolutions have no fast
    path in oneDNN; so written, they are several times faster. What has none, as evaluation, recalibration and
    export, and all devices but a CPU keep the plain form.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, c_in, h, w) to (n, c_out, h/stride, w/stride)."""
        has_backward = self.training and torch.is_grad_enabled()
        is_plain = not has_backward or image.device.type != "cpu"
        if is_plain or self.stride not in ((1, 1), (2, 2)):
            return super().forward(image)
        if image.shape[2] % 2 or image.shape[3] % 2:
            return super().forward(image)
        if self.stride == (2, 2):
            return self._dense(every_second(image, 0)[0] if self.quickens(image) else image[:, :, ::2, ::2])
        n, c, h, w = image.shape
        pixels = image.permute(0, 2, 3, 1).reshape(n, h // 2, 2, w // 2, 2, c)
        quarters = pixels.permute(0, 2, 4, 1, 3, 5).reshape(4 * n, h // 2, w // 2, c)
        dense = self._dense(quarters.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        pixels = dense.reshape(n, 2, 2, h // 2, w // 2, -1).permute(0, 3, 1, 4, 2, 5)
        return pixels.reshape(n, h, w, -1).permute(0, 3, 1, 2)

    def _dense(self, image: Tensor) -> Tensor:
        """Convolve without dilation: (n, c_in, h, w) to (n, c_out, h, w)."""
        padding = (self.kernel_size[0] - 1) // 2
        return nn.functional.conv2d(image, self.weight, padding=padding, groups=self.groups)


def _module(layer: layers.Layer, *, owns_input: bool) -> nn.Module:
    match layer:
        case layers.Conv():
            return _conv(layer)
        case layers.BatchNorm():
            return nn.BatchNorm2d(layer.channels, affine=layer.affine)
        case layers.FactorizedConv():
            return FactorizedConv(layer.c_in, layer.c_out)
        case layers.Linear():
            return nn.Linear(layer.c_in, layer.c_out)
        case layers.SqueezeExcite():
            return SqueezeExcite(layer)
        case _:
            return _weightless(layer, owns_input=owns_input)


def _weightless(layer: layers.Weightless, *, owns_input: bool) -> nn.Module:
    match layer:
        case layers.Pool():
            return _pool(layer)
        case layers.GlobalPool():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case layers.Zero():
            return Zero(layer.c_in, layer.c_out, layer.stride)
        case layers.Sum():
            return Sum()
        case layers.Concat():
            return Concat()
        case layers.Mean():
            return Mean()
        case _:
            return _activation(layer, owns_input=owns_input)


def _activation(layer: layers.Activation, *, owns_input: bool) -> nn.Module:
    match layer:
        case layers.Relu():
            return nn.ReLU(inplace=owns_input)
        case layers.Relu6():
            return nn.ReLU6(inplace=owns_input)
        case layers.Sigmoid():
            return nn.Sigmoid()
        case layers.HardSigmoid():
            return nn.Hardsigmoid(inplace=owns_input)
        case layers.Swish():
            return nn.SiLU(inplace=owns_input)
        case layers.HardSwish():
            return nn.Hardswish(inplace=owns_input)
        case layers.Gelu():
            return nn.GELU()


def _conv(layer: layers.Conv) -> nn.Conv2d:
    kind = DilatedConv if layer.dilation == _DENSE_DILATION else nn.Conv2d
    convolution = kind(
        layer.c_in,
        layer.c_out,
        layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=False,
    )
    # Channels-last weights make a network compute in that format, which is faster on a CPU; see placement.
    convert_conv2d_weight_memory_format(convolution, torch.channels_last)
    return convolution


def _pool(layer: layers.Pool) -> nn.Module:
    kind = MaxPool if layer.mode == "max" else AveragePool
    return kind(layer.kernel, layer.stride)
