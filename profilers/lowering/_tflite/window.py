"""Windows that slide over images: what torch's padding is in TFLite's terms."""

from dataclasses import dataclass

from profilers.lowering._tflite.graph import Padding

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A kernel's window along one axis.

    Attributes:
        kernel: Taps.
        stride: Pixels from one position of the window to the next.
        before: Padding in front of the axis.
        after: Padding behind it.
        dilation: Pixels between two taps.
    """

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Pixels from the first tap to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    def positions(self, size: int) -> int:
        """Return at how many positions the window fits on an axis of ``size`` pixels."""
        return (size + self.before + self.after - self.extent) // self.stride + 1

    def margins(self, size: int) -> Pair:
        """Return the padding in front and behind that the windows really reach."""
        reached = (self.positions(size) - 1) * self.stride + self.extent
        return self.before, max(0, reached - size - self.before)

    def is_same(self, size: int) -> bool:
        """Tell whether TFLite's SAME pads an axis of ``size`` pixels like this."""
        positions = -(-size // self.stride)
        padding = max(0, (positions - 1) * self.stride + self.extent - size)
        return self.positions(size) == positions and padding // 2 == self.before

    def valid_pixels(self, size: int) -> list[int]:
        """Count, for each position of an undilated window, the taps that are not on padding."""
        starts = [position * self.stride - self.before for position in range(self.positions(size))]
        return [min(start + self.kernel, size) - max(start, 0) for start in starts]


def padding_of(windows: tuple[Window, Window], sizes: Pair) -> Padding | None:
    """Return what TFLite calls the padding of an image of ``sizes``; ``None`` where it has no word for it."""
    pairs = list(zip(windows, sizes, strict=True))
    if all(window.margins(size) == (0, 0) for window, size in pairs):
        return Padding.VALID
    if all(window.is_same(size) for window, size in pairs):
        return Padding.SAME
    return None
