"""Primitive layers: what operations are made of, with shapes and counts by arithmetic. No torch."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """Convolution without bias: (c_in, h, w) to (c_out, ceil(h/stride), ceil(w/stride)); odd kernels only.

    Attributes:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel: Side of a square kernel, or (height, width).
        stride: Stride in both directions, or (down, right).
        dilation: Dilation in both directions.
        groups: Number of groups of input and output channels.
    """

    c_in: int
    c_out: int
    kernel: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    dilation: int = 1
    groups: int = 1

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return _pair(self.kernel)

    @property
    def strides(self) -> tuple[int, int]:
        """Stride down and stride to the right."""
        return _pair(self.stride)

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros above and below, left and right, so that stride 1 keeps the size."""
        height, width = self.kernel_size
        return self.dilation * (height - 1) // 2, self.dilation * (width - 1) // 2


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation; ``affine`` adds a learnable scale and shift."""

    channels: int
    affine: bool


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True)
class Relu6:
    """min(max(x, 0), 6)."""


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True)
class HardSigmoid:
    """relu6(x + 3) / 6."""


@dataclass(frozen=True)
class Swish:
    """x sigmoid(x), also called SiLU."""


@dataclass(frozen=True)
class HardSwish:
    """x relu6(x + 3) / 6."""


@dataclass(frozen=True)
class Gelu:
    """x times the probability that a standard normal number is below x."""


Activation = Relu | Relu6 | Sigmoid | HardSigmoid | Swish | HardSwish | Gelu


@dataclass(frozen=True)
class SqueezeExcite:
    """Scale each channel by a gate that two 1x1 convolutions with bias make of the means of all channels.

    Attributes:
        channels: Channels of the image.
        squeezed: Channels between the two convolutions.
        activation: What is applied between them.
        gate: What is applied to the second one's result.
    """

    channels: int
    squeezed: int
    activation: Activation
    gate: Activation


@dataclass(frozen=True)
class Pool:
    """Pooling that keeps the size at stride 1; mode is "max" or "avg" (which does not count the padding)."""

    mode: str
    kernel: int
    stride: int


@dataclass(frozen=True)
class FactorizedConv:
    """Halve the size: concatenate two 1x1 stride-2 convolutions, one on the input shifted by one pixel."""

    c_in: int
    c_out: int


@dataclass(frozen=True)
class GlobalPool:
    """Mean over the image: (c, h, w) to (c,)."""


@dataclass(frozen=True)
class Linear:
    """Fully connected with bias."""

    c_in: int
    c_out: int


@dataclass(frozen=True)
class Zero:
    """Zeros, whatever the input: (c_in, h, w) to (c_out, ceil(h/stride), ceil(w/stride))."""

    c_in: int
    c_out: int
    stride: int


@dataclass(frozen=True)
class Sum:
    """Add all inputs."""


@dataclass(frozen=True)
class Concat:
    """Join all inputs along the channels."""


@dataclass(frozen=True)
class Mean:
    """Average all inputs."""


Weightless = Activation | Pool | GlobalPool | Zero | Sum | Concat | Mean
Layer = Conv | BatchNorm | FactorizedConv | Linear | SqueezeExcite | Weightless
#: Layers that may change their input in place: each element of the output is of one of the input.
Elementwise = BatchNorm | Activation


def shape_after(layer: Layer, shape: tuple[int, ...], *, n_inputs: int) -> tuple[int, ...]:
    """Return the shape of what ``layer`` makes of ``n_inputs`` tensors of one ``shape``."""
    n, c, *size = shape
    match layer:
        case Conv():
            return (n, layer.c_out, *_strided(size, layer.strides))
        case Zero():
            return (n, layer.c_out, *_strided(size, _pair(layer.stride)))
        case FactorizedConv():
            return (n, layer.c_out, *_strided(size, (2, 2)))
        case Pool():
            return (n, c, *_strided(size, _pair(layer.stride)))
        case Concat():
            return (n, c * n_inputs, *size)
        case GlobalPool():
            return (n, c)
        case Linear():
            return (n, layer.c_out)
        case _:
            return shape


def weights(layer: Layer) -> int:
    """Count what a layer multiplies with: at each position of its output, once for a gate."""
    match layer:
        case Conv():
            return layer.c_in // layer.groups * layer.c_out * math.prod(layer.kernel_size)
        case FactorizedConv() | Linear():
            return layer.c_in * layer.c_out
        case SqueezeExcite():
            return 2 * layer.channels * layer.squeezed
        case _:
            return 0


def macs(layer: Layer, output: tuple[int, ...]) -> int:
    """Count multiply-accumulates for one image; ``output`` is a shape, (n, c, h, w) or (n, c)."""
    # The gates of a squeeze-and-excitation are computed once, whatever the size of the image.
    positions = 1 if isinstance(layer, SqueezeExcite) else math.prod(output[2:])
    return weights(layer) * positions


def offsets(layer: Layer) -> int:
    """Count the other learnable parameters: biases, and the scales of batch normalisation."""
    match layer:
        case BatchNorm(affine=True):
            return 2 * layer.channels
        case Linear():
            return layer.c_out
        case SqueezeExcite():
            return layer.channels + layer.squeezed
        case _:
            return 0


def _strided(size: list[int], strides: tuple[int, int]) -> tuple[int, ...]:
    return tuple(-(-pixels // stride) for pixels, stride in zip(size, strides, strict=True))


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
