"""The network of DARTS, written anew in plain torch: with all operations on all edges, or two into each node.

Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, arXiv 1806.09055. The dense network is
how that paper computes, and how code does in which one-hot vectors stand for architectures: all eight
operations on all fourteen edges of a cell run, and all but the chosen ones count nothing. Nothing here is of
the product.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

#: Operation and predecessor of each of a node's edges.
Edges = Sequence[tuple[str, int]]

_NODES = 4
OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": lambda c, stride: _Nothing(stride),
    "max_pool_3x3": lambda c, stride: nn.Sequential(
        nn.MaxPool2d(3, stride, 1), nn.BatchNorm2d(c, affine=False)
    ),
    "avg_pool_3x3": lambda c, stride: nn.Sequential(
        nn.AvgPool2d(3, stride, 1, count_include_pad=False), nn.BatchNorm2d(c, affine=False)
    ),
    "skip_connect": lambda c, stride: nn.Identity() if stride == 1 else _Halved(c, c),
    "sep_conv_3x3": lambda c, stride: nn.Sequential(*_separable(c, 3, stride, 1), *_separable(c, 3, 1, 1)),
    "sep_conv_5x5": lambda c, stride: nn.Sequential(*_separable(c, 5, stride, 1), *_separable(c, 5, 1, 1)),
    "dil_conv_3x3": lambda c, stride: nn.Sequential(*_separable(c, 3, stride, 2)),
    "dil_conv_5x5": lambda c, stride: nn.Sequential(*_separable(c, 5, stride, 2)),
}


class _Nothing(nn.Module):
    """Zeros of the size that a convolution would give."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, c, h/stride, w/stride)."""
        return image[:, :, :: self.stride, :: self.stride].mul(0.0)


class _Halved(nn.Module):
    """Two convolutions on the even and the odd pixels, each for half of the channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(c_out, affine=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, c_in, h, w) to (n, c_out, h/2, w/2)."""
        image = self.relu(image)
        halves = torch.cat([self.even(image), self.odd(image[:, :, 1:, 1:])], dim=1)
        normalised: Tensor = self.norm(halves)
        return normalised


def _separable(c: int, kernel: int, stride: int, dilation: int) -> tuple[nn.Module, ...]:
    padding = dilation * (kernel - 1) // 2
    return (
        nn.ReLU(),
        nn.Conv2d(c, c, kernel, stride, padding, dilation=dilation, groups=c, bias=False),
        nn.Conv2d(c, c, 1, bias=False),
        nn.BatchNorm2d(c, affine=False),
    )


def _pointwise(c_in: int, c_out: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out, affine=False)
    )


class _Mixed(nn.Module):
    """All operations on an edge, added up with weights of which one, at most, is not zero."""

    def __init__(self, channels: int, stride: int, chosen: str) -> None:
        super().__init__()
        self.operations = nn.ModuleList(build(channels, stride) for build in OPERATIONS.values())
        self.weights = [float(name == chosen) for name in OPERATIONS]

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, c, h/stride, w/stride)."""
        terms = [
            weight * operation(image) for weight, operation in zip(self.weights, self.operations, strict=True)
        ]
        added: Tensor = sum(terms[1:], terms[0])
        return added


class _Cell(nn.Module):
    """Four nodes, each the sum of its edges; their concatenation is the output.

    Args:
        c_before: Channels of the cell before the last.
        c_last: Channels of the last cell.
        channels: Channels of each node.
        edges: Two for each node, in order.
        halves: Whether this cell halves the image.
        halved: Whether the last one did.
        dense: Whether all operations run on all edges.
    """

    def __init__(  # noqa: PLR0913  (what a cell is)
        self,
        c_before: int,
        c_last: int,
        channels: int,
        edges: Edges,
        *,
        halves: bool,
        halved: bool,
        dense: bool,
    ) -> None:
        super().__init__()
        self.before = _Halved(c_before, channels) if halved else _pointwise(c_before, channels)
        self.last = _pointwise(c_last, channels)
        self.edges = nn.ModuleList()
        self.reads: list[list[int]] = []
        for node in range(_NODES):
            chosen = {j: name for name, j in edges[2 * node : 2 * node + 2]}
            self.reads.append(list(range(node + 2)) if dense else sorted(chosen))
            for j in self.reads[-1]:
                name, stride = chosen.get(j, "none"), 2 if halves and j < 2 else 1
                built = _Mixed(channels, stride, name) if dense else OPERATIONS[name](channels, stride)
                self.edges.append(built)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        """Map the outputs of two cells to that of this one, (n, 4 c, h, w)."""
        tensors, edges = [self.before(before), self.last(last)], iter(self.edges)
        for reads in self.reads:
            terms = [edge(tensors[j]) for j, edge in zip(reads, edges, strict=False)]
            tensors.append(sum(terms[1:], terms[0]))
        return torch.cat(tensors[2:], dim=1)


class PlainDarts(nn.Module):
    """A network of eight cells, say, for images of three channels.

    Args:
        normal: Edges of the normal cell, two for each node.
        reduction: Those of the cell that halves the image, which stands after one and two thirds of them.
        channels: Of each node of the first cell.
        cells: How many.
        dense: Whether all operations run on all edges.
    """

    def __init__(
        self, normal: Edges, reduction: Edges, *, channels: int = 16, cells: int = 8, dense: bool = False
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 3 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(3 * channels, affine=False)
        )
        c_before = c_last = 3 * channels
        halved, built = False, []
        for index in range(cells):
            halves = index in (cells // 3, 2 * cells // 3)
            channels *= 2 if halves else 1
            edges = reduction if halves else normal
            built.append(_Cell(c_before, c_last, channels, edges, halves=halves, halved=halved, dense=dense))
            c_before, c_last, halved = c_last, _NODES * channels, halves
        self.cells = nn.ModuleList(built)
        self.classifier = nn.Linear(c_last, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to logits (n, 10)."""
        before = last = self.stem(image)
        for cell in self.cells:
            before, last = last, cell(before, last)
        logits: Tensor = self.classifier(last.mean((2, 3)))
        return logits
