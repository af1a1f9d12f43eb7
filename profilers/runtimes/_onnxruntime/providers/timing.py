"""How long work takes on a card that is given it by this process, and runs it beside.

A call that is given to a card returns before it is done, and on WebGPU ``synchronize_outputs()`` does so
at once. What waits is to read an output back. So a block of calls ends with one read-back, and the time of a
second one, for which nothing is left to be waited for, is taken out.
"""

from collections.abc import Callable
from statistics import median
from typing import NamedTuple, Protocol

#: Calls that are given to an idle card, one by one, to see how long that takes.
_LAUNCHES = 9

#: A card warms up for so long before anything is told of it.
_WARM_UP_S = 0.025

#: Where giving calls takes a larger share of a block, this process does not run ahead of the card, which may
#: then be busy for less of it.
_MOST_LAUNCHING = 0.9

#: Blocks are so many times as long as the one before, up to so many calls, until one warms the card up.
_LONGER, _MOST_CALLS = 4, 1 << 16

Clock = Callable[[], float]


class Work(Protocol):
    """A workload on a card."""

    def launch(self) -> None:
        """Give a call to the card."""
        ...

    def wait(self) -> None:
        """Wait until it has done all that it was given, by reading an output back."""
        ...


class Launching(NamedTuple):
    """How a workload is given to a card.

    Attributes:
        launch_s: Seconds that it takes to give a call to an idle card.
        launch_bound: Whether a block takes hardly longer than that: its latency is not the card's.
        latency_s: Seconds of a call among some that follow each other.
    """

    launch_s: float
    launch_bound: bool
    latency_s: float


def warm_latency_s(work: Work, n: int, clock_s: Clock) -> float:
    """Return the mean seconds of ``n`` calls that follow each other, after one that does not count.

    It is at least what it takes to give them to the card: reading back varies by more than a small call.
    """
    work.launch()
    work.wait()
    start_s = clock_s()
    for _ in range(n):
        work.launch()
    return _without_read_back(work, start_s, clock_s) / n


def cold_latency_s(work: Work, flush: Callable[[], None], n: int, clock_s: Clock) -> float:
    """Return the mean seconds of ``n`` calls, each waited for, that find the card's cache full of other data.

    Args:
        work: What is timed.
        flush: Fills the cache, before each call, and waits for that.
        n: How many calls.
        clock_s: Tells the time.
    """
    sum_s = 0.0
    for _ in range(n):
        flush()
        start_s = clock_s()
        work.launch()
        sum_s += _without_read_back(work, start_s, clock_s)
    return sum_s / n


def launching(work: Work, clock_s: Clock) -> Launching:
    """Tell how ``work`` is given to the card, which is warm and idle after it."""
    n, latency_s = 1, warm_latency_s(work, 1, clock_s)
    while n * latency_s < _WARM_UP_S and n < _MOST_CALLS:  # reading back varies by more than a small call
        n *= _LONGER
        latency_s = warm_latency_s(work, n, clock_s)
    launches_s = []
    for _ in range(_LAUNCHES):
        start_s = clock_s()
        work.launch()
        launches_s.append(clock_s() - start_s)
        work.wait()
    launch_s = median(launches_s)
    return Launching(launch_s, launch_s > _MOST_LAUNCHING * latency_s, latency_s)


def _without_read_back(work: Work, start_s: float, clock_s: Clock) -> float:
    """Wait for what was given since ``start_s``; return what that took, less what reading back takes."""
    launched_s = clock_s()
    work.wait()
    ended_s = clock_s()
    work.wait()
    read_back_s = clock_s() - ended_s
    return max(ended_s - start_s - read_back_s, launched_s - start_s)
