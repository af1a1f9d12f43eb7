"""Predictions: the latency of a network from a table, term by term."""

from dataclasses import dataclass

from latency_tables.spec import OpSpec

#: Its latency is what one call of the runtime costs with next to nothing in it.
CALL_OVERHEAD = OpSpec("call_overhead", (1, 1, 1, 1))

#: Standard deviations on each side that hold 95 % of a Gaussian.
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Term:
    """The contribution of one operation to a network.

    Attributes:
        spec: The operation.
        count: Its occurrences in the network.
        latency_s: Seconds of one occurrence, net of the call overhead; 0 where it costs no more than a call.
        interval_s: 95 % interval of ``latency_s``, (low, high), for the overhead as measured.
    """

    spec: OpSpec
    count: int
    latency_s: float
    interval_s: tuple[float, float]

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
        terms: One for each distinct operation, in order of first occurrence.
    """

    latency_s: float
    interval_s: tuple[float, float]
    terms: tuple[Term, ...]


def interval_95(mean_s: float, deviation_s: float) -> tuple[float, float]:
    """Return the 95 % interval of a Gaussian that is no negative number, (low, high)."""
    margin_s = _NORMAL_95 * deviation_s
    return max(mean_s - margin_s, 0.0), mean_s + margin_s
