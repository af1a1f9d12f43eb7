"""A space of inverted residuals: kernel, expansion, depth and width of a MobileNet, searched layer by layer.

M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L. Chen, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018, arXiv 1801.04381: the layers. H. Cai, L. Zhu, S. Han, "ProxylessNAS: Direct Neural
Architecture Search on Target Task and Hardware", ICLR 2019, arXiv 1812.00332: the decisions, which are kernel
3, 5 or 7, expansion 3 or 6, and skipping where input and output have one shape.

Differs from both: each stage's width is a decision of two options, the wide ones ProxylessNAS' own.

The families of MnasNet and MobileNetV3 have other widths, activations and ends, kernels of 3 and 5 only, and
a squeeze-and-excitation as one more option of each layer: MnasNet-A1 and MobileNetV3-Large are members. See
``_mobile_families``.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal, Self, TypeVar

from pydantic import Field, JsonValue, model_validator

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import Graph, Node
from cars_hw.spaces._mobile_families import FAMILIES, FamilyName
from cars_hw.spaces._mobile_network import WHOLE, MobileNetwork
from cars_hw.spaces._published import require_known
from cars_hw.spaces._space import ImageSettings, Scale, SearchSpace, require_deployed
from devices.foundation import UnknownNameError, added

T = TypeVar("T")


class MobilenetSettings(ImageSettings):
    """Settings of the space of inverted residuals.

    Attributes:
        family: The networks whose layers, widths and activations are searched: "mobilenet_v2" (ReLU6, no
            squeeze-and-excitation), "mnasnet" (ReLU), or "mobilenet_v3" (hard-swish from the third stage on).
        deploy: The network that is deployed: "imagenet" (3x224x224, 1000 classes), or "search" (the search
            graph itself).
        resolution: Height and width of the images of a network deployed for "imagenet".
        deploy_classes: Number of classes of a network deployed for "imagenet", if not 1000.
        deploy_image_channels: Channels of the images of such a network, if not 3.
        layers: The most in each stage, but for the last of "mobilenet_v2" and "mnasnet", which has one; at
            both scales.
        channels: All widths of the search graph are to "imagenet"'s as this is to 32: of "mobilenet_v2" and
            "mnasnet", the channels of its stem.
        image_size: Height and width of the search graph's images.
        stem_stride: Stride of the search graph's first convolution. Its first stage has stride 1: it is for
            images far smaller than those of "imagenet".
    """

    family: FamilyName = added("mobilenet_v2", before="mobilenet_v2")
    deploy: Literal["imagenet", "search"] = "imagenet"
    resolution: int = Field(224, ge=32, le=1024)
    deploy_classes: int | None = added(None, before=None, ge=2, le=100_000)
    deploy_image_channels: int | None = added(None, before=None, ge=1, le=64)
    layers: int = Field(4, ge=1, le=16)
    channels: int = Field(16, ge=8, le=128, multiple_of=8)
    image_size: int = Field(32, ge=8, le=512)
    stem_stride: int = Field(1, ge=1, le=2)

    @model_validator(mode="after")
    def _deploys_what_is_asked_for(self) -> Self:
        require_deployed(self, self.deploy)
        return self


class Mobilenet(SearchSpace):
    """For each of five or six stages its width, and for each of its layers a block or a skip.

    The settings are those of ``MobilenetSettings``.
    """

    settings: MobilenetSettings

    def __init__(self, /, **settings: object) -> None:
        super().__init__(**settings)
        asked = self.settings
        self.image_shape = asked.shape_of_images(asked.image_size)
        self.classes = asked.classes
        self.deploys_search_graph = asked.deploy == "search"
        self._family = FAMILIES[asked.family]
        self._depths = tuple(1 if stage.is_single else asked.layers for stage in self._family.stages)
        self.choices = tuple(
            n
            for stage, depth in zip(self._family.stages, self._depths, strict=True)
            for n in (len(stage.widths), len(stage.blocks), *(len(stage.names),) * (depth - 1))
        )
        self.groups = tuple((decision,) for decision in range(len(self.choices)))
        self._networks: dict[Scale, MobileNetwork] = {
            "search": MobileNetwork(
                self._family,
                self.image_shape,
                self.classes,
                asked.channels,
                asked.stem_stride,
                first_stride=1,
            )
        }
        self._networks["deploy"] = self._networks["search"] if self.deploys_search_graph else self._imagenet()

    def _imagenet(self) -> MobileNetwork:
        asked = self.settings
        image_shape = (asked.deploy_image_channels or 3, asked.resolution, asked.resolution)
        classes = asked.deploy_classes or 1000
        return MobileNetwork(self._family, image_shape, classes, WHOLE, stem_stride=2, first_stride=2)

    @cached_property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The decisions of each resolution."""
        found: list[tuple[int, ...]] = []
        decisions = self._of_stages(range(len(self.choices)))
        for stage, own in zip(self._family.stages, decisions, strict=True):
            if stage.stride == 1:
                found[-1] += tuple(own)
            else:
                found.append(tuple(own))
        return tuple(found)

    @cached_property
    def absent(self) -> Architecture:
        """Narrow, and skipped where a layer may be; else the smallest block."""
        return tuple(
            option
            for stage, depth in zip(self._family.stages, self._depths, strict=True)
            for option in (0, 0, *(len(stage.blocks),) * (depth - 1))
        )

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        options = [(option,) for option in checked(architecture, self.choices)]
        return Graph(tuple(self._networks[scale].nodes(self._of_stages(options))))

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        yield from self._networks[scale].nodes(self._of_stages(self.allowed))

    def describe(self, architecture: Architecture) -> dict[str, JsonValue]:
        stages = zip(self._family.stages, self._of_stages(checked(architecture, self.choices)), strict=True)
        return {
            "stages": [
                {"width": stage.widths[width], "layers": [stage.names[option] for option in layers]}
                for stage, (width, *layers) in stages
            ]
        }

    def from_description(self, description: JsonValue) -> Architecture:
        match description:
            case {"stages": list(stages), **others} if len(stages) == len(self._depths):
                require_known(others, ("stages",), "the description")
                options = (self._options(index, stage) for index, stage in enumerate(stages))
                return checked(tuple(itertools.chain.from_iterable(options)), self.choices)
        raise ArchitectureError(
            f"a description of a {self.settings.family} of {self.name} has {len(self._depths)} stages, each "
            "with its width and its layers"
        )

    def _options(self, index: int, description: JsonValue) -> Iterator[int]:
        """Yield the options of one described stage."""
        stage, depth = self._family.stages[index], self._depths[index]
        match description:
            case {"width": int(width), "layers": list(names), **others} if (
                width in stage.widths and len(names) == depth
            ):
                require_known(others, ("width", "layers"), f"stage {index} of the description")
                yield stage.widths.index(width)
                for name in names:
                    if name not in stage.names:
                        raise UnknownNameError("layer", str(name), stage.names)
                    yield stage.names.index(str(name))
            case _:
                raise ArchitectureError(
                    f"{description!r:.80} is not stage {index}: {depth} layers and a width of {stage.widths}"
                )

    def _of_stages(self, values: Sequence[T]) -> list[Sequence[T]]:
        """Split one value per decision into those of each stage: of its width, then of its layers."""
        ends = itertools.accumulate((1 + depth for depth in self._depths), initial=0)
        return [values[start:end] for start, end in itertools.pairwise(ends)]
