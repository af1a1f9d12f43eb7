"""A thread of its own for what one workload computes on processors."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from latency_tables import Conditions
from profilers.runtimes._runtime import Sampler

T = TypeVar("T")


class Lane:
    """Runs what it is given on one thread, which begins with the affinity of the first that gives it work.

    torch computes with the threads that the one it was called by has started, and these keep the affinity of
    that moment: those of a search that ran before would compute on any processor.
    """

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread

    @classmethod
    @contextmanager
    def opened(cls) -> "Iterator[Lane]":
        """Open one; leaving ends its thread."""
        with ThreadPoolExecutor(1, thread_name_prefix="torch") as thread:
            yield cls(thread)

    def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns there, or raise what it raises."""
        return self._thread.submit(work).result()


class LaneSampler:
    """A sampler that works on a lane."""

    def __init__(self, sampler: Sampler, lane: Lane) -> None:
        self._sampler, self._lane = sampler, lane

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls there."""
        return self._lane.run(lambda: self._sampler(n))

    def facts(self) -> Conditions:
        """Return those of the sampler."""
        return self._sampler.facts()
