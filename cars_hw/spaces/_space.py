"""The contract of a search space: decisions, their options, and the networks that they mean. No torch."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, JsonValue, ValidationError, model_validator

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import Graph, Node, Part, SoftGraph, unique_specs
from cars_hw.networks.kinds import OperationKind, define
from cars_hw.spaces import _mixing
from devices.foundation import Settings, added, plugin_name, settings_type
from latency_tables import OpSpec

Scale = Literal["search", "deploy"]

#: The costs of an architecture are computed one after the other; a graph takes up to 70 kB.
_REMEMBERED_GRAPHS = 256


@dataclass(frozen=True)
class BranchSet:
    """Decisions of two options each that say which branches one layer has: option 1 is a branch.

    Attributes:
        decisions: One for each operation that may be a branch.
        fewest: Branches of the layer, at least; with fewer, an architecture is a synonym of another.
        most: Branches of the layer, at most; with more, it is one too.
    """

    decisions: tuple[int, ...]
    fewest: int
    most: int


class ImageSettings(Settings):
    """Settings that every space of images has; a space adds its own.

    Attributes:
        image_channels: Channels of the search graph's images.
        image_width: Their width, where it is not ``image_size``; bounded like that one.
        classes: Number of classes of the search graph.
    """

    image_channels: int = Field(3, ge=1, le=64)
    image_width: int | None = added(None, before=None)
    classes: int = Field(10, ge=2, le=100_000)

    @model_validator(mode="after")
    def _takes_the_width(self) -> Self:
        """Take no width that would be no height."""
        if self.image_width is None:
            return self
        if "image_size" not in type(self).model_fields:
            raise ValueError("image_width goes with a setting image_size, which this space has not")
        as_size = {"image_size": self.image_width, "image_width": None}
        try:
            type(self).model_validate({**self.model_dump(), **as_size})
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ValueError(f"image_width is {self.image_width}; as for image_size: {reason}") from error
        return self

    def shape_of_images(self, height: int) -> tuple[int, int, int]:
        """Return (c, h, w) of the search graph's images of this height."""
        return self.image_channels, height, self.image_width or height


class SearchSpace(ABC):
    """Decisions with a fixed number of options each; every tuple of options is a network.

    A restricted space has the encoding and the graphs of the whole one, so that an architecture means the
    same in both; it only samples, counts and lists less.

    A subclass that has settings declares them, ``settings: MySettings``, in its body. Its constructor, if it
    has one, calls this one first.

    What a single algorithm would like to know of a space is asked, and has a default, beside that algorithm:
    ``stages`` and ``absent`` in strategies/g_evonas.py, ``score_rows`` and ``decode`` in strategies/evnas.py,
    ``branch_sets`` in strategies/_nse/places.py.

    Args:
        settings: Values by name; what is not given has its default.

    Attributes:
        settings: All of its settings; with them, the space can be built again.
        kinds: Operation kinds from outside that its graphs have.
        choices: Number of options per decision, (d,).
        groups: Decisions that belong together, as those of a layer do; crossover and mutation move them as
            one.
        image_shape: (c, h, w) of the search graph's input.
        classes: Number of outputs.
        deploys_search_graph: Whether both scales are the same graph.

    Raises:
        UnknownNameError: A setting that the space does not have.
        ConfigError: A value that it does not take.
    """

    settings: Settings
    kinds: ClassVar[tuple[OperationKind, ...]] = ()
    choices: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    image_shape: tuple[int, int, int]
    classes: int
    deploys_search_graph: bool

    def __init__(self, /, **settings: object) -> None:
        self.settings = settings_type(type(self)).checked(self.name, settings)
        for kind in self.kinds:
            define(kind)

    def __repr__(self) -> str:
        shown = ((name, value) for name, value in self.settings.values().items() if value is not None)
        settings = ", ".join(f"{name}={value!r}" for name, value in shown)
        left, all_options = sum(map(len, self.allowed)), sum(self.choices)
        restriction = "" if left == all_options else f" restricted to {left} of {all_options} options"
        return f"{type(self).__name__}({settings}){restriction}"

    @property
    def name(self) -> str:
        """The plug-in's name, by which it is loaded."""
        return plugin_name(type(self))

    @cached_property
    def allowed(self) -> tuple[tuple[int, ...], ...]:
        """The options of each decision that this space still has, ascending; all, unless it is restricted."""
        return tuple(tuple(range(n)) for n in self.choices)

    def restrict(self, allowed: Sequence[Sequence[int]]) -> Self:
        """Return this space with only the options ``allowed`` for each decision; it may be restricted before.

        Raises:
            ArchitectureError: A decision is missing, or has no option left that this space has.
        """
        if len(allowed) != len(self.choices):
            raise ArchitectureError(
                f"options of {len(allowed)} decisions given; the space has {len(self.choices)}"
            )
        restricted = copy.copy(self)
        restricted.allowed = tuple(
            _kept(decision, options, had)
            for decision, (options, had) in enumerate(zip(allowed, self.allowed, strict=True))
        )
        return restricted

    @abstractmethod
    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        """Spell ``architecture`` out.

        Raises:
            ArchitectureError: It is no member of the space.
        """

    def deployed(self, architecture: Architecture) -> Graph:
        """Return ``graph(architecture, "deploy")``, spelled out once for all that ask in a row.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        return _deployed(self, architecture)

    def parts(self, architecture: Architecture) -> Sequence[Part]:
        """Return what ``deployed(architecture)`` is made of, where that is known without spelling it out.

        Networks of a space share parts: what is a sum over operations takes far less time by them. Together
        they have the specs of the whole graph, and of its live nodes, for these are all. It is a connected
        network.

        Returns:
            None, where a space does not tell its parts apart; it then is spelled out.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        return ()

    def live_parameters(self, architecture: Architecture) -> int:
        """Count the learnable parameters of the deployed network, of nodes that reach its output.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        if parts := self.parts(architecture):
            return sum(part.parameters for part in parts)
        return self.deployed(architecture).live.parameters()

    @abstractmethod
    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        """Yield a node for each slot and spec that some allowed architecture has: all weights of a SuperNet.

        It goes by ``self.allowed``. The inputs of a node may depend on the architecture; those given here
        have its shapes.
        """

    def soft_graph(self, architecture: Architecture) -> SoftGraph:
        """Return the search supergraph with the weight that each option has beside ``architecture``'s own.

        The weights of a mixture are the softmax over its options of a row with a one at the chosen option:
        e / (e + n - 1) for that one, 1 / (e + n - 1) for the others. Here, each decision that governs
        operations of its own is mixed where they re-join; one that does not (a width, say) takes its option
        alone.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        return _mixing.soft_graph(self, checked(architecture, self.choices))

    def describe(self, architecture: Architecture) -> dict[str, JsonValue]:
        """Return ``architecture`` in the form in which its family is published; empty where there is none."""
        return {}

    def from_description(self, description: JsonValue) -> Architecture:
        """Read what ``describe`` wrote, or somebody published; not trusted.

        Raises:
            ArchitectureError: It is no member of the space, or the space has no such form.
        """
        raise ArchitectureError(f"the space {type(self).__name__} has no published form to read")

    def all_operations(self, scale: Scale = "deploy") -> tuple[OpSpec, ...]:
        """Return every distinct operation of the space: what a latency table has to hold."""
        return unique_specs(self.all_nodes(scale))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw an architecture with all allowed options equiprobable."""
        drawn = rng.integers([len(options) for options in self.allowed]).tolist()  # as one by one, sooner
        return tuple(options[number] for options, number in zip(self.allowed, drawn, strict=True))

    def size(self) -> int:
        """Count the allowed architectures."""
        return math.prod(map(len, self.allowed))


def require_deployed(settings: ImageSettings, deploy: str) -> None:
    """Check that no setting ``deploy_...`` says anything where the search graph is deployed.

    Args:
        settings: Those that are checked; such a setting is ``None`` where it says nothing.
        deploy: What is deployed; ``"search"`` is the search graph.

    Raises:
        ValueError: One does, in vain.
    """
    values = settings.values()
    said = [name for name in values if name.startswith("deploy_") and values[name] is not None]
    if deploy == "search" and said:
        raise ValueError(f'{said[0]} says nothing where deploy = "search"; leave it out, or deploy otherwise')


@lru_cache(maxsize=_REMEMBERED_GRAPHS)
def _deployed(space: SearchSpace, architecture: Architecture) -> Graph:
    return space.graph(architecture, "deploy")


def _kept(decision: int, options: Sequence[int], had: tuple[int, ...]) -> tuple[int, ...]:
    if not options or not set(options) <= set(had):
        raise ArchitectureError(
            f"decision {decision} is restricted to {list(options)[:16]}; it has {had[:16]}"
        )
    return tuple(sorted(set(options)))
