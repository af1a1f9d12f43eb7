"""What a latency table holds of a space, and the predictor that is made from it.

Beside every operation the table holds a few whole networks, the same ones wherever it is read, which correct
the operations jointly.
"""

import numpy as np

from cars_hw.architecture import Architecture
from cars_hw.graph import network_spec
from cars_hw.spaces._space import SearchSpace
from devices._errors import MissingEntryError
from latency_tables.prediction import CALL_OVERHEAD, LatencyModel, Observation
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable

#: Enough for the factor that all operations share, which is most of the error; see benchmarks/prediction.py.
CALIBRATION_NETWORKS = 16
_SEED = 20_200_614


def calibration_architectures(space: SearchSpace) -> list[Architecture]:
    """Draw the architectures whose deployed networks are measured as wholes: always the same.

    They are connected: a network whose output is constant says nothing about its operations.
    """
    rng, size = np.random.default_rng(_SEED), space.size()
    drawn: dict[Architecture, bool] = {}
    while sum(drawn.values()) < CALIBRATION_NETWORKS and len(drawn) < size:
        architecture = space.sample(rng)
        if architecture not in drawn:
            drawn[architecture] = space.graph(architecture, "deploy").is_connected
    return [architecture for architecture, is_connected in drawn.items() if is_connected]


def needed_specs(space: SearchSpace) -> tuple[OpSpec, ...]:
    """Return the keys of everything that a table holds of ``space``."""
    networks = (network_spec(space.graph(a, "deploy")) for a in calibration_architectures(space))
    return tuple(dict.fromkeys((CALL_OVERHEAD, *space.all_operations("deploy"), *networks)))


def latency_model(
    space: SearchSpace, table: LatencyTable, *, remedy: str = "cars-hw profile"
) -> LatencyModel:
    """Return the predictor of ``space`` from ``table``.

    Args:
        space: Whose deployed networks are predicted.
        table: Holds ``needed_specs(space)``.
        remedy: The command that measures what the table lacks.

    Raises:
        MissingEntryError: The table lacks a key; the message names it and why.
    """
    try:
        for spec in needed_specs(space):
            table[spec]
    except MissingEntryError as error:
        raise MissingEntryError(error.spec, reason=error.reason, remedy=remedy) from error
    runtime = table.header.runtime
    graphs = [space.graph(a, "deploy") for a in calibration_architectures(space)]
    observations = [
        Observation(graph.executed(runtime).specs(), table[network_spec(graph)].latency_s) for graph in graphs
    ]
    return LatencyModel(table, observations)
