"""A space whose networks have an operation kind of its own laboratory; a configuration names the kind."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.spaces import Scale, SearchSpace
from devices.foundation import Settings
from latency_tables import OpSpec


class TowersSettings(Settings):
    """Settings of the space.

    Attributes:
        floors: Operations of a network, each of kernel 1, 3 or 5.
        material: "light" or "heavy".
    """

    floors: int = Field(4, ge=1, le=8)
    material: Literal["light", "heavy"] = "light"


class Towers(SearchSpace):
    """One operation above the other, and a classifier."""

    settings: TowersSettings
    image_shape = (1, 8, 8)
    classes = 4
    deploys_search_graph = True

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.choices = (3,) * self.settings.floors
        self.groups = tuple((floor,) for floor in range(self.settings.floors))

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        options = enumerate(checked(architecture, self.choices))
        return Graph((*(self._floor(floor, option) for floor, option in options), self._roof()))

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        for floor, options in enumerate(self.allowed):
            for option in options:
                yield self._floor(floor, option)
        yield self._roof()

    @property
    def _width(self) -> int:
        return 4 if self.settings.material == "light" else 16

    def _floor(self, floor: int, option: int) -> Node:
        channels = self._width if floor else 1
        spec = OpSpec.of("widening", (1, channels, 8, 8), out=self._width, kernel=2 * option + 1)
        return Node(f"floor{floor}", spec, (f"floor{floor - 1}" if floor else IMAGE,))

    def _roof(self) -> Node:
        last = len(self.choices) - 1
        spec = OpSpec.of("classifier", (1, self._width, 8, 8), out=self.classes)
        return Node("roof", spec, (f"floor{last}",))
