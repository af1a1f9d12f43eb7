"""Progress: what the caller of a measurement is told, and what a profiler tells of each step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from latency_tables import Entry, OpSpec


@dataclass(frozen=True)
class Progress:
    """How far measuring has come, over all groups and devices.

    Attributes:
        done: Wanted workloads that are finished, those that were in the table before included.
        wanted: How many are wanted in all.
        failed: Those of the finished ones that could not be measured.
        seconds_left: Estimate for everything that is unfinished, by what was measured so far; ``None`` while
            nothing can be said.
        device: Address of the device that took the last step.
    """

    done: int
    wanted: int
    failed: int
    seconds_left: float | None
    device: str


#: Called at each step, by one thread at a time, though not always the same.
OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Step:
    """What a profiler has just done: loaded a workload, ended a round, or finished a workload.

    Attributes:
        rounds: Blocks that were kept of each workload that is loaded; empty with an ``entry``.
        entry: The entry that is finished.
        is_lost: Whether the device was given up.
    """

    rounds: Mapping[OpSpec, int] = field(default_factory=dict)
    entry: Entry | None = None
    is_lost: bool = False


OnStep = Callable[[Step], None]


def ignore_step(step: Step) -> None:
    """Show nothing."""
