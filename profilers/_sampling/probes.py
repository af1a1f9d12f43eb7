"""Probes: the blocks by which the length of blocks is found, many of them in one message."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from profilers.statistics import MOST_CALLS, PROBES


class Probes:
    """Gives ``inner_calls`` its latencies, by the very blocks that it would ask for one at a time.

    From the latency at few calls, which is no shorter than at many, it follows which blocks will be needed.

    Args:
        run: Runs blocks of so many calls each, in one message; returns their mean latencies in seconds.
        block_s: Seconds that a block must last.
    """

    def __init__(self, run: Callable[[Sequence[int]], Sequence[float]], block_s: float) -> None:
        self._run, self._block_s = run, block_s
        self._latency_s: float | None = None
        self._found: defaultdict[int, deque[float]] = defaultdict(deque)

    def __call__(self, n: int) -> float:
        """Return the mean latency of the next block of ``n`` calls, in seconds."""
        if not self._found[n]:
            asked = [size for size in self._needed(n) for _ in range(PROBES)]
            for size, latency_s in zip(asked, self._run(asked), strict=True):
                self._found[size].append(latency_s)
            self._latency_s = min(self._found[asked[-1]])
        return self._found[n].popleft()

    def _needed(self, n: int) -> Sequence[int]:
        sizes = [n]
        while self._latency_s is not None and sizes[-1] * self._latency_s < self._block_s:
            if sizes[-1] >= MOST_CALLS:
                break
            sizes.append(2 * sizes[-1])
        return sizes
