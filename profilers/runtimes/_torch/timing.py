"""How a card is timed: by marks that it notes itself between the calls of a block, one queue, in order.

A card works beside the thread that gives it work, so that a clock of the host would time the giving. Nothing
here knows torch: what a card is to this arithmetic, ``Card`` says.
"""

import math
from collections.abc import Callable
from typing import Protocol, TypeVar

from profilers.errors import ProfilingError

#: So many launches at least lie between two marks of a warm block: a mark is then noise beside them.
LEAST_LAUNCHES = 50

#: A card takes a while to raise its clocks, and cuDNN to try its algorithms.
WARM_UP_S = 0.025

#: Where the card works for a smaller share of a block, the block waits for launches.
LEAST_BUSY = 0.9

_EMPTY_BLOCKS = 16

MarkT = TypeVar("MarkT")

#: Queues so many calls.
Run = Callable[[int], None]


class Card(Protocol[MarkT]):
    """A card's queue of work."""

    def mark(self) -> MarkT:
        """Queue a mark, whose time the card notes when it gets there."""
        ...

    def wait(self) -> None:
        """Return when the card has done all that was queued."""
        ...

    def between_s(self, first: MarkT, last: MarkT) -> float:
        """Return the seconds between two marks that the card has passed."""
        ...

    def empty_caches(self) -> None:
        """Queue what pushes everything else out of the card's caches."""
        ...


def warm_up(card: Card[MarkT], run: Run, clock_s: Callable[[], float]) -> None:
    """Run calls until the card has had ``WARM_UP_S`` of them, twice at least.

    Args:
        card: Whose queue ``run`` fills.
        run: Queues so many calls.
        clock_s: Of the host.
    """
    start_s, calls = clock_s(), 0
    while calls < 2 or clock_s() - start_s < WARM_UP_S:
        run(1)
        card.wait()
        calls += 1


def empty_s(card: Card[MarkT]) -> float:
    """Return the seconds between two marks with nothing between them, the least of several."""
    pairs = [(card.mark(), card.mark()) for _ in range(_EMPTY_BLOCKS)]
    card.wait()
    return min(card.between_s(first, last) for first, last in pairs)


def warm_s(card: Card[MarkT], run: Run, n: int, *, launches: int, marks_s: float) -> float:
    """Return the seconds of a call among at least ``n`` that follow one another.

    One call is queued before the first mark: it fills the caches, and the card is at work when it gets there.

    Args:
        card: Whose queue ``run`` fills.
        run: Queues so many calls.
        n: How many, unless fewer than ``LEAST_LAUNCHES`` launches would lie between the marks.
        launches: Of one call.
        marks_s: What the marks take themselves: ``empty_s``.

    Raises:
        ProfilingError: It seems to take no time.
    """
    calls = max(n, calls_between(launches))
    run(1)
    first = card.mark()
    run(calls)
    last = card.mark()
    card.wait()
    return _without_marks(card.between_s(first, last), marks_s) / calls


def calls_between(launches: int) -> int:
    """Return how many calls of so many launches each have at least ``LEAST_LAUNCHES``."""
    return math.ceil(LEAST_LAUNCHES / max(1, launches))


def cold_s(card: Card[MarkT], run: Run, n: int, *, marks_s: float) -> tuple[float, ...]:
    """Return the seconds of each of ``n`` calls, each of which finds nothing in the caches.

    Arguments and errors are those of ``warm_s``.
    """
    pairs = []
    for _ in range(n):
        card.empty_caches()
        first = card.mark()
        run(1)
        pairs.append((first, card.mark()))
    card.wait()
    return tuple(_without_marks(card.between_s(first, last), marks_s) for first, last in pairs)


def busy_share(latency_s: float, replayed_s: float) -> float:
    """Return for which share of a call the card works, by what it takes when nothing has to be launched.

    Args:
        latency_s: Of a call as it is launched.
        replayed_s: Of a call whose launches the card has beforehand.
    """
    return min(1.0, replayed_s / latency_s)


def _without_marks(span_s: float, marks_s: float) -> float:
    left_s = span_s - marks_s
    if not left_s > 0:
        raise ProfilingError(
            f"the card passed a block of calls in {span_s:.3g} s, and two marks alone in {marks_s:.3g} s"
        )
    return left_s
