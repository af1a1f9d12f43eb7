"""The error of an architecture with the shared weights of the moment."""

from typing import Self

from cars_hw.networks.architecture import Architecture
from cars_hw.objectives._objective import Ingredients, Objective
from cars_hw.trainer import Trainer


class Error(Objective):
    """Share of fitness images classified wrongly with today's weights; training improves it."""

    pick = "most-accurate"

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    @classmethod
    def make(cls, found: Ingredients) -> Self:
        return cls(found.trainer)

    def __call__(self, architecture: Architecture, /) -> float:
        """Evaluate ``architecture`` on the fitness images."""
        return 1.0 - self._trainer.accuracy(architecture)
