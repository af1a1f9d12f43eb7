"""UnitModel: the latency of a network as the sum of the units that its runtime executes; see ``beliefs``."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import TableError
from latency_tables.models.beliefs import Prior, factor_of, update
from latency_tables.models.unmeasured import UnmeasuredUnits
from latency_tables.prediction import CALL_OVERHEAD, Prediction, Term, interval_95
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from latency_tables.units.classes import UNIT_CLASSES, unit_class, unit_work
from latency_tables.units.unit import is_unit

Floats = NDArray[np.float64]

#: What a unit is taken to cost alone at least: one that seems to cost less than a call is not free.
LEAST_S = 0.02e-6

#: The row of a network's call; units have those after it.
_CALL = 0


@dataclass(frozen=True)
class NetworkObservation:
    """A whole network that was measured.

    Attributes:
        counts: How often its runtime executes each unit: ``ExecutedGraph.counts``.
        latency_s: Seconds per call: ``Measurement.latency_s`` of the network, so the 10th percentile.
    """

    counts: Mapping[OpSpec, int]
    latency_s: float


class UnitModel:
    """Predicts networks from a table of units; entries changed later are not seen.

    A unit that the table lacks, or whose measurement failed, is estimated by others of its class; terms of a
    prediction name it (``is_measured``). Without networks, predictions are those of the prior.

    Args:
        table: Holds ``CALL_OVERHEAD`` and at least one unit.
        networks: Measured under the table's conditions.

    Attributes:
        noise: The share of its latency by which a network is taken to differ from the sum of its units.
        factor: The share of their latencies alone that units take in networks, before their classes and
            themselves are looked at.
        call_s: Seconds of a network's call, as the networks have it: what a prediction is beside its terms.

    Raises:
        MissingEntryError: The table lacks ``CALL_OVERHEAD``.
        TableError: It has no unit, or a network executes none, or is not slower than a call.
        SpecError: A key in the counts of a network is not that of a unit.
    """

    def __init__(self, table: LatencyTable, networks: Sequence[NetworkObservation] = ()) -> None:
        self._table = table
        self._overhead_s = table[CALL_OVERHEAD].latency_s
        self._alone_s = {
            spec: max(entry.latency_s - self._overhead_s, LEAST_S)
            for spec, entry in table.measurements.items()
            if is_unit(spec)
        }
        if not self._alone_s:
            raise TableError(
                "the table has no latency of a unit to predict networks by; profile one of units"
            )
        self._unmeasured = UnmeasuredUnits(self._alone_s)
        units = dict.fromkeys([*self._alone_s, *(unit for seen in networks for unit in seen.counts)])
        self._places = {unit: place for place, unit in enumerate(units, start=_CALL + 1)}
        self._terms: dict[tuple[int, int], Term] = {}
        counts, networks_s = self._observed(networks)
        alone_s = np.array(list(map(self._alone, units)))
        self.factor = factor_of(alone_s, counts[:, _CALL + 1 :], networks_s)
        prior = self._prior(units, alone_s).after_call(networks_s)
        self._beliefs = update(prior, counts, networks_s)
        self.noise = self._beliefs.noise
        #: One for the call, then one a unit: mean, own variance, then columns whose sums' squares are added,
        #: and subtracted.
        self._rows = self._beliefs.rows(prior, counts)
        self.call_s = self._overhead_s + float(self._rows[_CALL, 0])

    def __repr__(self) -> str:
        n = len(self._beliefs.weights)
        return f"UnitModel({self._table!r}, {n} networks, factor {self.factor:.3f}, noise {self.noise:.2%})"

    def predict(self, counts: Mapping[OpSpec, int]) -> Prediction:
        """Predict a network from how often it executes each unit.

        Raises:
            SpecError: A key is not that of a unit.
        """
        places = self._placed(counts)
        times = list(counts.values())
        mean_s, deviation_s = self._latency(places, times)
        terms = tuple(map(self._term, places, times, counts))
        latency_s = self._overhead_s + mean_s
        return Prediction(latency_s, interval_95(latency_s, deviation_s), terms, deviation_s)

    def difference(self, one: Mapping[OpSpec, int], other: Mapping[OpSpec, int]) -> tuple[float, float]:
        """Return mean and standard deviation of one network's latency less another's, seconds.

        What they share is taken to be off by the same, so it says more than their two intervals.

        Raises:
            SpecError: A key is not that of a unit.
        """
        counts = Counter(one)
        counts.subtract(other)
        mean_s, variance = self._sums(self._placed(counts), list(counts.values()))
        noises_s = [
            self.noise * self._latency(self._placed(each), list(each.values()))[0] for each in (one, other)
        ]
        return mean_s, math.hypot(variance**0.5, *noises_s)

    def differences(self, networks: Sequence[Mapping[OpSpec, int]]) -> tuple[Floats, Floats]:
        """Return ``difference`` of every two networks at once: means and standard deviations, (n, n) each.

        A network does not differ from itself: the diagonals are 0.

        Raises:
            SpecError: A key is not that of a unit.
        """
        units = {unit: column for column, unit in enumerate(dict.fromkeys(chain(*networks)), start=1)}
        counts = np.zeros((len(networks), 1 + len(units)))
        counts[:, 0] = 1  # the call
        for row, network in zip(counts, networks, strict=True):
            row[[units[unit] for unit in network]] = list(network.values())
        places = self._placed(units)
        rows = self._rows[[_CALL, *places]]
        means_s, added, explained = self._split(counts @ rows)
        covariance = added @ added.T - explained @ explained.T + (counts * rows[:, 1]) @ counts.T
        variances = np.diag(covariance)
        own = (self.noise * np.maximum(means_s, 0.0)) ** 2
        of_pairs = np.maximum(np.add.outer(variances, variances) - 2 * covariance, 0.0)
        of_pairs += np.add.outer(own, own)
        np.fill_diagonal(of_pairs, 0.0)
        return np.subtract.outer(means_s, means_s), np.sqrt(of_pairs)

    def relative_deviation(self, counts: Mapping[OpSpec, int]) -> float:
        """Return the standard deviation of a network's latency over its mean: the widest is worth measuring.

        Raises:
            SpecError: A key is not that of a unit.
        """
        mean_s, deviation_s = self._latency(self._placed(counts), list(counts.values()))
        return deviation_s / (self._overhead_s + mean_s)

    def _latency(self, places: Sequence[int], times: Sequence[int]) -> tuple[float, float]:
        """Return mean and standard deviation of a network, net of a call: it takes no less than no time."""
        mean_s, variance = self._sums([_CALL, *places], [1, *times])
        mean_s = max(mean_s, 0.0)
        return mean_s, math.hypot(variance**0.5, self.noise * mean_s)

    def _sums(self, places: Sequence[int], times: Sequence[int]) -> tuple[float, float]:
        """Return mean and variance of a sum of units, before a network's own noise."""
        weights = np.array(times, dtype=np.float64)
        rows = self._rows[places]
        mean_s, added, explained = self._split(weights @ rows)
        variance = float(added @ added - explained @ explained + weights**2 @ rows[:, 1])
        return float(mean_s), max(variance, 0.0)

    def _split(self, sums: Floats) -> tuple[Floats, Floats, Floats]:
        """Return means, shared columns and explained ones of sums of rows, (..., 2 + r + k)."""
        shared = 2 + len(self._beliefs.shared_s)
        return sums[..., 0], sums[..., 2:shared], sums[..., shared:]

    def _placed(self, counts: Mapping[OpSpec, int]) -> list[int]:
        """Return the places of units, giving new ones theirs."""
        places = self._places
        try:
            return [places[unit] for unit in counts]
        except KeyError:
            self._extend([unit for unit in counts if unit not in places])
            return [places[unit] for unit in counts]

    def _extend(self, units: Sequence[OpSpec]) -> None:
        """Know further units, which nobody measured and no observed network has."""
        prior = self._prior(units, np.array(list(map(self._alone, units))))
        rows = self._beliefs.rows(prior, np.zeros((len(self._beliefs.weights), len(units))))
        self._rows = np.vstack([self._rows, rows])
        self._places |= {unit: place for place, unit in enumerate(units, start=_CALL + 1 + len(self._places))}

    def _prior(self, units: Iterable[OpSpec], alone_s: Floats) -> Prior:
        units = list(units)
        classes = np.array([UNIT_CLASSES.index(unit_class(unit)) for unit in units], dtype=np.intp)
        weights = np.array([unit_work(unit).weights for unit in units], dtype=np.float64)
        is_measured = np.array([unit in self._alone_s for unit in units])
        return Prior.of(alone_s, classes, weights, is_measured, self.factor)

    def _alone(self, unit: OpSpec) -> float:
        """Return what a unit takes alone, or would take, net of a call."""
        measured_s = self._alone_s.get(unit)
        return max(self._unmeasured.alone_s(unit), LEAST_S) if measured_s is None else measured_s

    def _observed(self, networks: Sequence[NetworkObservation]) -> tuple[Floats, Floats]:
        """Return counts (k, 1 + d) of the call and of units, and the networks' seconds net of a call (k,)."""
        counts = np.zeros((len(networks), _CALL + 1 + len(self._places)))
        for row, network in zip(counts, networks, strict=True):
            row[[self._places[unit] for unit in network.counts]] = list(network.counts.values())
        if not counts.any(axis=1).all():
            raise TableError("a measured network executes nothing; measure a table in another file")
        counts[:, _CALL] = 1
        networks_s = np.array([network.latency_s for network in networks]) - self._overhead_s
        if not np.all(networks_s > 0):
            raise TableError(
                "a measured network is faster than a call with nothing in it; measure a table in another file"
            )
        return counts, networks_s

    def _term(self, place: int, count: int, unit: OpSpec) -> Term:
        if (place, count) not in self._terms:
            mean_s, variance = self._sums([place], [1])
            low_s, high_s = interval_95(mean_s, variance**0.5)
            is_measured = unit in self._alone_s
            self._terms[place, count] = Term(unit, count, mean_s, (min(low_s, mean_s), high_s), is_measured)
        return self._terms[place, count]
