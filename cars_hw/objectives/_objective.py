"""The contract of an objective: a named cost of an architecture, to be minimised."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from cars_hw.latency.prediction import Predictor
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph
from cars_hw.spaces._space import SearchSpace
from cars_hw.trainer import Trainer
from devices.foundation import ConfigError, plugin_name

#: The level of the interval whose upper end a limit on a latency is held against.
LIMIT_LEVEL = 0.9


@dataclass(frozen=True)
class Ingredients:
    """The parts of a search that objectives are made of.

    Attributes:
        space: The space that is searched.
        trainer: The weights that judge them.
        latency_models: Predictors by the name of each target; under ``""`` where a search
            has one target without a name.
        target: The target that the objective is of; empty where its name has none.
        limit_levels: By the names of targets, the level of the interval whose upper end a limit on their
            latency is held against; 0 for the latency itself. ``LIMIT_LEVEL`` for those that are left out.
    """

    space: SearchSpace
    trainer: Trainer
    latency_models: Mapping[str, Predictor]
    target: str = ""
    limit_levels: Mapping[str, float] = field(default_factory=dict)


class Objective(ABC):
    """A cost of architectures; a plug-in is a file with one subclass.

    Attributes:
        name: Ends in the cost's unit. If a subclass does not say it, the name by which the plug-in is loaded.
        pick: The word by which the member of a front with the least of it is picked, ``"smallest"``; empty
            for none.
        has_targets: Whether a search may have one for each of several targets, ``latency_ms.pixel``.
        bound_text: What ``bound`` returns, in words; empty where it is the cost.
    """

    name: str
    pick: ClassVar[str] = ""
    has_targets: ClassVar[bool] = False
    bound_text: str = ""

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = plugin_name(cls)

    @abstractmethod
    def __call__(self, architecture: Architecture, /) -> float:
        """Return the cost of ``architecture``."""

    def prepare(self, architectures: Sequence[Architecture], /) -> None:  # noqa: B027  (most have nothing to do)
        """Get ready to be asked for all of ``architectures``: what asks a device asks for them together.

        Raises:
            CarsHwError: One has no such cost.
        """

    def estimator(self, known: Mapping[Architecture, float], /) -> Callable[[Architecture], float]:
        """Return what estimates the cost where thousands of networks are looked at: here, the cost itself.

        A cost that takes long returns another function, of ``known`` and of what the objective is made of
        alone, so that a resumed search estimates as it would have. What is evaluated, and what decides
        whether a limit is met, has the cost itself.

        Args:
            known: Costs that are known, the oldest first.
        """
        return self

    def bound(self, architecture: Architecture, cost: float, /) -> float:
        """Return what a limit is held against, where the cost of ``architecture`` is ``cost``: here, that.

        A cost that is not known exactly returns one that the architecture hardly exceeds. What is minimised
        and shown is the cost all the same.
        """
        return cost

    @classmethod
    def make(cls, found: Ingredients) -> Self:
        """Make the objective of what a search has.

        Raises:
            ConfigError: The search lacks what the objective is made of; here, it is made in Python alone.
        """
        raise ConfigError(f"{cls.__name__} does not say how it is made for a search: override make")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class GraphObjective(Objective):
    """A cost that follows from the deployed network by arithmetic.

    Args:
        space: The space of the architectures.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    @classmethod
    def make(cls, found: Ingredients) -> Self:
        """Make the objective for the search's space."""
        return cls(found.space)

    def __call__(self, architecture: Architecture, /) -> float:
        """Count by arithmetic."""
        return float(self.count(self._space.deployed(architecture)))

    @abstractmethod
    def count(self, graph: Graph) -> float:
        """Return the cost of the deployed network ``graph``."""
