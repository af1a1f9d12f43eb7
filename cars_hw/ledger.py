"""Ledger: what a search has spent."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

from pydantic import JsonValue

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
        option_steps: Batches of fitness images for the gradients of options.
        training_images: Images seen by all of those, once per architecture.
        training_s: Seconds in them.
        evaluations: Architectures evaluated, with current or previous weights.
        previous_evaluations: Those among them with previous weights.
        evaluation_images: Images seen by evaluations, recalibration included.
        evaluation_s: Seconds in them.
        listener: Called after each entry, for progress.
    """

    steps: int = 0
    skipped_steps: int = 0
    option_steps: int = 0
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

    def add_option_step(self, images: int, seconds: float) -> None:
        """Enter one batch of ``images`` fitness images for the gradients of options."""
        self.option_steps += 1
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
