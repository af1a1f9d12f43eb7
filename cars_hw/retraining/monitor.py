"""Monitor: who watches retraining in this process, is told how far it is, and may ask for its end.

A task of an executor takes plain values, so what watches it cannot be among them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from cars_hw.saving.safe_points import Ended


@dataclass(frozen=True)
class Progress:
    """How far the retraining of a network is.

    Attributes:
        name: Of what is trained.
        epoch: Epochs that are complete.
        epochs: All of them.
        step: Steps that were taken.
        steps: All of them.
        seconds_left: Estimate for the rest, by the pace of this call; ``None`` before there is one.
        loss: Mean loss of the epoch that has just been completed; ``None`` between two ends of epochs, or
            where no step of it was finite.
        error: Error on the images that judge it, where it has just been judged.
    """

    name: str
    epoch: int
    epochs: int
    step: int
    steps: int
    seconds_left: float | None = None
    loss: float | None = None
    error: float | None = None

    def __str__(self) -> str:
        return f"{self.name}: epoch {self.epoch} of {self.epochs}, step {self.step} of {self.steps}"


def _show_nothing(progress: Progress) -> None:
    """Show nothing."""


class Monitor:
    """Watches.

    Args:
        on_progress: Called after each step, and at the end of each epoch.

    Attributes:
        last: What it was told last; ``None`` before.
    """

    def __init__(self, on_progress: Callable[[Progress], None] = _show_nothing) -> None:
        self._on_progress = on_progress
        self._is_end_requested = False
        self.last: Progress | None = None

    def tell(self, progress: Progress) -> None:
        """Take what a retraining tells."""
        self.last = progress
        self._on_progress(progress)

    def request_end(self) -> None:
        """Ask for the end at the next safe point; from a signal's handler or another thread, too."""
        self._is_end_requested = True

    def require_go_on(self) -> None:
        """End the retraining if that was asked for.

        Raises:
            Ended: It was.
        """
        if self._is_end_requested:
            raise Ended("request")


_current: ContextVar[Monitor] = ContextVar("monitor")


@contextmanager
def watched_by(monitor: Monitor) -> Iterator[None]:
    """Let ``monitor`` watch what is retrained in this context until left."""
    token = _current.set(monitor)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Monitor:
    """Return who watches; somebody who shows nothing where nobody does."""
    return _current.get(Monitor())
