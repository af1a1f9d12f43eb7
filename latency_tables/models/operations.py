"""LatencyModel: the latency of a network as the sum of its operations.

An operation measured alone carries the cost of one call of the runtime, a network pays it once. The model is

    latency = overhead + sum over operations of max(entry - overhead, 0)

with the overhead measured like any operation, as ``CALL_OVERHEAD``. Whole networks that were measured too
correct the operations jointly; see ``calibration``.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import TableError
from latency_tables.header import Extent
from latency_tables.models import calibration
from latency_tables.prediction import CALL_OVERHEAD, Prediction, Term, interval_95
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable


@dataclass(frozen=True)
class Observation:
    """A whole network that was measured.

    Attributes:
        specs: Its operations, repeats included.
        latency_s: Seconds per call: ``Measurement.latency_s`` of the network, so the 10th percentile.
    """

    specs: tuple[OpSpec, ...]
    latency_s: float


class LatencyModel:
    """Predicts networks from a table; entries changed later are not seen.

    Without observations a prediction is the plain sum, and its interval comes from the table's own errors.
    With them, all operations are corrected jointly (see ``calibration``), and the interval covers the
    model's error.

    Args:
        table: Holds ``CALL_OVERHEAD`` and the operations.
        observations: Networks measured under the table's conditions.

    Raises:
        MissingEntryError: The table lacks ``CALL_OVERHEAD``, or an operation of an observation.
        TableError: An observation is not slower than a call with nothing in it.
    """

    def __init__(self, table: LatencyTable, observations: Sequence[Observation] = ()) -> None:
        self._table = table
        self._overhead = table[CALL_OVERHEAD]
        self._intervals = table.intervals()
        self._measured: dict[OpSpec, tuple[float, tuple[float, float]]] = {}
        self._net: dict[OpSpec, tuple[float, tuple[float, float]]] = {}
        specs = dict.fromkeys(spec for observed in observations for spec in observed.specs)
        self._index = {spec: i for i, spec in enumerate(specs)}
        self._beliefs = self._calibrated(observations) if observations else None

    def __repr__(self) -> str:
        calibrated = "" if self._beliefs is None else ", calibrated by whole networks"
        return f"LatencyModel({self._table!r}{calibrated})"

    @property
    def executes(self) -> Extent:
        """The part of a network that the table's runtime executes; ``predict`` takes its operations."""
        return self._table.header.executes

    def predict(self, specs: Sequence[OpSpec]) -> Prediction:
        """Predict a network from the specs of its operations, repeats included.

        Raises:
            MissingEntryError: The table lacks one of them.
        """
        counts = Counter(specs)
        terms = tuple(Term(spec, count, *self._net_latency(spec)) for spec, count in counts.items())
        if self._beliefs is not None:
            others_s = [n * self._alone(spec)[0] for spec, n in counts.items() if spec not in self._index]
            net_s, deviation_s = self._beliefs.latency_s(self._vector(counts), others_s)
            latency_s = self._overhead.latency_s + net_s
            return Prediction(latency_s, interval_95(latency_s, deviation_s), terms, deviation_s)
        latency_s = math.fsum((self._overhead.latency_s, *(term.total_s for term in terms)))
        return Prediction(latency_s, self._interval(latency_s, terms), terms)

    def _calibrated(self, observations: Sequence[Observation]) -> calibration.Beliefs:
        alone_s = np.array([self._alone(spec)[0] for spec in self._index])
        counts = np.array([self._vector(Counter(observed.specs)) for observed in observations])
        networks_s = np.array([observed.latency_s - self._overhead.latency_s for observed in observations])
        if not np.all(networks_s > 0):
            raise TableError(
                "a measured network is faster than a call with nothing in it; measure a table in another file"
            )
        return calibration.update(alone_s, counts, networks_s)

    def _vector(self, counts: Counter[OpSpec]) -> NDArray[np.float64]:
        """Return the counts of those operations that a measured network has, (d,)."""
        vector = np.zeros(len(self._index))
        for spec in counts.keys() & self._index.keys():
            vector[self._index[spec]] = counts[spec]
        return vector

    def _net_latency(self, spec: OpSpec) -> tuple[float, tuple[float, float]]:
        """Return an operation's latency in a network, net of the call overhead, and its interval."""
        if spec not in self._net:
            self._net[spec] = self._believed(spec, self._beliefs) if self._beliefs else self._alone(spec)
        return self._net[spec]

    def _believed(self, spec: OpSpec, beliefs: calibration.Beliefs) -> tuple[float, tuple[float, float]]:
        i = self._index.get(spec)
        if i is None:
            mean_s, deviation_s = beliefs.other_s(self._alone(spec)[0])
        else:
            mean_s = float(beliefs.mean_s[i])
            deviation_s = float(beliefs.covariance[i, i]) ** 0.5
        return mean_s, interval_95(mean_s, deviation_s)

    def _alone(self, spec: OpSpec) -> tuple[float, tuple[float, float]]:
        """Return an operation's latency as measured alone, net of the call overhead, and its interval."""
        if spec not in self._measured:
            entry, overhead_s = self._table[spec], self._overhead.latency_s
            low_s, high_s = (max(bound - overhead_s, 0.0) for bound in self._intervals[spec])
            self._measured[spec] = max(entry.latency_s - overhead_s, 0.0), (low_s, high_s)
        return self._measured[spec]

    def _interval(self, latency_s: float, terms: tuple[Term, ...]) -> tuple[float, float]:
        """Propagate the entries' intervals, to first order.

        Errors of distinct entries are independent and add in quadrature; repeats of an operation share one
        error, which is multiplied. The overhead's error comes in once with the overhead and is subtracted
        with each occurrence, so it is multiplied by one minus their number.
        """
        below = [term.count * (term.latency_s - term.interval_s[0]) for term in terms]
        above = [term.count * (term.interval_s[1] - term.latency_s) for term in terms]
        low_s, high_s = self._intervals[CALL_OVERHEAD]
        factor = 1 - sum(term.count for term in terms if term.latency_s > 0)
        shifts = [factor * (bound - self._overhead.latency_s) for bound in (low_s, high_s)]
        low = latency_s - math.hypot(min(shifts), *below)
        return max(low, 0.0), latency_s + math.hypot(max(shifts), *above)
