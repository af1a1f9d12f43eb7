"""Progress of a verb: a bar on a terminal, a line now and then where there is none; what is kept so far."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cars_hw.cli._interruption import keeps
from cars_hw.cli._output import is_interactive, progress, say
from cars_hw.results.duration import duration_text
from profilers import OnProgress, Progress

if TYPE_CHECKING:
    from cars_hw.results.exporting.progress import ExportProgress

#: Seconds between two lines where no terminal shows a bar: logs stay short.
_EVERY_S = 30.0

_OTHERS = ", and of the others what was measured until half a minute ago"


@dataclass
class Lines:
    """Progress in lines, so many seconds apart.

    Attributes:
        every_s: Seconds between two lines, and before the first.
        now_s: A clock.
        write: Takes a line.
    """

    every_s: float = _EVERY_S
    now_s: Callable[[], float] = time.monotonic
    write: Callable[[str], None] = say
    _last_s: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._last_s = self.now_s()

    def show(self, line: str) -> None:
        """Write a line where it is time for one."""
        if self.now_s() - self._last_s >= self.every_s:
            self._last_s = self.now_s()
            self.write(line)


@contextmanager
def measuring_bars(what: str, kept_in: str = "") -> Iterator[OnProgress]:
    """Yield what shows how many workloads are finished, over all groups and devices, and the time left.

    Args:
        what: Name of the workloads, in the plural.
        kept_in: Where those that are finished are kept, which an interrupt says; empty where nowhere.
    """
    with _counting(f"measuring {what}") as show:

        def take(told: Progress) -> None:
            if kept_in:
                others = _OTHERS if told.done < told.wanted else ""
                keeps(f"{told.done} of {told.wanted} {what} are in {kept_in}{others}")
            show(told, what)

        yield take


def counting_lines(lines: Lines | None = None) -> OnProgress:
    """Return what says in lines of how many networks a device has told what it executes."""
    lines = lines or Lines()
    return lambda told: lines.show(text(told, "networks counted"))


@contextmanager
def exporting_bar() -> Iterator[Callable[["ExportProgress"], None]]:
    """Yield what shows how many members are exported, and the time left."""
    with _counting("exporting") as show:

        def take(told: "ExportProgress") -> None:
            if told.files:
                keeps(f"{told.done} of {told.wanted} are written: {', '.join(map(str, told.files))}")
            show(Progress(told.done, told.wanted, 0, told.seconds_left, device=""), "exported")

        yield take


def text(told: Progress, what: str) -> str:
    """Return progress in one line: ``12 of 62 operations, 1 failed, about 3 min left (cpu)``."""
    failed = f", {told.failed} failed" if told.failed else ""
    left = f", about {duration_text(told.seconds_left)} left" if told.seconds_left else ""
    return f"{told.done} of {told.wanted} {what}{failed}{left}{_of(told.device)}"


@contextmanager
def _counting(doing: str) -> Iterator[Callable[[Progress, str], None]]:
    """Yield what shows progress as a bar, or where that cannot be seen, as lines."""
    lines = Lines()
    with progress() as bars:
        task = bars.add_task(doing, total=None, seconds_left=None)

        def show(told: Progress, what: str) -> None:
            failed = f", {told.failed} failed" if told.failed else ""
            bars.update(
                task,
                description=f"{doing}{failed}{_of(told.device)}",
                completed=told.done,
                total=told.wanted,
                seconds_left=told.seconds_left,
            )
            if not is_interactive():
                lines.show(text(told, what))

        yield show


def _of(device: str) -> str:
    return f" ({device})" if device else ""
