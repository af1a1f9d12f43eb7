"""Forms of some modules that a CPU computes faster than torch's own.

* Torch's pools look at every pixel of each window.
* Gradients of slices lie in memory otherwise than what was sliced, and operations before that are much
  slower for it: those of a concatenation, and of every second pixel.

SuperNets are trained and judged so, and networks retrained; those that are exported and measured have torch's
forms. The last bits of the two differ.
"""

from functools import lru_cache, reduce

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

#: Images times rows times columns, below which pools of several operations cost more than they save.
_FEWEST_PIXELS = 4096


class HasQuickForm(nn.Module):
    """A module that computes otherwise where that is faster.

    Attributes:
        is_quick: Whether it may.
    """

    is_quick = False

    def quickens(self, image: Tensor) -> bool:
        """Tell whether it does for ``image``: 32 bits on a CPU."""
        if not self.is_quick:  # whoever traces the module has no image to look at
            return False
        is_plain = image.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        return image.device.type == "cpu" and is_plain


def quicken(module: nn.Module, *, is_quick: bool) -> None:
    """Let all in ``module`` that has a quick form take it, or torch's own."""
    for part in module.modules():
        if isinstance(part, HasQuickForm):
            part.is_quick = is_quick


class _Pool(HasQuickForm):
    """A pool whose quick form is of stride 1, and of many pixels.

    Args:
        pool: Torch's form.
        kernel: Side of the window; odd, where the stride is 1.
        stride: Of the window.
    """

    def __init__(self, pool: nn.Module, kernel: int, stride: int) -> None:
        super().__init__()
        self.pool = pool
        self._kernel, self._padding, self._has_gain = kernel, _padding(kernel), stride == 1

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, c, ceil(h/stride), ceil(w/stride))."""
        if self._has_gain and self.quickens(image) and _is_large(image):
            return self._quick(image)
        pooled: Tensor = self.pool(image)
        return pooled

    def _quick(self, image: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        raise NotImplementedError


class AveragePool(_Pool):
    """Average pool that does not count its padding; the quick form is a depthwise convolution with ones.

    Args:
        kernel: Side of the window; odd, where the stride is 1.
        stride: Of the window.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        pool = nn.AvgPool2d(kernel, stride, _padding(kernel), count_include_pad=False)
        super().__init__(pool, kernel, stride)

    def _quick(self, image: Tensor) -> Tensor:
        _, channels, height, width = image.shape
        ones = _ones(channels, self._kernel)
        sums = nn.functional.conv2d(image, ones, padding=self._padding, groups=channels)
        return sums * _shares(height, width, self._kernel)


class MaxPool(_Pool):
    """Max pool; the quick form, without gradients, is one along the columns and one along the rows.

    Args:
        kernel: Side of the window; odd, where the stride is 1.
        stride: Of the window.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__(nn.MaxPool2d(kernel, stride, _padding(kernel)), kernel, stride)

    def quickens(self, image: Tensor) -> bool:
        """Tell whether it does for ``image``: 32 bits on a CPU, without gradients."""
        return not torch.is_grad_enabled() and super().quickens(image)

    def _quick(self, image: Tensor) -> Tensor:
        found: Tensor = nn.functional.pad(image, (self._padding,) * 4, value=-torch.inf)
        for axis, side in ((2, image.shape[2]), (3, image.shape[3])):
            found = reduce(torch.maximum, (found.narrow(axis, i, side) for i in range(self._kernel)))
        return found


def concatenated(parts: tuple[Tensor, ...]) -> Tensor:
    """Join tensors (n, c_i, h, w) to one (n, sum of c_i, h, w), whose parts of the gradient are dense."""
    joined: Tensor = _Concatenation.apply(*parts)  # type: ignore[no-untyped-call]
    return joined


def every_second(image: Tensor, *offsets: int) -> tuple[Tensor, ...]:
    """Return every second pixel of (n, c, h, w), of rows and columns from an offset on: dense, for each.

    The gradient lies in memory as ``image`` does.
    """
    found: tuple[Tensor, ...] = _EverySecond.apply(image, offsets)  # type: ignore[no-untyped-call]
    return found


class _Concatenation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, *parts: Tensor) -> Tensor:
        channels, layout = [part.shape[1] for part in parts], _layout(parts[0])
        ctx.channels, ctx.layout = channels, layout  # type: ignore[attr-defined]
        return torch.cat(parts, dim=1)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, ...]:
        channels, layout = ctx.channels, ctx.layout  # type: ignore[attr-defined]
        return tuple(part.contiguous(memory_format=layout) for part in gradient.split(channels, dim=1))


class _EverySecond(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, image: Tensor, offsets: tuple[int, ...]) -> tuple[Tensor, ...]:
        layout = _layout(image)
        ctx.shape, ctx.layout, ctx.offsets = image.shape, layout, offsets  # type: ignore[attr-defined]
        return tuple(image[:, :, i::2, i::2].contiguous(memory_format=layout) for i in offsets)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        shape, layout = ctx.shape, ctx.layout  # type: ignore[attr-defined]
        found = torch.empty(shape, dtype=gradients[0].dtype, memory_format=layout).zero_()
        for i, gradient in zip(ctx.offsets, gradients, strict=True):  # type: ignore[attr-defined]
            found[:, :, i::2, i::2] = gradient
        return found, None


def _layout(tensor: Tensor) -> torch.memory_format:
    return torch.contiguous_format if tensor.is_contiguous() else torch.channels_last


def _padding(kernel: int) -> int:
    return (kernel - 1) // 2


def _is_large(image: Tensor) -> bool:
    n, _, height, width = image.shape
    return n * height * width >= _FEWEST_PIXELS


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # what is made in an evaluation could else not be used in training
def _ones(channels: int, kernel: int) -> Tensor:
    """Return the weights of the convolution, (channels, 1, kernel, kernel)."""
    return torch.ones(channels, 1, kernel, kernel, dtype=torch.float32)


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)
def _shares(height: int, width: int, kernel: int) -> Tensor:
    """Return one over the number of pixels in the window around each pixel, (1, 1, height, width)."""
    pixels = torch.ones(1, 1, height, width, dtype=torch.float32)
    return nn.functional.conv2d(pixels, _ones(1, kernel), padding=_padding(kernel)).reciprocal()
