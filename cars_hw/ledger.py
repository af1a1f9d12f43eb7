"""Ledger: what a search has spent."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal, SupportsFloat

from pydantic import JsonValue, TypeAdapter

Weights = Literal["current", "previous"]
Json = JsonValue

#: The present loss is a mean over about so many steps, whose batches and paths differ.
LOSS_STEPS = 50
#: A mean over fewer steps is no measure of the least loss.
_MEASURED_STEPS = 5
#: All figures, in the order in which they are stored; those that follow from losses are of ``_Outcome``.
_NAMES = (
    "steps",
    "skipped_steps",
    "option_steps",
    "training_images",
    "training_s",
    "evaluations",
    "previous_evaluations",
    "evaluation_images",
    "evaluation_s",
    "loss_steps",
    "loss",
    "least_loss",
)
#: Figures that ledgers of earlier versions do not have.
_ADDED = frozenset({"loss_steps", "loss", "least_loss"})


@dataclass(frozen=True)
class _Outcome:
    """What steps came to, as their losses tell; the attributes are properties of ``Ledger``."""

    steps: int = 0
    skipped_steps: int = 0
    loss_steps: int = 0
    loss: float = 0.0
    least_loss: float = 0.0

    def with_step(self, loss: float | None) -> "_Outcome":
        """Return the outcome after a step that was taken, with its loss where that is known."""
        taken = replace(self, steps=self.steps + 1)
        if loss is None:
            return taken
        n, least = self.loss_steps + 1, self.least_loss if self.loss_steps else 0.0
        mean = self.loss + (loss - self.loss) / min(n, LOSS_STEPS)
        if n >= _MEASURED_STEPS:
            least = min(least or mean, mean)
        return replace(taken, loss_steps=n, loss=mean, least_loss=least)

    def without_step(self) -> "_Outcome":
        """Return the outcome after a step that was skipped."""
        return replace(self, skipped_steps=self.skipped_steps + 1)

    def forgotten(self) -> "_Outcome":
        """Return the outcome from where the loss is measured anew."""
        return replace(self, loss_steps=0)


_OUTCOME = TypeAdapter(_Outcome)
#: Their names.
_OF_LOSSES = frozenset(asdict(_Outcome()))


class _Window:
    """Outcomes that are worked out when they are asked for, from the last known one on."""

    def __init__(self, known: _Outcome) -> None:
        self.events: list[Callable[[_Outcome], _Outcome]] = []
        self._outcomes = [known]

    def after(self, n: int) -> _Outcome:
        """Return the outcome of the first ``n`` events."""
        while len(self._outcomes) <= n:
            event = self.events[len(self._outcomes) - 1]
            self._outcomes.append(event(self._outcomes[-1]))
        return self._outcomes[n]


class Ledger:
    """What a search has spent. Counts are exact and reproducible, seconds are not.

    The published CARS cost counts one evaluation a generation, as if a population were evaluated in parallel;
    this ledger counts every one.

    Whether a step was skipped, and its loss, may still be on a GPU when the step is entered. It is read as
    soon as somebody asks for ``steps``, ``skipped_steps``, ``loss_steps``, ``loss`` or ``least_loss``; no
    other attribute waits for anything.

    Args:
        listener: Called after each entry, for progress.
        figures: What to begin with, by the names of ``to_json``; the others are 0.

    Attributes:
        tried_steps: Steps taken or skipped.
        option_steps: Batches of fitness images for the gradients of options.
        training_images: Images seen by all of those, once per architecture.
        training_s: Seconds in them.
        evaluations: Architectures evaluated, with current or previous weights.
        previous_evaluations: Those among them with previous weights.
        evaluation_images: Images seen by evaluations, recalibration included.
        evaluation_s: Seconds in them.
        listener: Called after each entry, for progress.
    """

    tried_steps: int
    option_steps: int
    training_images: int
    training_s: float
    evaluations: int
    previous_evaluations: int
    evaluation_images: int
    evaluation_s: float

    def __init__(self, listener: Callable[["Ledger"], None] | None = None, **figures: float) -> None:
        self.listener = listener
        self.restore({**{name: 0.0 if name.endswith("_s") else 0 for name in _NAMES}, **figures})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # its figures change

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={figure}" for name, figure in self.to_json().items())
        return f"Ledger({figures})"

    @property
    def steps(self) -> int:
        """Optimiser steps taken."""
        return self._outcome().steps

    @property
    def skipped_steps(self) -> int:
        """Steps left out because the loss or a gradient was not finite."""
        return self._outcome().skipped_steps

    @property
    def loss_steps(self) -> int:
        """Steps whose loss is known since the weights were last made anew; 0 in old checkpoints."""
        return self._outcome().loss_steps

    @property
    def loss(self) -> float:
        """Their mean loss, in which the last ``LOSS_STEPS`` weigh most; 0 where there is none."""
        return self._outcome().loss

    @property
    def least_loss(self) -> float:
        """The least that ``loss`` has been; 0 where it is not known."""
        return self._outcome().least_loss

    def add_step(
        self, images: int, seconds: float, *, skipped: bool = False, loss: SupportsFloat | None = None
    ) -> None:
        """Enter one training step over ``images`` images.

        Args:
            images: Once per architecture.
            seconds: Time in it.
            skipped: Whether it was skipped; where ``loss`` tells that, it may be left out.
            loss: Asked for its number when the figures are; NaN: the step was skipped. ``None``: not known.
        """

        def step(before: _Outcome) -> _Outcome:
            value = None if loss is None else float(loss)
            if skipped or (value is not None and math.isnan(value)):
                return before.without_step()
            return before.with_step(value)

        self.tried_steps += 1
        self.training_images += images
        self.training_s += seconds
        self._window.events.append(step)
        self._notify()

    def forget_loss(self) -> None:
        """Measure the loss anew from the next step on: the weights, or some of them, were made anew."""
        self._window.events.append(_Outcome.forgotten)

    def add_waiting(self, seconds: float) -> None:
        """Enter seconds in which steps were waited for that were entered before."""
        self.training_s += seconds

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

    def snapshot(self) -> Callable[[], dict[str, float]]:
        """Return what returns the present figures by name whenever it is called, and reads no loss before."""
        window, n = self._window, len(self._window.events)
        known: dict[str, float] = {name: getattr(self, name) for name in _NAMES if name not in _OF_LOSSES}

        def figures() -> dict[str, float]:
            all_figures = {**known, **asdict(window.after(n))}
            return {name: all_figures[name] for name in _NAMES}

        return figures

    def to_json(self) -> dict[str, Json]:
        """Return the figures by name."""
        return {**self.snapshot()()}

    def restore(self, figures: Json) -> None:
        """Take over the figures that ``to_json`` returned.

        Raises:
            ValueError: They are not.
        """
        known = frozenset(_NAMES)
        if not isinstance(figures, dict) or not known - _ADDED <= figures.keys() <= known:
            raise ValueError("the ledger's figures are not those of this version")
        for name, value in figures.items():
            if not isinstance(value, int | float):
                raise ValueError(f"the ledger's {name} is {value!r}")
            if name not in _OF_LOSSES:
                setattr(self, name, value)
        outcome = _OUTCOME.validate_python({name: figures.get(name, 0) for name in _OF_LOSSES})
        self.tried_steps = outcome.steps + outcome.skipped_steps
        self._window = _Window(outcome)

    def _outcome(self) -> _Outcome:
        outcome = self._window.after(len(self._window.events))
        if self._window.events:
            self._window = _Window(outcome)
        return outcome

    def _notify(self) -> None:
        if self.listener is not None:
            self.listener(self)
