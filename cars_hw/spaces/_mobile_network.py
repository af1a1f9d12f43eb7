"""Networks of inverted residuals, of any family: see ``_mobile_families``."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cars_hw.networks.graph import IMAGE, Node
from cars_hw.spaces._mobile_families import Block, Family, Stage, divisible
from cars_hw.spaces._nodes import NodeList, Tensor

#: A network of so many ``channels`` has the widths of its family.
WHOLE = 32

_FIRST = 16

#: Networks of this activation have operations of their own, without the parameter.
_RELU6 = "relu6"


@dataclass(frozen=True)
class MobileNetwork:
    """Everything about a network that no decision says.

    Attributes:
        family: Widths and activations.
        image_shape: (c, h, w) of the input.
        classes: Number of outputs.
        channels: All widths are to the family's as this is to 32; a multiple of 8.
        stem_stride: Stride of the first convolution.
        first_stride: Stride of the first stage.
    """

    family: Family
    image_shape: tuple[int, int, int]
    classes: int
    channels: int
    stem_stride: int
    first_stride: int

    def nodes(self, stages: Iterable[Sequence[tuple[int, ...]]]) -> list[Node]:
        """Return the nodes of all networks that take one of the options given for each decision.

        Args:
            stages: For each stage, the options of its width, then those of each of its layers.
        """
        builder = _Builder(self.family, self.channels)
        inputs = [builder.start(Tensor(IMAGE, (1, *self.image_shape)), stride=self.stem_stride)]
        for index, ((widths, *layers), stage) in enumerate(zip(stages, self.family.stages, strict=True)):
            stride = stage.stride if index else self.first_stride
            places = [_Place(f"stage{index}", stage, stage.widths[width], stride) for width in widths]
            inputs = [builder.stage(place, inputs, layers) for place in places]
        builder.end(inputs, self.classes)
        return builder.nodes


class _Place(NamedTuple):
    """A stage of a network at one of its widths.

    Attributes:
        slot: The beginning of the slots of its layers.
        stage: What it consists of.
        width: The family's, not that of the network.
        stride: Of its first layer.
    """

    slot: str
    stage: Stage
    width: int
    stride: int


class _Builder(NodeList):
    """Appends the parts of such a network."""

    def __init__(self, family: Family, channels: int) -> None:
        super().__init__()
        self._family, self._channels = family, channels

    def start(self, image: Tensor, *, stride: int) -> Tensor:
        """Append the stem and the layer after it."""
        stem = self._conv("stem", image, out=self._family.stem, kernel=3, stride=stride)
        block, width = Block(kernel=3, tenths=10), self._scaled(_FIRST)
        first = self._block("first", stem, block, self._family.first, out=width, stride=1)
        return self.add("first.sum", "sum", stem, first) if stem.shape == first.shape else first

    def stage(self, place: _Place, inputs: Sequence[Tensor], layers: Sequence[tuple[int, ...]]) -> Tensor:
        """Append the layers of one stage, the first of them for each of ``inputs``."""
        first, *others = layers
        for tensor, option in itertools.product(inputs, first):
            output = self._layer(place, 0, tensor, option)
        for index, options in enumerate(others, start=1):
            there = [option for option in options if option < len(place.stage.blocks)]
            blocks = [self._layer(place, index, output, option) for option in there]
            if blocks:
                output = self.add(f"{place.slot}.layer{index}.sum", "sum", output, blocks[-1])
        return output

    def end(self, inputs: Sequence[Tensor], classes: int) -> None:
        """Append what follows the stages, the first operation of it for each of ``inputs``."""
        family = self._family
        for tensor in inputs:
            tail = self._conv("tail", tensor, out=family.tail, kernel=1, stride=1)
        if family.hidden is None:
            self.add("classifier", "classifier", tail, out=classes)
            return
        hidden = self._scaled(family.hidden)
        activation = family.tail_activation
        self.add("classifier", "hidden_classifier", tail, hidden=hidden, activation=activation, out=classes)

    def _conv(self, slot: str, tensor: Tensor, *, out: int, kernel: int, stride: int) -> Tensor:
        activation, width = self._family.tail_activation, self._scaled(out)
        if activation == _RELU6:
            return self.add(slot, "conv_bn_relu6", tensor, out=width, kernel=kernel, stride=stride)
        return self.add(
            slot, "conv_bn_act", tensor, out=width, kernel=kernel, stride=stride, activation=activation
        )

    def _layer(self, place: _Place, index: int, tensor: Tensor, option: int) -> Tensor:
        stage, stride = place.stage, 1 if index else place.stride
        slot, out = f"{place.slot}.layer{index}", self._scaled(place.width)
        return self._block(slot, tensor, stage.blocks[option], stage.activation, out=out, stride=stride)

    def _block(
        self, slot: str, tensor: Tensor, block: Block, activation: str, *, out: int, stride: int
    ) -> Tensor:
        params: dict[str, int | str] = {"out": out, "kernel": block.kernel, "stride": stride}
        if activation == _RELU6:
            return self.add(slot, "inverted_residual", tensor, expansion=block.tenths // 10, **params)
        c_in = tensor.shape[1] * WHOLE // self._channels
        wide = divisible(c_in * block.tenths / 10)
        params |= {"wide": self._scaled(wide), "activation": activation}
        if not block.is_gated:
            return self.add(slot, "bottleneck", tensor, **params)
        squeezed = max(1, self._scaled(self._family.squeezed(c_in, wide)))
        gate = self._family.gate
        return self.add(
            slot, "gated_bottleneck", tensor, squeezed=squeezed, inner="relu", gate=gate, **params
        )

    def _scaled(self, width: int) -> int:
        return width * self._channels // WHOLE
