"""Predictions: the latency of a network from a table, term by term."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from latency_tables.errors import TableError
from latency_tables.spec import OpSpec

#: Its latency is what one call of the runtime costs with next to nothing in it.
CALL_OVERHEAD = OpSpec("call_overhead", (1, 1, 1, 1))

#: Standard deviations on each side that hold 95 % of a Gaussian.
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Term:
    """The contribution of one operation, or of one unit, to a network.

    Attributes:
        spec: The operation or unit.
        count: Its occurrences in the network.
        latency_s: Seconds of one occurrence, net of the call overhead; 0 where it costs no more than a call.
            Of a unit that costs next to nothing, it may come out below 0, which others make up for.
        interval_s: 95 % interval of ``latency_s``, (low, high), for the overhead as measured.
        is_measured: Whether it was measured itself; else it is believed to cost what its like do.
    """

    spec: OpSpec
    count: int
    latency_s: float
    interval_s: tuple[float, float]
    is_measured: bool = True

    @property
    def total_s(self) -> float:
        """Seconds of all occurrences."""
        return self.count * self.latency_s


@dataclass(frozen=True)
class Prediction:
    """The latency of a network, from a table.

    Attributes:
        latency_s: Seconds per call: the call overhead and all terms.
        interval_s: 95 % interval, (low, high). Without observed networks, as far as the table's own errors
            go: that a network is not exactly the sum of its operations is then not in it.
        terms: One for each distinct operation, or unit, in order of first occurrence.
        deviation_s: Standard deviation; if not given, the one that the upper end of the interval implies.
    """

    latency_s: float
    interval_s: tuple[float, float]
    terms: tuple[Term, ...]
    deviation_s: float = math.nan

    def __post_init__(self) -> None:
        if math.isnan(self.deviation_s):
            object.__setattr__(self, "deviation_s", (self.interval_s[1] - self.latency_s) / _NORMAL_95)

    def interval_at(self, level: float) -> tuple[float, float]:
        """Return the interval that holds the latency with probability ``level``, (low, high).

        It is ``interval_s``, each side stretched as that of a Gaussian; at 0.95, ``interval_s`` itself.

        Raises:
            TableError: ``level`` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise TableError(f"an interval at {level!r:.80} holds nothing, or everything; try 0.9")
        stretch = NormalDist().inv_cdf((1 + level) / 2) / NormalDist().inv_cdf(0.975)
        low_s, high_s = self.interval_s
        # An end that was kept from going below 0 says no more how wide its side was.
        below_s = self.latency_s - low_s if low_s > 0 else _NORMAL_95 * self.deviation_s
        return max(self.latency_s - stretch * below_s, 0.0), self.latency_s + stretch * (
            high_s - self.latency_s
        )


def interval_95(mean_s: float, deviation_s: float) -> tuple[float, float]:
    """Return the 95 % interval of a Gaussian that is no negative number, (low, high)."""
    margin_s = _NORMAL_95 * deviation_s
    return max(mean_s - margin_s, 0.0), mean_s + margin_s
