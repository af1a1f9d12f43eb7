"""The space of NAS-Bench-201: one cell of six edges, five operations each, 15 625 networks.

X. Dong, Y. Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020,
arXiv 2001.00326. The graph keeps operations that nothing comes of, since the benchmark's parameters and MACs
count them.

Differs from the paper: an operation on zeros adds nothing to a sum; in the paper's code it adds the learnt
shift of its normalisation. So operations off all paths from input to output are dead nodes of the graph.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from pydantic import Field, JsonValue

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import Graph, Node, SoftGraph
from cars_hw.spaces._published import require_known
from cars_hw.spaces._space import ImageSettings, Scale, SearchSpace
from cars_hw.spaces._stacked201 import EDGES, OPERATIONS, SKIP, StackedNetwork
from devices.foundation import UnknownNameError

_CODE = re.compile(rf"[0-{len(OPERATIONS) - 1}]{{{len(EDGES)}}}")
_EDGE = re.compile(r"\|([a-z0-9_]{1,64})~([0-9])(?=\|)")
_MAX_TEXT = 256


class Nasbench201Settings(ImageSettings):
    """Settings of the space of NAS-Bench-201.

    Attributes:
        deploy: The network that is deployed: "nasbench201" (the benchmark's networks: 5 cells in each stage,
            16 channels in the first, 3x32x32), or "search" (the search graph itself).
        channels: Channels of the search graph's first stage.
        cells: Number of cells in each of its three stages.
        image_size: Height and width of its images.
        classes: Number of classes, also of the benchmark's networks.
    """

    deploy: Literal["nasbench201", "search"] = "nasbench201"
    channels: int = Field(16, ge=2, le=256)
    cells: int = Field(5, ge=1, le=64)
    image_size: int = Field(32, ge=4, le=512, multiple_of=4)


class Nasbench201(SearchSpace):
    """One decision for each edge of the cell, in the order of ``EDGES``.

    The settings are those of ``Nasbench201Settings``.
    """

    settings: Nasbench201Settings

    def __init__(self, /, **settings: object) -> None:
        super().__init__(**settings)
        asked = self.settings
        self.image_shape = asked.shape_of_images(asked.image_size)
        self.classes = asked.classes
        self.deploys_search_graph = asked.deploy == "search"
        self.choices = (len(OPERATIONS),) * len(EDGES)
        self.groups = tuple((edge,) for edge in range(len(EDGES)))
        search = StackedNetwork(asked.channels, asked.cells, self.image_shape, self.classes, searched=True)
        benchmark = StackedNetwork(16, 5, (3, 32, 32), self.classes)
        self._networks: dict[Scale, StackedNetwork] = {
            "search": search,
            "deploy": search if self.deploys_search_graph else benchmark,
        }

    @cached_property
    def absent(self) -> Architecture:
        """A skip connection on each edge: nothing costs less and still leads to the output."""
        return (SKIP,) * len(EDGES)

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        return Graph(self._networks[scale].nodes(checked(architecture, self.choices)))

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        yield from self._networks[scale].all_nodes(self.allowed)

    def soft_graph(self, architecture: Architecture) -> SoftGraph:
        chosen = checked(architecture, self.choices)
        return self._networks["search"].soft_graph(self.allowed, chosen)

    def from_code(self, code: str) -> Architecture:
        """Read six digits, an option of each edge.

        Raises:
            ArchitectureError: They are not.
        """
        if not _CODE.fullmatch(code):
            raise ArchitectureError(
                f"{code!r:.64} is no code of {self.name}; six digits from 0 to {len(OPERATIONS) - 1} are"
            )
        return tuple(map(int, code))

    def to_code(self, architecture: Architecture) -> str:
        """Write the options of the edges as six digits.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        return "".join(map(str, checked(architecture, self.choices)))

    def from_published(self, text: str) -> Architecture:
        """Read the benchmark's own form, ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|``.

        Raises:
            ArchitectureError: The text has another form.
            UnknownNameError: An operation does not exist.
        """
        names = [name for name, _ in _EDGE.findall(text[:_MAX_TEXT])]
        unknown = [name for name in names if name not in OPERATIONS]
        if unknown:
            raise UnknownNameError("operation", unknown[0], OPERATIONS)
        architecture = tuple(map(OPERATIONS.index, names))
        if len(names) != len(EDGES) or self.to_published(architecture) != text:
            raise ArchitectureError(
                f"{text!r:.80} is no architecture of {self.name}; the form is {self.to_published((0,) * 6)}"
            )
        return architecture

    def to_published(self, architecture: Architecture) -> str:
        """Write the benchmark's own form: the edges into each node, from first to last.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        options = zip(EDGES, checked(architecture, self.choices), strict=True)
        edges = [(into, f"{OPERATIONS[option]}~{source}") for (source, into), option in options]
        into_nodes = ("|".join(text for into, text in edges if into == node) for node in (1, 2, 3))
        return "+".join(f"|{text}|" for text in into_nodes)

    def describe(self, architecture: Architecture) -> dict[str, JsonValue]:
        return {"arch_str": self.to_published(architecture), "code": self.to_code(architecture)}

    def from_description(self, description: JsonValue) -> Architecture:
        match description:
            case {"arch_str": str(operations), "code": str(digits), **others}:
                require_known(others, ("arch_str", "code"), "the description")
                if self.from_published(operations) != self.from_code(digits):
                    raise ArchitectureError(
                        f"code {digits!r:.16} and arch_str {operations!r:.120} are two networks; leave one"
                    )
                return self.from_code(digits)
            case {"arch_str": str(text), **others} | {"code": str(text), **others}:
                require_known(others, ("arch_str", "code"), "the description")
                return self._from_either(text)
            case str(text):
                return self._from_either(text)
        raise ArchitectureError(
            f"a description of {self.name} is arch_str or code: a text of operations, or six digits"
        )

    def _from_either(self, text: str) -> Architecture:
        return self.from_published(text) if "|" in text else self.from_code(text)
