"""NetworksModel: the latency of a network from a few whole networks, where no operation was measured.

A network costs a constant, something for each operation, and for each operation of a kind what the kind costs
for its work; an operation may differ from its kind:

    latency = constant + n dispatch + sum over operations of work (factor of the kind + own deviation)

What is believed before a network was measured knows no device: shares of an average network's latency. As it
is not known which operations a runtime executes, networks are counted in several ways; see ``regression``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.errors import TableError
from latency_tables.networks import design, regression
from latency_tables.networks.regression import Average, Floats, Prior
from latency_tables.prediction import Prediction, interval_95
from latency_tables.spec import OpSpec

#: By each way to count, how often a network has each operation.
Counts = Sequence[Mapping[OpSpec, int]]

#: A number that is the larger the more an operation has to do.
Work = Callable[[OpSpec], float]

#: Fewer say too little of anything but the average.
FEWEST_NETWORKS = 10

#: Expected shares of an average network's latency: a constant, all dispatches, all work of all kinds.
_CONSTANT, _DISPATCH, _WORK = 0.1, 0.1, 0.8
#: Standard deviations: of the first two shares, of the factor of a kind, of an operation from its kind.
_SHARE_DEVIATION, _KIND_DEVIATION, _OWN_DEVIATION = 0.2, 0.8, 0.2


@dataclass(frozen=True)
class CountedNetwork:
    """A whole network that was measured.

    Attributes:
        counts: Its operations, by each way to count.
        latency_s: Seconds per call.
    """

    counts: Counts
    latency_s: float


class NetworksModel:
    """Predicts networks from whole networks alone.

    Args:
        networks: At least ``FEWEST_NETWORKS``, all counted in the same ways.
        work: Of operations; only the proportions within a kind and, roughly, between kinds matter.

    Raises:
        TableError: There are fewer.
    """

    def __init__(self, networks: Sequence[CountedNetwork], work: Work) -> None:
        if len(networks) < FEWEST_NETWORKS:
            raise TableError(
                f"{len(networks)} measured networks; predicting from networks alone needs {FEWEST_NETWORKS}"
            )
        latencies_s = np.array([network.latency_s for network in networks])
        self._rules = _rules([network.counts for network in networks], work)
        fits = [
            regression.fit(
                rule.features([network.counts[i] for network in networks]), latencies_s, rule.prior
            )
            for i, rule in enumerate(self._rules)
        ]
        self._average: Average = regression.average(fits)
        self._n = len(networks)

    def __repr__(self) -> str:
        return f"NetworksModel({self._n} networks)"

    @property
    def weights(self) -> tuple[float, ...]:
        """How much each way to count is believed, in their order; they sum to 1."""
        return tuple(self._average.weights.tolist())

    def predict(self, counts: Counts) -> Prediction:
        """Predict a network; of its single operations nothing is known, so there are no terms.

        Args:
            counts: Its operations, by each way to count.
        """
        features = [rule.features([own]) for rule, own in zip(self._rules, counts, strict=True)]
        means_s, deviations_s = self._average.predict(features)
        latency_s = max(float(means_s[0]), 0.0)
        return Prediction(latency_s, interval_95(latency_s, float(deviations_s[0])), ())


def choose_networks(
    candidates: Sequence[Counts], n: int, work: Work, rng: np.random.Generator, *, kept: Sequence[int] = ()
) -> list[int]:
    """Return which ``n`` of the candidates to measure: those that tell most about all latencies.

    Args:
        candidates: Networks, each counted in the same ways.
        n: How many.
        work: As for ``NetworksModel``.
        rng: For the choice that the search for a better one begins with.
        kept: Candidates that were measured already, beside which the others are chosen.
    """
    counted = [
        (rule.features([counts[i] for counts in candidates]), rule.prior)
        for i, rule in enumerate(_rules(candidates, work))
    ]
    return design.choose(counted, n, rng=rng, kept=kept)


def _rules(networks: Sequence[Counts], work: Work) -> list["_Rule"]:
    return [_Rule(own, work) for own in zip(*networks, strict=True)]


class _Rule:
    """Features of networks that are counted in one way, and what is believed of their coefficients.

    Args:
        networks: Those whose average latency is the unit of the coefficients.
        work: Of operations.
    """

    def __init__(self, networks: Sequence[Mapping[OpSpec, int]], work: Work) -> None:
        self._work = work
        specs = dict.fromkeys(spec for own in networks for spec in own)
        kinds = dict.fromkeys(spec.kind for spec in specs)
        # Columns: constant, dispatches, work of each kind and of kinds that none of the networks has, then
        # work of each operation and of operations that none has.
        self._kinds = {kind: 2 + i for i, kind in enumerate(kinds)}
        self._other_kinds = 2 + len(kinds)
        self._specs = {spec: self._other_kinds + 1 + i for i, spec in enumerate(specs)}
        self._other_specs = self._other_kinds + 1 + len(specs)
        self._operations = float(np.mean([sum(own.values()) for own in networks])) or 1.0
        self._average_work = float(np.mean([self._total(own) for own in networks])) or 1.0
        n_kinds, n_specs = len(kinds) + 1, len(specs) + 1
        deviations = [_SHARE_DEVIATION] * 2 + [_KIND_DEVIATION] * n_kinds + [_OWN_DEVIATION] * n_specs
        means = [_CONSTANT, _DISPATCH] + [_WORK] * n_kinds + [0.0] * n_specs
        self.prior = Prior(np.array(means), np.diag(deviations) ** 2)

    def features(self, networks: Sequence[Mapping[OpSpec, int]]) -> Floats:
        """Return the features of networks, (m, d)."""
        found = np.zeros((len(networks), self._other_specs + 1))
        found[:, 0] = 1.0
        for row, counts in zip(found, networks, strict=True):
            for spec, n in counts.items():
                work = n * self._work(spec) / self._average_work
                row[1] += n / self._operations
                row[self._kinds.get(spec.kind, self._other_kinds)] += work
                row[self._specs.get(spec, self._other_specs)] += work
        return found

    def _total(self, counts: Mapping[OpSpec, int]) -> float:
        return sum(n * self._work(spec) for spec, n in counts.items())
