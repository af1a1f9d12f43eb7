"""A space of inverted residuals: kernel, expansion, depth and width of a MobileNet, searched layer by layer.

M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L. Chen, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018, arXiv 1801.04381: the layers. H. Cai, L. Zhu, S. Han, "ProxylessNAS: Direct Neural
Architecture Search on Target Task and Hardware", ICLR 2019, arXiv 1812.00332: the decisions, which are kernel
3, 5 or 7, expansion 3 or 6, and skipping where input and output have one shape.

Differs from both: each stage's width is a decision of two options, the wide ones ProxylessNAS' own.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

from pydantic import Field, JsonValue

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.spaces._nodes import NodeList, Tensor
from cars_hw.spaces._published import require_known
from cars_hw.spaces._space import ImageSettings, Scale, SearchSpace
from devices.foundation import UnknownNameError

#: Kernel and expansion of a layer; an option is an index here, and the one after the last skips the layer.
BLOCKS = tuple(itertools.product((3, 5, 7), (3, 6)))
SKIP = len(BLOCKS)
_NAMES = (*(f"k{kernel}e{expansion}" for kernel, expansion in BLOCKS), "skip")

T = TypeVar("T")


class _Stage(NamedTuple):
    """Layers of one width; the first of them has the stride and is never skipped."""

    widths: tuple[int, ...]
    stride: int


_STAGES = (
    _Stage((16, 24), 2),
    _Stage((32, 40), 2),
    _Stage((64, 80), 2),
    _Stage((72, 96), 1),
    _Stage((144, 192), 2),
    _Stage((240, 320), 1),
)
#: The last stage has one layer, whatever the setting.
_LAST = len(_STAGES) - 1
_STEM, _FIRST, _TAIL = 32, 16, 1280


class MobilenetSettings(ImageSettings):
    """Settings of the space of inverted residuals.

    Attributes:
        deploy: The network that is deployed: "imagenet" (a stem of 32 channels, 3x224x224, 1000 classes), or
            "search" (the search graph itself).
        resolution: Height and width of the images of a network deployed for "imagenet".
        layers: The most in each stage but the last, which has one; at both scales.
        channels: Channels of the search graph's stem; all of its widths are to "imagenet"'s as this is to 32.
        image_size: Height and width of the search graph's images.
        stem_stride: Stride of the search graph's first convolution. Its first stage has stride 1: it is for
            images far smaller than those of "imagenet".
    """

    deploy: Literal["imagenet", "search"] = "imagenet"
    resolution: int = Field(224, ge=32, le=1024)
    layers: int = Field(4, ge=1, le=16)
    channels: int = Field(16, ge=8, le=128, multiple_of=8)
    image_size: int = Field(32, ge=8, le=512)
    stem_stride: int = Field(1, ge=1, le=2)


class Mobilenet(SearchSpace):
    """For each of six stages its width, and for each of its layers a block or a skip.

    The settings are those of ``MobilenetSettings``.
    """

    settings: MobilenetSettings

    def __init__(self, /, **settings: object) -> None:
        super().__init__(**settings)
        asked = self.settings
        self.image_shape = asked.shape_of_images(asked.image_size)
        self.classes = asked.classes
        self.deploys_search_graph = asked.deploy == "search"
        self._depths = tuple(1 if stage == _LAST else asked.layers for stage in range(len(_STAGES)))
        self.choices = tuple(
            n
            for stage, depth in zip(_STAGES, self._depths, strict=True)
            for n in (len(stage.widths), len(BLOCKS), *(len(BLOCKS) + 1,) * (depth - 1))
        )
        self.groups = tuple((decision,) for decision in range(len(self.choices)))
        search = _Network(self.image_shape, self.classes, asked.channels, asked.stem_stride, first_stride=1)
        image_shape = (3, asked.resolution, asked.resolution)
        imagenet = _Network(image_shape, 1000, _STEM, stem_stride=2, first_stride=2)
        self._networks: dict[Scale, _Network] = {
            "search": search,
            "deploy": search if self.deploys_search_graph else imagenet,
        }

    @cached_property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The decisions of each resolution."""
        found: list[tuple[int, ...]] = []
        for stage, decisions in zip(_STAGES, self._of_stages(range(len(self.choices))), strict=True):
            if stage.stride == 1:
                found[-1] += tuple(decisions)
            else:
                found.append(tuple(decisions))
        return tuple(found)

    @cached_property
    def absent(self) -> Architecture:
        """Narrow, and skipped where a layer may be; else the smallest block."""
        return tuple(SKIP if n > len(BLOCKS) else 0 for n in self.choices)

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        options = [(option,) for option in checked(architecture, self.choices)]
        return Graph(tuple(self._networks[scale].nodes(self._of_stages(options))))

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        yield from self._networks[scale].nodes(self._of_stages(self.allowed))

    def describe(self, architecture: Architecture) -> dict[str, JsonValue]:
        stages = zip(_STAGES, self._of_stages(checked(architecture, self.choices)), strict=True)
        return {
            "stages": [
                {"width": stage.widths[width], "layers": [_NAMES[option] for option in layers]}
                for stage, (width, *layers) in stages
            ]
        }

    def from_description(self, description: JsonValue) -> Architecture:
        match description:
            case {"stages": list(stages), **others} if len(stages) == len(_STAGES):
                require_known(others, ("stages",), "the description")
                options = (self._options(index, stage) for index, stage in enumerate(stages))
                return checked(tuple(itertools.chain.from_iterable(options)), self.choices)
        raise ArchitectureError(
            f"a description of {self.name} has {len(_STAGES)} stages, each with its width and its layers"
        )

    def _options(self, index: int, description: JsonValue) -> Iterator[int]:
        """Yield the options of one described stage."""
        stage, depth = _STAGES[index], self._depths[index]
        match description:
            case {"width": int(width), "layers": list(names), **others} if (
                width in stage.widths and len(names) == depth
            ):
                require_known(others, ("width", "layers"), f"stage {index} of the description")
                yield stage.widths.index(width)
                for name in names:
                    if name not in _NAMES:
                        raise UnknownNameError("layer", str(name), _NAMES)
                    yield _NAMES.index(str(name))
            case _:
                raise ArchitectureError(
                    f"{description!r:.80} is not stage {index}: {depth} layers and a width of {stage.widths}"
                )

    def _of_stages(self, values: Sequence[T]) -> list[Sequence[T]]:
        """Split one value per decision into those of each stage: of its width, then of its layers."""
        ends = itertools.accumulate((1 + depth for depth in self._depths), initial=0)
        return [values[start:end] for start, end in itertools.pairwise(ends)]


@dataclass(frozen=True)
class _Network:
    """Everything about a network that no decision says.

    Attributes:
        image_shape: (c, h, w) of the input.
        classes: Number of outputs.
        channels: Channels of the stem; all other widths grow with it.
        stem_stride: Stride of the first convolution.
        first_stride: Stride of the first stage.
    """

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
        nodes = NodeList()
        image = Tensor(IMAGE, (1, *self.image_shape))
        stem = nodes.add("stem", "conv_bn_relu6", image, out=self.channels, kernel=3, stride=self.stem_stride)
        inputs = [
            nodes.add(
                "first", "inverted_residual", stem, out=self._scaled(_FIRST), expansion=1, kernel=3, stride=1
            )
        ]
        for index, ((widths, *layers), stage) in enumerate(zip(stages, _STAGES, strict=True)):
            stride = stage.stride if index else self.first_stride
            inputs = [
                _add_stage(
                    nodes,
                    f"stage{index}",
                    inputs,
                    layers,
                    out=self._scaled(stage.widths[width]),
                    stride=stride,
                )
                for width in widths
            ]
        for tensor in inputs:
            tail = nodes.add("tail", "conv_bn_relu6", tensor, out=self._scaled(_TAIL), kernel=1, stride=1)
        nodes.add("classifier", "classifier", tail, out=self.classes)
        return nodes.nodes

    def _scaled(self, width: int) -> int:
        return width * self.channels // _STEM


def _add_stage(
    nodes: NodeList,
    name: str,
    inputs: Sequence[Tensor],
    layers: Sequence[tuple[int, ...]],
    *,
    out: int,
    stride: int,
) -> Tensor:
    """Append the layers of one stage at the width ``out``, for each of ``inputs``."""
    first, *others = layers
    for tensor, option in itertools.product(inputs, first):
        output = _add_block(nodes, f"{name}.layer0", tensor, option, out=out, stride=stride)
    for index, options in enumerate(others, start=1):
        blocks = [
            _add_block(nodes, f"{name}.layer{index}", output, option, out=out, stride=1)
            for option in options
            if option != SKIP
        ]
        if blocks:
            output = nodes.add(f"{name}.layer{index}.sum", "sum", output, blocks[-1])
    return output


def _add_block(nodes: NodeList, slot: str, tensor: Tensor, option: int, *, out: int, stride: int) -> Tensor:
    kernel, expansion = BLOCKS[option]
    return nodes.add(
        slot, "inverted_residual", tensor, out=out, expansion=expansion, kernel=kernel, stride=stride
    )
