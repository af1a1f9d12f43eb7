"""The latency of one architecture: predictors from a table of operations, and from one of units."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from cars_hw.latency.counting import NetworkCounts
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Node
from cars_hw.spaces._space import SearchSpace
from latency_tables import (
    LatencyModel,
    LatencyTable,
    NetworkObservation,
    Observation,
    OpSpec,
    Prediction,
    UnitModel,
)

#: An architecture whose deployed network was measured, and its seconds per call.
MeasuredNetwork = tuple[Architecture, float]


class Predictor(Protocol):
    """Predicts the deployed networks of a space from a table."""

    def predict(self, architecture: Architecture) -> Prediction:
        """Predict the deployed network of ``architecture``.

        Raises:
            ArchitectureError: It is no member of the space.
            MissingEntryError: The table lacks one of its operations.
            ProfilingError: The table's runtime does not execute it.
            DeviceError: The table's device would have to be asked for its units, and cannot be.
        """
        ...

    def with_networks(self, networks: Sequence[MeasuredNetwork]) -> "Predictor":
        """Return a predictor that knows further measured networks."""
        ...


class OperationPredictor:
    """Predicts from a table of operations, as far as the table's runtime executes them.

    Args:
        space: The space of the architectures.
        table: Of operations.
        networks: Measured networks.

    Attributes:
        model: Takes the operations of a network.
    """

    def __init__(
        self, space: SearchSpace, table: LatencyTable, networks: Sequence[MeasuredNetwork] = ()
    ) -> None:
        self._space, self._table, self._networks = space, table, tuple(networks)
        self.model = LatencyModel(
            table, [Observation(self._specs(architecture), latency_s) for architecture, latency_s in networks]
        )

    def __repr__(self) -> str:
        return f"OperationPredictor({self._space!r}, {self.model!r})"

    def predict(self, architecture: Architecture) -> Prediction:
        """Add up the operations that the table's runtime executes."""
        return self.model.predict(self._specs(architecture))

    def with_networks(self, networks: Sequence[MeasuredNetwork]) -> "OperationPredictor":
        """Return a predictor that knows further measured networks."""
        return OperationPredictor(self._space, self._table, (*self._networks, *networks))

    def _specs(self, architecture: Architecture) -> tuple[OpSpec, ...]:
        return self._space.deployed(architecture).executed(self._table.header.executes).specs()


class UnitPredictor:
    """Predicts from a table of units: counts those that a network is executed as, and adds them up.

    Args:
        table: Of units.
        counter: Counts the networks of the table's space.
        networks: Measured networks.

    Attributes:
        model: Takes counts of units.
        calibration: The architectures of the measured networks.
    """

    def __init__(
        self,
        table: LatencyTable,
        counter: NetworkCounts,
        networks: Sequence[MeasuredNetwork] = (),
    ) -> None:
        self._table, self._counter, self._networks = table, counter, tuple(networks)
        self.calibration = tuple(architecture for architecture, _ in networks)
        counted = counter.of_each(self.calibration)
        self.model = UnitModel(
            table,
            [
                NetworkObservation(counts, latency_s)
                for counts, (_, latency_s) in zip(counted, networks, strict=True)
            ],
        )

    def __repr__(self) -> str:
        return f"UnitPredictor({self._table!r}, {len(self._networks)} networks)"

    @property
    def space(self) -> SearchSpace:
        """The space of the networks."""
        return self._counter.space

    @property
    def table(self) -> LatencyTable:
        """The table of units."""
        return self._table

    def predict(self, architecture: Architecture) -> Prediction:
        """Add up the units; of one that was never measured, what its class tells."""
        return self.model.predict(self.counts(architecture))

    def counts(self, architecture: Architecture) -> Mapping[OpSpec, int]:
        """Return how often each unit is executed in the deployed network; the latest are remembered.

        Raises:
            ProfilingError: The table's runtime does not execute it.
            DeviceError: The table's device would have to be asked, and cannot be.
        """
        return self._counter.of(architecture)

    def operation_s(self, node: Node) -> float:
        """Return the seconds of one operation that is a network of its own, net of a call.

        Raises:
            UncountedError: Its units cannot be told.
            ProfilingError: The table's runtime does not execute it alone.
        """
        terms = self.model.predict(self._counter.of_operation(node)).terms
        return math.fsum(term.total_s for term in terms)

    def count_each(self, architectures: Sequence[Architecture]) -> list[Mapping[OpSpec, int]]:
        """Return the counts of many networks: a device that has to be asked is connected to once."""
        return self._counter.of_each(architectures)

    def with_networks(self, networks: Sequence[MeasuredNetwork]) -> "UnitPredictor":
        """Return a predictor that knows further measured networks."""
        return UnitPredictor(self._table, self._counter, (*self._networks, *networks))
