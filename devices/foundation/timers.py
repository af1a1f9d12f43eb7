"""SaveTimer: when to save what would be lost otherwise."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


class SaveTimer:
    """Tells when it is time to save.

    What is saved is to be complete ``every_s`` after that was begun which it replaces: saving begins earlier
    by what it took the last time. But it takes half of the time at most.

    Args:
        every_s: Longest time whose results may be lost.
        clocks: Each tells seconds from any beginning; what is due by one of them is due.
    """

    def __init__(self, every_s: float, clocks: Sequence[Callable[[], float]] = (time.monotonic,)) -> None:
        self._every_s, self._clocks = every_s, clocks
        self._took_s = [0.0] * len(clocks)
        self.begin()

    def __repr__(self) -> str:
        return f"SaveTimer({self._every_s:g})"

    def begin(self) -> None:
        """Count from now on, with nothing to save yet."""
        self._begun_s = self._times_s()

    def is_due(self, ahead_s: float = 0.0) -> bool:
        """Tell whether it is time to save.

        Args:
            ahead_s: Seconds for which it will not be asked again.
        """
        return any(
            now_s + ahead_s - begun_s >= max(self._every_s - took_s, 2 * took_s)
            for now_s, begun_s, took_s in zip(self._times_s(), self._begun_s, self._took_s, strict=True)
        )

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Time what saves all that there is by now, and count from its beginning."""
        self.begin()
        yield
        self._took_s = [
            now_s - begun_s for now_s, begun_s in zip(self._times_s(), self._begun_s, strict=True)
        ]

    def _times_s(self) -> list[float]:
        return [clock() for clock in self._clocks]
