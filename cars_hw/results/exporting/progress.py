"""How far an export of several networks has come."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cars_hw.results.exporting.files import Export


@dataclass(frozen=True)
class ExportProgress:
    """How far an export of several members has come.

    Attributes:
        done: Members that are written.
        wanted: How many are wanted.
        seconds_left: Estimate for the others; ``None`` before the first is written.
        files: What was written.
    """

    done: int
    wanted: int
    seconds_left: float | None
    files: tuple[Path, ...]


def show_nothing(progress: ExportProgress) -> None:
    """Show nothing."""


class Telling:
    """Collects what is written, and tells how far that has come.

    Args:
        wanted: How many networks there are.
        on_progress: Is told.

    Attributes:
        found: What was written, by its name.
    """

    def __init__(self, wanted: int, on_progress: Callable[[ExportProgress], None]) -> None:
        self.found: dict[str, Export] = {}
        self._wanted, self._on_progress = wanted, on_progress
        self._done, self._start_s = 0, time.monotonic()
        on_progress(ExportProgress(0, wanted, None, ()))

    def __call__(self, more: Mapping[str, Export]) -> None:
        """Take what was written of one more network."""
        self.found |= more
        self._done += 1
        left_s = (time.monotonic() - self._start_s) / self._done * (self._wanted - self._done)
        files = tuple(one.path for one in self.found.values())
        self._on_progress(ExportProgress(self._done, self._wanted, left_s, files))
