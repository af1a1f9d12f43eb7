"""What families of mobile networks have in common and what they do not: widths, blocks, activations.

M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, arXiv 1801.04381.
M. Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR 2019, arXiv 1807.11626.
A. Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv 1905.02244, whose third stage has blocks that
widen 2.3 and 2.5 times: its networks were thinned channel by channel.

All widths are those of networks for ImageNet.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

FamilyName = Literal["mobilenet_v2", "mnasnet", "mobilenet_v3"]

#: Widths that are computed are multiples of it, and at most a tenth smaller than what was asked for.
_DIVISOR, _LEAST = 8, 0.9

#: Of the channels that a squeeze-and-excitation is made of, it keeps one in so many.
_REDUCTION = 4

SKIP = "skip"


class Block(NamedTuple):
    """An inverted residual.

    Attributes:
        kernel: Side of its depthwise convolution.
        tenths: How often it widens its input, in tenths.
        is_gated: Whether it has a squeeze-and-excitation.
    """

    kernel: int
    tenths: int
    is_gated: bool = False

    @property
    def name(self) -> str:
        """Its name in descriptions: ``"k3e6"``, ``"k5e2.5se"``."""
        return f"k{self.kernel}e{self.tenths / 10:g}{'se' if self.is_gated else ''}"


@dataclass(frozen=True)
class Stage:
    """Layers of one width; the first of them has the stride and is never skipped.

    Attributes:
        widths: The options of the width.
        stride: Stride of the first layer.
        blocks: The options of a layer; where it may be skipped, that is one more.
        activation: Of its layers.
        is_single: Whether it has one layer, whatever the setting.
    """

    widths: tuple[int, ...]
    stride: int
    blocks: tuple[Block, ...]
    activation: str
    is_single: bool = False

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the options of a layer."""
        return (*(block.name for block in self.blocks), SKIP)


@dataclass(frozen=True)
class Family:
    """Everything about the networks of a family that no decision says.

    Attributes:
        stem: Channels of the first convolution, whose activation is that of the tail.
        first: Activation of the layer of 16 channels that follows; it is added to its input if it can be.
        stages: All others.
        tail: Channels of the last convolution.
        tail_activation: Its activation.
        hidden: Numbers between the two linear layers that come last; ``None``: there is one.
        gate: What a squeeze-and-excitation applies last.
        squeezes_wide: Whether it squeezes the channels that it scales, to a multiple of 8; else it squeezes
            those of its block's input.
    """

    stem: int
    first: str
    stages: tuple[Stage, ...]
    tail: int
    tail_activation: str
    hidden: int | None = None
    gate: str = "sigmoid"
    squeezes_wide: bool = False

    def squeezed(self, c_in: int, wide: int) -> int:
        """Return the channels between the convolutions of the gate of a block that reads ``c_in``."""
        return divisible(wide // _REDUCTION) if self.squeezes_wide else round(c_in / _REDUCTION)


def divisible(channels: float) -> int:
    """Return the multiple of 8 nearest to ``channels``, but hardly a smaller one."""
    rounded = max(_DIVISOR, int(channels + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded if rounded >= _LEAST * channels else rounded + _DIVISOR


def _blocks(kernels: tuple[int, ...], tenths: tuple[int, ...], *, gates: bool = True) -> tuple[Block, ...]:
    gated = (False, True) if gates else (False,)
    return tuple(Block(*options) for options in itertools.product(kernels, tenths, gated))


_V2_BLOCKS = _blocks((3, 5, 7), (30, 60), gates=False)
_MNASNET_BLOCKS = _blocks((3, 5), (30, 60))
_V3_BLOCKS = _blocks((3, 5), (30, 40, 60))
_V3_THINNED = _blocks((3, 5), (23, 25, 30, 40, 60))

FAMILIES: Mapping[FamilyName, Family] = {
    "mobilenet_v2": Family(
        stem=32,
        first="relu6",
        stages=(
            Stage((16, 24), 2, _V2_BLOCKS, "relu6"),
            Stage((32, 40), 2, _V2_BLOCKS, "relu6"),
            Stage((64, 80), 2, _V2_BLOCKS, "relu6"),
            Stage((72, 96), 1, _V2_BLOCKS, "relu6"),
            Stage((144, 192), 2, _V2_BLOCKS, "relu6"),
            Stage((240, 320), 1, _V2_BLOCKS, "relu6", is_single=True),
        ),
        tail=1280,
        tail_activation="relu6",
    ),
    "mnasnet": Family(
        stem=32,
        first="relu",
        stages=(
            Stage((16, 24), 2, _MNASNET_BLOCKS, "relu"),
            Stage((32, 40), 2, _MNASNET_BLOCKS, "relu"),
            Stage((64, 80), 2, _MNASNET_BLOCKS, "relu"),
            Stage((96, 112), 1, _MNASNET_BLOCKS, "relu"),
            Stage((128, 160), 2, _MNASNET_BLOCKS, "relu"),
            Stage((240, 320), 1, _MNASNET_BLOCKS, "relu", is_single=True),
        ),
        tail=1280,
        tail_activation="relu",
    ),
    "mobilenet_v3": Family(
        stem=16,
        first="relu",
        stages=(
            Stage((16, 24), 2, _V3_BLOCKS, "relu"),
            Stage((32, 40), 2, _V3_BLOCKS, "relu"),
            Stage((64, 80), 2, _V3_THINNED, "hard_swish"),
            Stage((96, 112), 1, _V3_BLOCKS, "hard_swish"),
            Stage((128, 160), 2, _V3_BLOCKS, "hard_swish"),
        ),
        tail=960,
        tail_activation="hard_swish",
        hidden=1280,
        gate="hard_sigmoid",
        squeezes_wide=True,
    ),
}
