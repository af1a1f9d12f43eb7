"""The predictor that is made from a table of a space, and how far it may be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

from cars_hw.latency.contents import TableContents
from cars_hw.latency.prediction import predict
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import network_spec
from cars_hw.spaces._space import SearchSpace
from latency_tables import (
    LatencyModel,
    LatencyTable,
    Observation,
    PredictedNetwork,
    Validation,
)


def latency_model(
    space: SearchSpace, table: LatencyTable, observed: Sequence[tuple[Architecture, float]] = ()
) -> LatencyModel:
    """Return the predictor of ``space`` from ``table``.

    Args:
        space: The space whose deployed networks are predicted.
        table: Holds ``TableContents(space).specs``.
        observed: Further architectures with their latencies in seconds, at the table's speed.

    Raises:
        MissingEntryError: The table lacks a key; the message names it and why.
    """
    contents = TableContents(space)
    for spec in contents.specs:
        table[spec]
    executes = table.header.executes
    graphs = [space.deployed(architecture) for architecture in contents.calibration]
    measured = [(graph, table[network_spec(graph)].latency_s) for graph in graphs]
    measured += [(space.deployed(architecture), latency_s) for architecture, latency_s in observed]
    observations = [Observation(graph.executed(executes).specs(), latency_s) for graph, latency_s in measured]
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
        spec = network_spec(space.deployed(architecture))
        predicted = predict(space, model, architecture)
        networks.append(PredictedNetwork(spec, predicted.latency_s, predicted.interval_s))
    return Validation(table.digest(TableContents(space).specs), tuple(networks))


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
        space: The space that it is used for; then a validation by other entries than its own is named so.
    """
    report, notes = table.validation_report(), "".join(f"; {note}" for note in condition_notes(table))
    if report is None or table.validation is None:
        return Trust(f"never validated against whole networks{notes}", is_validated=False)
    if space is not None and table.validation.basis != table.digest(TableContents(space).specs):
        return Trust(f"validated for other entries than those of this space{notes}", is_validated=False)
    return Trust(f"validated on {report}{notes}", is_validated=True)


def condition_notes(table: LatencyTable) -> list[str]:
    """Say, for each condition that is not the same for all entries, how many were measured under which."""
    notes = []
    for name, counts in table.measured_under().items():
        (most, n), *others = counts.most_common()
        rest = "".join(f", {count} under {value!r:.160}" for value, count in others)
        notes.append(f"{n} entries were measured under {name.replace('_', ' ')} {most!r:.160}{rest}")
    return notes
