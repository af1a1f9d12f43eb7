"""Ledger: what a search has spent."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

from pydantic import JsonValue

Weights = Literal["current", "previous"]
Json = JsonValue

#: The present loss is a mean over about so many steps, whose batches and paths differ.
LOSS_STEPS = 50
#: A mean over fewer steps is no measure of the least loss.
_MEASURED_STEPS = 5
#: Figures that ledgers of earlier versions do not have.
_ADDED = frozenset({"loss_steps", "loss", "least_loss"})


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
        loss_steps: Steps whose loss is known since the weights were last made anew; 0 in old checkpoints.
        loss: Their mean loss, in which the last ``LOSS_STEPS`` weigh most; 0 where there is none.
        least_loss: The least that ``loss`` has been; 0 where it is not known.
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
    loss_steps: int = 0
    loss: float = 0.0
    least_loss: float = 0.0
    listener: Callable[["Ledger"], None] | None = field(default=None, repr=False, compare=False)

    def add_step(
        self, images: int, seconds: float, *, skipped: bool = False, loss: float | None = None
    ) -> None:
        """Enter one training step over ``images`` images; its ``loss`` where it is finite and known."""
        self.steps += not skipped
        self.skipped_steps += skipped
        self.training_images += images
        self.training_s += seconds
        if loss is not None and not skipped:
            self._add_loss(loss)
        self._notify()

    def forget_loss(self) -> None:
        """Measure the loss anew from the next step on: the weights, or some of them, were made anew."""
        self.loss_steps = 0

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
        known = self.to_json().keys()
        if not isinstance(figures, dict) or not known - _ADDED <= figures.keys() <= known:
            raise ValueError("the ledger's figures are not those of this version")
        for name, value in {**dict.fromkeys(_ADDED, 0), **figures}.items():
            if not isinstance(value, int | float):
                raise ValueError(f"the ledger's {name} is {value!r}")
            setattr(self, name, value)

    def _add_loss(self, loss: float) -> None:
        self.loss_steps += 1
        if self.loss_steps == 1:
            self.least_loss = 0.0
        self.loss += (loss - self.loss) / min(self.loss_steps, LOSS_STEPS)
        if self.loss_steps >= _MEASURED_STEPS:
            self.least_loss = min(self.least_loss or self.loss, self.loss)

    def _notify(self) -> None:
        if self.listener is not None:
            self.listener(self)
