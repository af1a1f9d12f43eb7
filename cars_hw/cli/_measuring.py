"""Progress of measuring, as bars."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import TaskID

from cars_hw.cli._output import progress
from profilers import OnRound


@contextmanager
def measuring_bars(what: str) -> Iterator[OnRound]:
    """Yield what shows a bar for each device that measures.

    The time left is that of the longest measurement possible.

    Args:
        what: Name of the workloads, in the plural.
    """
    with progress() as bars:
        tasks: dict[str, TaskID] = {}

        def show(device: str, rounds: int, most: int) -> None:
            if device not in tasks:
                tasks[device] = bars.add_task(f"{device}: measuring {what}: rounds", total=most)
            bars.update(tasks[device], completed=rounds)

        yield show
