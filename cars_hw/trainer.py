"""Trainer: what a search asks of shared weights. No torch, so that an algorithm is testable without it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from cars_hw.architecture import Architecture

Weights = Literal["current", "previous"]
Json = JsonValue


@dataclass
class Ledger:
    """What a search has spent. Counts are exact and reproducible, seconds are not.

    The published CARS cost counts one evaluation a generation, as if a population were evaluated in parallel;
    this ledger counts every one.

    Attributes:
        steps: Optimiser steps taken.
        skipped_steps: Steps left out because the loss or a gradient was not finite.
        training_images: Images seen by those steps, once per architecture.
        training_s: Seconds in them.
        evaluations: Architectures evaluated, with current or previous weights.
        previous_evaluations: Those among them with previous weights.
        evaluation_images: Images seen by evaluations, recalibration included.
        evaluation_s: Seconds in them.
        listener: Called after each entry, for progress.
    """

    steps: int = 0
    skipped_steps: int = 0
    training_images: int = 0
    training_s: float = 0.0
    evaluations: int = 0
    previous_evaluations: int = 0
    evaluation_images: int = 0
    evaluation_s: float = 0.0
    listener: Callable[["Ledger"], None] | None = field(default=None, repr=False, compare=False)

    def add_step(self, images: int, seconds: float, *, skipped: bool = False) -> None:
        """Enter one training step over ``images`` images."""
        self.steps += not skipped
        self.skipped_steps += skipped
        self.training_images += images
        self.training_s += seconds
        self._notify()

    def add_evaluation(self, images: int, seconds: float, *, weights: Weights) -> None:
        """Enter one evaluation over ``images`` images."""
        self.evaluations += 1
        self.previous_evaluations += weights == "previous"
        self.evaluation_images += images
        self.evaluation_s += seconds
        self._notify()

    def to_json(self) -> dict[str, Json]:
        """Return the figures by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "listener"}

    def restore(self, figures: Json) -> None:
        """Take over the figures that ``to_json`` returned.

        Raises:
            ValueError: They are not.
        """
        if not isinstance(figures, dict) or figures.keys() != self.to_json().keys():
            raise ValueError("the ledger's figures are not those of this version")
        for name, value in figures.items():
            if not isinstance(value, int | float):
                raise ValueError(f"the ledger's {name} is {value!r}")
            setattr(self, name, value)

    def _notify(self) -> None:
        if self.listener is not None:
            self.listener(self)


@dataclass(frozen=True)
class TrainerState:
    """Everything that decides what a trainer does next.

    Attributes:
        arrays: Weights, optimiser state and generator states by name.
        values: Counters and the ledger.
    """

    arrays: Mapping[str, NDArray[np.generic]]
    values: Mapping[str, Json]


class Trainer(Protocol):
    """Shared weights that can be trained on, and evaluated with, any architecture of a space."""

    ledger: Ledger

    def remember(self) -> None:
        """Keep the present weights as the previous ones: those before this generation's training."""
        ...

    def step(self, architectures: Sequence[Architecture]) -> float:
        """Take one step along the mean gradient of ``architectures`` on the next batch.

        Returns:
            The mean loss; NaN where the step was skipped because a loss or gradient was not finite.
        """
        ...

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        """Return the share in [0, 1] of fitness images that ``architecture`` classifies rightly.

        Never cached by the caller: the weights move.
        """
        ...

    def state(self) -> TrainerState:
        """Return a copy of everything that decides what comes next."""
        ...

    def restore(self, state: TrainerState) -> None:
        """Continue as the trainer that returned ``state`` would have."""
        ...
