"""What a latency table holds of a space, and the predictor that is made from it.

Beside every operation the table holds a few whole networks, the same ones wherever it is read, which correct
the operations jointly; and, once it was validated, others that tell how good its predictions are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cars_hw.latency.prediction import predict
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import network_spec
from cars_hw.spaces._space import SearchSpace
from latency_tables import (
    CALL_OVERHEAD,
    LatencyModel,
    LatencyTable,
    Observation,
    OpSpec,
    PredictedNetwork,
    Validation,
)

#: Enough for the factor that all operations share, which is most of the error; see benchmarks/prediction.py.
CALIBRATION_NETWORKS = 16
#: Fewer than 20 leave the spread of Kendall's tau too wide to tell a good table from a bad one.
VALIDATION_NETWORKS = 20
_SEED = 20_200_614


def calibration_architectures(space: SearchSpace) -> list[Architecture]:
    """Draw the architectures whose deployed networks are measured as wholes: always the same."""
    return _drawn(space, CALIBRATION_NETWORKS)


def validation_architectures(space: SearchSpace, n: int = VALIDATION_NETWORKS) -> list[Architecture]:
    """Draw ``n`` architectures that calibration does not see: always the same; fewer in a smaller space."""
    return _drawn(space, CALIBRATION_NETWORKS + n)[CALIBRATION_NETWORKS:]


def _drawn(space: SearchSpace, n: int) -> list[Architecture]:
    """Draw ``n`` connected architectures: a network of constant output says nothing of its operations."""
    rng, size = np.random.default_rng(_SEED), space.size()
    drawn: dict[Architecture, bool] = {}
    while sum(drawn.values()) < n and len(drawn) < size:
        architecture = space.sample(rng)
        if architecture not in drawn:
            drawn[architecture] = space.graph(architecture, "deploy").is_connected
    return [architecture for architecture, is_connected in drawn.items() if is_connected]


def needed_specs(space: SearchSpace) -> tuple[OpSpec, ...]:
    """Return the keys of everything that a table holds of ``space``."""
    networks = (network_spec(space.graph(a, "deploy")) for a in calibration_architectures(space))
    return tuple(dict.fromkeys((CALL_OVERHEAD, *space.all_operations("deploy"), *networks)))


def latency_model(space: SearchSpace, table: LatencyTable) -> LatencyModel:
    """Return the predictor of ``space`` from ``table``.

    Args:
        space: Whose deployed networks are predicted.
        table: Holds ``needed_specs(space)``.

    Raises:
        MissingEntryError: The table lacks a key; the message names it and why.
    """
    for spec in needed_specs(space):
        table[spec]
    executes = table.header.executes
    graphs = [space.graph(a, "deploy") for a in calibration_architectures(space)]
    observations = [
        Observation(graph.executed(executes).specs(), table[network_spec(graph)].latency_s)
        for graph in graphs
    ]
    return LatencyModel(table, observations)


def predicted_networks(
    space: SearchSpace, table: LatencyTable, architectures: Sequence[Architecture]
) -> Validation:
    """Predict networks whose measurements are entries of ``table``, to hold them against each other.

    Raises:
        MissingEntryError: The table lacks an operation, or a calibration network.
        TableError: There are too few architectures.
    """
    model = latency_model(space, table)
    networks = []
    for architecture in architectures:
        spec = network_spec(space.graph(architecture, "deploy"))
        predicted = predict(space, model, architecture)
        networks.append(PredictedNetwork(spec, predicted.latency_s, predicted.interval_s))
    return Validation(table.digest(needed_specs(space)), tuple(networks))


@dataclass(frozen=True)
class Trust:
    """How far a table may be trusted.

    Attributes:
        text: One line that says so.
        is_validated: Whether it was validated, by the entries that it has now.
    """

    text: str
    is_validated: bool

    def __str__(self) -> str:
        return self.text


def trust(table: LatencyTable, space: SearchSpace | None = None) -> Trust:
    """Say how far ``table`` may be trusted.

    Args:
        table: The table.
        space: What it is used for; then a validation by other entries than the present ones is named so.
    """
    report = table.validation_report()
    if report is None or table.validation is None:
        return Trust("never validated against whole networks", is_validated=False)
    if space is not None and table.validation.basis != table.digest(needed_specs(space)):
        return Trust("validated for other entries than those of this space", is_validated=False)
    return Trust(f"validated on {report}", is_validated=True)
