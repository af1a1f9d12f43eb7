"""Estimates of latencies by units: sums over a space's operations, corrected by networks that were counted.

Counting what a runtime executes of a network takes 10 to 30 ms, and whoever looks at thousands of networks
cannot wait for that. An operation is counted once, as a network of its own, and predicted from the table of
units. That a network is not the sum of these (layouts are converted less often, additions are fused, equal
pools run once) is corrected jointly, by the same update that corrects a table of operations by measured
networks; here the networks are those whose latency was predicted from their counts.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import chain

from cars_hw.errors import UncountedError
from cars_hw.latency.networks_only import operation_work
from cars_hw.latency.prediction import UnitPredictor
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import IMAGE, Graph, Node, Part
from latency_tables import CALL_OVERHEAD, LatencyModel, LatencyTable, Measurement, Observation, OpSpec
from profilers import ProfilingError

#: Seconds of a network, without counting it.
Estimate = Callable[[Architecture], float]

#: Networks that correct a sum, the newest of them: more cost time, and say little more.
_MOST_NETWORKS = 512
#: An operation that a runtime drops where it stands alone, as an identity, may cost this in a network.
_LEAST_S = 1e-7


class OperationSums:
    """Estimates the networks of a space by sums over their live operations.

    Args:
        predictor: Predicts them from their units.
    """

    def __init__(self, predictor: UnitPredictor) -> None:
        self._predictor = predictor
        header = replace(predictor.table.header, keyed_by="operations")
        #: Each operation as if it had been measured alone; those that networks have are added as they come.
        self._alone = LatencyTable.in_memory(header)
        self._alone.add(predictor.table[CALL_OVERHEAD])
        self._overhead_s = predictor.table[CALL_OVERHEAD].latency_s

    def __repr__(self) -> str:
        return f"OperationSums({self._predictor!r})"

    def corrected(self, counted_s: Mapping[Architecture, float]) -> Estimate:
        """Return what estimates networks: a function of the table and of ``counted_s`` alone.

        Args:
            counted_s: Seconds that were predicted for networks from their counts, the oldest first. The
                table's calibration networks are known beside them.
        """
        newest = list((self._calibration_s | dict(counted_s)).items())[-_MOST_NETWORKS:]
        model = LatencyModel(
            self._alone,
            [
                Observation(self._known(one).specs(), latency_s)
                for one, latency_s in newest
                if latency_s > self._overhead_s
            ],
        )
        costs_s: dict[OpSpec, float] = {}
        part_costs_s: dict[Part, tuple[float, ...]] = {}

        def cost_s(spec: OpSpec) -> float:
            cost = costs_s.get(spec)
            if cost is None:
                self._know(spec)
                cost = costs_s[spec] = model.predict([spec]).latency_s - self._overhead_s
            return cost

        def costs_of_s(part: Part) -> tuple[float, ...]:
            costs = part_costs_s.get(part)
            if costs is None:
                costs = part_costs_s[part] = tuple(map(cost_s, part.specs))
            return costs

        def estimate_s(architecture: Architecture) -> float:
            parts = self._predictor.space.parts(architecture)
            found = (
                chain.from_iterable(map(costs_of_s, parts))
                if parts
                else map(cost_s, self._live(architecture).specs())
            )
            return self._overhead_s + math.fsum(found)  # which rounds once, whatever the order

        return estimate_s

    @cached_property
    def _calibration_s(self) -> dict[Architecture, float]:
        predict = self._predictor.predict
        return {one: predict(one).latency_s for one in self._predictor.calibration}

    @cached_property
    def _rate_s(self) -> float:
        """Seconds for the work of an operation, over the calibration networks."""
        specs = (spec for one in self._calibration_s for spec in self._live(one).specs())
        net_s = (latency_s - self._overhead_s for latency_s in self._calibration_s.values())
        return max(math.fsum(net_s), 0.0) / max(math.fsum(map(operation_work, specs)), 1.0)

    def _live(self, architecture: Architecture) -> Graph:
        return self._predictor.space.deployed(architecture).live

    def _known(self, architecture: Architecture) -> Graph:
        """Return a live network, all of whose operations are in the table of those alone."""
        graph = self._live(architecture)
        for spec in graph.specs():
            self._know(spec)
        return graph

    def _know(self, spec: OpSpec) -> None:
        if spec not in self._alone:
            latency_s = self._overhead_s + max(self._operation_s(spec), _LEAST_S)
            self._alone.add(Measurement(spec, (latency_s,)))

    def _operation_s(self, spec: OpSpec) -> float:
        """Return the seconds of an operation by its units; where these cannot be told, by its work."""
        try:
            return self._predictor.operation_s(Node("operation", spec, (IMAGE,) * len(spec.input_shapes)))
        except (ProfilingError, UncountedError):
            return self._rate_s * operation_work(spec)
