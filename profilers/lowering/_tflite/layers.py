"""Torch's layers as TFLite's operations, images in NHWC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from profilers._layout import IMAGE_RANK, nhwc, nhwc_shape
from profilers.lowering._tflite.graph import ACTIVATION, SCALE_SHIFT, Activation, Graph, Padding
from profilers.lowering._tflite.window import Window, padding_of

Array = NDArray[np.float32]
Windows = tuple[Window, Window]

#: Where the axes of torch's NCHW lie in NHWC.
_NHWC_AXES = (0, 3, 1, 2)

_INACTIVE = {ACTIVATION: Activation.NONE}


@dataclass(frozen=True)
class Value:
    """A tensor as torch sees it.

    Attributes:
        tensor: Its number in the TFLite graph.
        shape: Torch's; (n, c, h, w) of what lies there as (n, h, w, c).
    """

    tensor: int
    shape: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.shape[2], self.shape[3]


def axis_in_tflite(axis: int, rank: int) -> int:
    """Return where an axis of a torch tensor lies in TFLite."""
    return _NHWC_AXES[axis] if rank == IMAGE_RANK else axis


class Layers:
    """Adds layers to a graph; each method returns the result of one.

    Args:
        graph: What they are added to.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def constant(self, values: Array) -> Value:
        """Hold ``values``, given in torch's layout."""
        return Value(self.graph.constant(nhwc(values)), values.shape)

    def convolution(self, x: Value, weights: Array, bias: Array, windows: Windows, groups: int) -> Value:
        """Convolve (n, c_in, h, w); ``weights`` are (c_out, c_in / groups, h, w), ``bias`` is (c_out,)."""
        shape = (x.shape[0], len(weights), *_positions(x, windows))
        source, padding = self._padded(x, windows)
        options = {
            **_sliding(windows, padding),
            "dilationHFactor": windows[0].dilation,
            "dilationWFactor": windows[1].dilation,
        }
        if groups == x.shape[1] > 1:
            multiplier = {"depthMultiplier": len(weights) // groups}
            inputs = self._weighted(source, weights.transpose(1, 2, 3, 0), bias)
            return self._add("DEPTHWISE_CONV_2D", inputs, shape, options | multiplier)
        inputs = self._weighted(source, weights.transpose(0, 2, 3, 1), bias)
        return self._add("CONV_2D", inputs, shape, options)

    def linear(self, x: Value, weights: Array, bias: Array) -> Value:
        """Connect (n, c_in) fully to (n, c_out); ``weights`` are (c_out, c_in), ``bias`` is (c_out,)."""
        inputs = self._weighted(x, weights, bias)
        return self._add("FULLY_CONNECTED", inputs, (x.shape[0], len(weights)), _INACTIVE)

    def max_pool(self, x: Value, windows: Windows) -> Value:
        """Take the largest pixel of each window; padding never wins."""
        shape = (*x.shape[:2], *_positions(x, windows))
        padding = padding_of(windows, x.size)
        if padding is None:
            x, padding = self._repeated_edges(x, windows), Padding.VALID
        options = {**_sliding(windows, padding), **_filter(windows)}
        return self._add("MAX_POOL_2D", (x.tensor,), shape, options)

    def average_pool(self, x: Value, windows: Windows, *, counts_padding: bool) -> Value:
        """Average the pixels of each window, and the zeros of its padding where they are counted."""
        shape = (*x.shape[:2], *_positions(x, windows))
        padding = padding_of(windows, x.size)
        is_plain = padding == Padding.VALID or (padding == Padding.SAME and not counts_padding)
        source, padding = (x, padding) if is_plain else (self._zeros_around(x, windows), Padding.VALID)
        options = {**_sliding(windows, padding or Padding.SAME), **_filter(windows)}
        pooled = self._add("AVERAGE_POOL_2D", (source.tensor,), shape, options)
        if is_plain or counts_padding:
            return pooled
        # The kernel divides by all taps, the zeros that were put around included; torch does not count those
        # and divides by the pixels that are there: rows[y] * columns[x] of them.
        rows, columns = (np.array(w.valid_pixels(n)) for w, n in zip(windows, x.size, strict=True))
        taps = windows[0].kernel * windows[1].kernel
        correction = (taps / np.outer(rows, columns)).astype(np.float32)[None, :, :, None]
        return self._add("MUL", (pooled.tensor, self.graph.constant(correction)), shape, _INACTIVE)

    def mean_of_image(self, x: Value) -> Value:
        """Average over height and width: (n, c, h, w) to (n, c, 1, 1)."""
        axes = self.graph.constant(np.array([1, 2], dtype=np.int32))
        return self._add("MEAN", (x.tensor, axes), (*x.shape[:2], 1, 1), {"keepDims": True})

    def reshape(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Give the same values, in TFLite's order, another shape."""
        wanted = self.graph.constant(np.array(nhwc_shape(shape), dtype=np.int32))
        return self._add("RESHAPE", (x.tensor, wanted), shape)

    def scale_shift(self, x: Value, scale: Array, shift: Array) -> Value:
        """Return ``x * scale + shift``; both are (c,) or (1,)."""
        if np.all(scale == 1) and np.all(shift == 0):
            return x
        inputs = (x.tensor, self.graph.constant(scale), self.graph.constant(shift))
        return self._add(SCALE_SHIFT, inputs, x.shape)

    def activation(self, x: Value, code: str, options: Mapping[str, int] = MappingProxyType({})) -> Value:
        """Apply ``code``, an operation of TFLite on one tensor: RELU, RELU6, LOGISTIC, HARD_SWISH, GELU."""
        return self._add(code, (x.tensor,), x.shape, options)

    def to_float(self, x: Value) -> Value:
        """Convert pixels to float; what is in float already stays."""
        return self._add("CAST", (x.tensor,), x.shape) if x.tensor in self.graph.pixels else x

    def softmax(self, x: Value) -> Value:
        """Turn what lies along the last axis of TFLite into probabilities."""
        return self._add("SOFTMAX", (x.tensor,), x.shape)

    def hard_sigmoid(self, x: Value) -> Value:
        """Compute relu6(x + 3) / 6, for which TFLite has no operation."""
        shifted = self.scale_shift(x, *_numbers(1, 3))
        return self.scale_shift(self.activation(shifted, "RELU6"), *_numbers(1 / 6, 0))

    def add(self, first: Value, second: Value) -> Value:
        """Add two tensors of one shape; nothing runs where one is all zeros."""
        for x, other in ((first, second), (second, first)):
            known = self.graph.constants.get(x.tensor)
            if known is not None and not known.any():
                return other
        return self._add("ADD", (first.tensor, second.tensor), first.shape, _INACTIVE)

    def multiply(self, first: Value, second: Value) -> Value:
        """Multiply two tensors of one shape, or each pixel of an image by the second, which has one."""
        return self._add("MUL", (first.tensor, second.tensor), first.shape, _INACTIVE)

    def concatenate(self, parts: Sequence[Value], axis: int) -> Value:
        """Join tensors along ``axis`` of torch."""
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        options = {"axis": axis_in_tflite(axis, len(shape))}  # an activation is in the schema, not in kernels
        return self._add("CONCATENATION", tuple(part.tensor for part in parts), tuple(shape), options)

    def take(self, x: Value, ranges: Sequence[range]) -> Value:
        """Take a range of each axis of torch."""
        shape = tuple(map(len, ranges))
        if shape == x.shape:
            return x
        ordered = [ranges[axis] for axis in _axes(x)]
        begin, size, end, step = (
            self.graph.constant(np.array(bounds, dtype=np.int32))
            for bounds in zip(*((r.start, len(r), r.stop, r.step) for r in ordered), strict=True)
        )
        if all(taken.step == 1 for taken in ranges):
            return self._add("SLICE", (x.tensor, begin, size), shape)
        return self._add("STRIDED_SLICE", (x.tensor, begin, end, step), shape)

    def _padded(self, x: Value, windows: Windows) -> tuple[Value, Padding]:
        """Return the image, with zeros around it where TFLite has no word for them, and the padding left."""
        padding = padding_of(windows, x.size)
        return (self._zeros_around(x, windows), Padding.VALID) if padding is None else (x, padding)

    def _zeros_around(self, x: Value, windows: Windows) -> Value:
        """Pad (n, c, h, w) with as many zeros as the windows reach."""
        margins = [window.margins(size) for window, size in zip(windows, x.size, strict=True)]
        widths = np.array([(0, 0), *margins, (0, 0)], dtype=np.int32)
        height, width = (n + sum(margin) for n, margin in zip(x.size, margins, strict=True))
        return self._add("PAD", (x.tensor, self.graph.constant(widths)), (*x.shape[:2], height, width))

    def _repeated_edges(self, x: Value, windows: Windows) -> Value:
        """Repeat the first and last pixels: the largest of a window stays, since each window has them anyway.

        Padding with the lowest number would do the same, by PADV2, which the XNNPACK delegate does not run.
        """
        for axis, window in zip((2, 3), windows, strict=True):
            before, after = window.margins(x.shape[axis])
            edges = []
            for index in (0, x.shape[axis] - 1):
                ranges = [range(index, index + 1) if i == axis else range(n) for i, n in enumerate(x.shape)]
                edges.append(ranges)
            parts = [self.take(x, edges[0])] * before + [x] + [self.take(x, edges[1])] * after
            x = self.concatenate(parts, axis) if len(parts) > 1 else x
        return x

    def _weighted(self, x: Value, weights: Array, bias: Array) -> tuple[int, ...]:
        return (x.tensor, self.graph.constant(weights), self.graph.constant(bias))

    def _add(
        self,
        code: str,
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        options: Mapping[str, int] = MappingProxyType({}),
    ) -> Value:
        return Value(self.graph.add(code, inputs, nhwc_shape(shape), options), shape)


def _numbers(scale: float, shift: float) -> tuple[Array, Array]:
    """Return a scale and a shift, the same for all channels: (1,) each."""
    return np.array([scale], dtype=np.float32), np.array([shift], dtype=np.float32)


def _axes(x: Value) -> Sequence[int]:
    """Return torch's axes in TFLite's order."""
    return (0, 2, 3, 1) if len(x.shape) == IMAGE_RANK else range(len(x.shape))


def _positions(x: Value, windows: Windows) -> list[int]:
    """Return height and width of what windows that slide over the image ``x`` give."""
    return [window.positions(size) for window, size in zip(windows, x.size, strict=True)]


def _sliding(windows: Windows, padding: Padding) -> dict[str, int]:
    return {"padding": padding, "strideH": windows[0].stride, "strideW": windows[1].stride, **_INACTIVE}


def _filter(windows: Windows) -> dict[str, int]:
    return {"filterHeight": windows[0].kernel, "filterWidth": windows[1].kernel}
