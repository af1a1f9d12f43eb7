"""The contract of a search space: decisions, their options, and the networks that they mean. No torch."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from pydantic import JsonValue

from cars_hw.architecture import Architecture
from cars_hw.graph import Graph, Node, unique_specs
from devices._errors import ArchitectureError, ConfigError
from devices._plugins import check_settings
from latency_tables.spec import OpSpec

Scale = Literal["search", "deploy"]


class SearchSpace(ABC):
    """Decisions with a fixed number of options each; every tuple of options is a network.

    Attributes:
        name: The plug-in's name.
        choices: Number of options per decision, (d,).
        groups: Decisions that describe one place of the network; crossover and mutation move them together.
        image_shape: (c, h, w) of the search graph's input.
        classes: Number of outputs.
        deploys_search_graph: Whether both scales are the same graph.
    """

    name: str
    choices: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    image_shape: tuple[int, int, int]
    classes: int
    deploys_search_graph: bool

    @classmethod
    def create(cls, **settings: Any) -> Self:
        """Build the space from settings of a configuration.

        Raises:
            UnknownNameError: A setting that the space does not take.
            ConfigError: A value that it does not take.
        """
        check_settings(cls, settings)
        try:
            return cls(**settings)
        except TypeError as error:
            raise ConfigError(f"space {cls.__name__}: {error}") from error

    @cached_property
    def allowed(self) -> tuple[tuple[int, ...], ...]:
        """The options of each decision that this space still has, ascending; all, unless it is restricted."""
        return tuple(tuple(range(n)) for n in self.choices)

    @abstractmethod
    def settings(self) -> dict[str, int | str]:
        """Return what ``create`` needs to build this space again."""

    @abstractmethod
    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        """Spell ``architecture`` out.

        Raises:
            ArchitectureError: It is no member of the space.
        """

    @abstractmethod
    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        """Yield a node for each slot and spec that some architecture has: all weights of a SuperNet.

        The inputs of a node may depend on the architecture; those given here are of one of them.
        """

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
        """Draw an architecture with all options equiprobable."""
        return tuple(int(rng.integers(n)) for n in self.choices)

    def size(self) -> int:
        """Count the architectures."""
        return math.prod(self.choices)
