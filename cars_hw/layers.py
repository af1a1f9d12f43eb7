"""Operation kinds spelled out as primitive layers: the one source of modules, parameters and MACs. No torch.

The DARTS kinds follow Liu et al., "DARTS: Differentiable Architecture Search", arXiv 1806.09055, section 3.1.1.
"""

from collections.abc import Callable
from dataclasses import dataclass

from devices._errors import SpecError
from latency_tables.spec import OpSpec


@dataclass(frozen=True)
class Conv:
    """Convolution without bias: (c_in, h, w) to (c_out, ceil(h/stride), ceil(w/stride))."""

    c_in: int
    c_out: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1

    @property
    def padding(self) -> int:
        """Zeros on each side, so that stride 1 keeps the size."""
        return self.dilation * (self.kernel - 1) // 2


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation; ``affine`` adds a learnable scale and shift."""

    channels: int
    affine: bool


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True)
class Pool:
    """3x3 pooling with padding 1; ``mode`` is "max" or "avg" (which does not count the padding)."""

    mode: str
    stride: int


@dataclass(frozen=True)
class FactorizedConv:
    """Halve the size with two 1x1 stride-2 convolutions, the second on the input shifted by one pixel; concatenate."""

    c_in: int
    c_out: int


@dataclass(frozen=True)
class Identity:
    """x."""


@dataclass(frozen=True)
class GlobalPool:
    """Mean over the image: (c, h, w) to (c,)."""


@dataclass(frozen=True)
class Linear:
    """Fully connected with bias."""

    c_in: int
    c_out: int


@dataclass(frozen=True)
class Sum:
    """Add all inputs."""


@dataclass(frozen=True)
class Concat:
    """Join all inputs along the channels."""


Layer = Conv | BatchNorm | Relu | Pool | FactorizedConv | Identity | GlobalPool | Linear | Sum | Concat
