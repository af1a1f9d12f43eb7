"""Safe points: where a search can be saved or ended, and whether it is to be by clock, budget or request."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import JsonValue

from devices.foundation import ConfigError, SaveTimer

#: What ended a search before its schedule was done.
EndedBy = Literal["max_evaluations", "max_time", "request"]


@dataclass(frozen=True)
class Budget:
    """What a search may spend.

    Attributes:
        max_evaluations: Evaluations by the ledger, with current or previous weights, of the whole search;
            ``None``: any number.
        max_time_s: Seconds of one call; ``None``: any time.

    Raises:
        ConfigError: One is no number over 0.
    """

    max_evaluations: int | None = None
    max_time_s: float | None = None

    def __post_init__(self) -> None:
        if self.max_evaluations is not None and self.max_evaluations < 1:
            raise ConfigError(f"max_evaluations is {self.max_evaluations}; it is a whole number over 0")
        if self.max_time_s is not None and not 0 < self.max_time_s < math.inf:
            raise ConfigError(f"max_time_s is {self.max_time_s}; it is a number over 0")


@dataclass(frozen=True)
class Position:
    """How far a search has come.

    Attributes:
        generation: The last generation that is complete, or the one that goes on.
        is_complete: Which of these.
        steps: Training steps that were taken in the one that goes on.
        evaluated: Architectures that were evaluated in it.
    """

    generation: int
    is_complete: bool = True
    steps: int = 0
    evaluated: int = 0

    def __str__(self) -> str:
        if self.is_complete:
            return f"generation {self.generation}, complete"
        evaluated = f", {self.evaluated} architectures evaluated" if self.evaluated else ""
        return f"generation {self.generation} up to training step {self.steps}{evaluated}"

    def to_json(self) -> dict[str, JsonValue]:
        """Return the figures by name."""
        return {**asdict(self)}


class Ended(BaseException):
    """Unwinds whatever goes on between two safe points; nothing that catches errors may catch it.

    Args:
        by: What ended the search.
    """

    def __init__(self, by: EndedBy) -> None:
        self.by = by
        super().__init__(by)


class Watch:
    """Tells at safe points whether to save, and whether to end.

    Args:
        every_s: Seconds from one checkpoint to the next.
        clock: Seconds from any beginning.

    Raises:
        ConfigError: ``every_s`` is no number over 0.
    """

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        if not 0 < every_s < math.inf:
            raise ConfigError(f"checkpoint_every_s is {every_s}; it is a number over 0")
        self._clock, self._timer = clock, SaveTimer(every_s, [clock])
        self._budget = Budget()
        self._start_s = 0.0
        self._is_requested = False

    def start(self, budget: Budget) -> None:
        """Begin to count the time of a call, with nothing to save yet."""
        self._budget = budget
        self._start_s = self._clock()
        self._timer.begin()

    def request_end(self) -> None:
        """Ask for the end at the next safe point; from a signal's handler or another thread, too."""
        self._is_requested = True

    def require_go_on(self) -> None:
        """End the search if that was asked for, or its time is up.

        Raises:
            Ended: It is.
        """
        if self._is_requested:
            self._is_requested = False
            raise Ended("request")
        most_s = self._budget.max_time_s
        if most_s is not None and self._clock() - self._start_s >= most_s:
            raise Ended("max_time")

    def require_evaluations_left(self, done: int) -> None:
        """End the search if ``done`` evaluations are all that it may make.

        Raises:
            Ended: They are.
        """
        if self._budget.max_evaluations is not None and done >= self._budget.max_evaluations:
            raise Ended("max_evaluations")

    def is_due(self) -> bool:
        """Tell whether it is time for a checkpoint."""
        return self._timer.is_due()

    def timed(self, save: Callable[[], None]) -> None:
        """Save, and set the time of the next checkpoint by what this one took."""
        with self._timer.saving():
            save()
