"""The predictor that is made from a table of a space, and how far it may be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

from cars_hw.latency.candidates import network_key
from cars_hw.latency.contents import Contents, NetworksContents, UnitContents, contents_of
from cars_hw.latency.counting import counts_for
from cars_hw.latency.networks_only import ARCHITECTURE, NetworksPredictor
from cars_hw.latency.prediction import MeasuredNetwork, OperationPredictor, Predictor, UnitPredictor
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from latency_tables import (
    LatencyTable,
    MissingEntryError,
    PredictedNetwork,
    Validation,
)
from profilers import Setup


def latency_model(space: SearchSpace, table: LatencyTable, setup: Setup | None = None) -> Predictor:
    """Return the predictor of ``space`` from ``table``: one by operations, units or whole networks.

    Args:
        space: The space whose deployed networks are predicted.
        table: Holds what ``profile`` measures for ``space``.
        setup: The device that may be asked which units it executes, where this machine's runtime does not
            execute the same; if not given, none is.

    Raises:
        MissingEntryError: The table lacks a key; the message names it and why.
        UncountedError: The table is of units, and neither this machine nor the device can count them.
    """
    contents = contents_of(space, table)
    if isinstance(contents, NetworksContents):
        return NetworksPredictor(space, _measured(contents, table))
    if isinstance(contents, UnitContents):
        return _by_units(contents, table, setup)
    return _by_operations(contents, table)


def _by_operations(contents: Contents, table: LatencyTable) -> OperationPredictor:
    for spec in contents.specs:
        table[spec]
    return OperationPredictor(contents.space, table, _measured(contents, table))


def _by_units(contents: UnitContents, table: LatencyTable, setup: Setup | None) -> UnitPredictor:
    failed = table.failures.keys() & set(contents.units)  # of these, their class tells what they cost
    for spec in contents.specs:
        if spec not in failed:
            table[spec]
    if contents.unread or contents.unchosen:
        lacking = f"{len(contents.unread) + contents.unchosen} of its calibration networks"
        raise MissingEntryError(lacking, table=str(table.path or ""))
    return UnitPredictor(table, counts_for(contents.space, table, setup), _measured(contents, table))


def _measured(contents: Contents, table: LatencyTable) -> list[MeasuredNetwork]:
    return [(one, table[network_key(contents.space, one)].latency_s) for one in contents.calibration]


def predicted_networks(
    space: SearchSpace,
    table: LatencyTable,
    architectures: Sequence[Architecture],
    setup: Setup | None = None,
) -> Validation:
    """Predict networks whose measurements are entries of ``table``, to hold them against each other.

    Args:
        space: The space of the networks.
        table: Predicts them.
        architectures: Whose deployed networks they are.
        setup: As for ``latency_model``.

    Raises:
        MissingEntryError: The table lacks an entry.
        TableError: There are too few architectures.
    """
    model = latency_model(space, table, setup)
    networks = []
    for architecture in architectures:
        predicted = model.predict(architecture)
        spec = network_key(space, architecture)
        networks.append(PredictedNetwork(spec, predicted.latency_s, predicted.interval_s))
    return Validation(table.digest(contents_of(space, table).specs), tuple(networks))


@dataclass(frozen=True)
class Trust:
    """How far a table may be trusted.

    Attributes:
        text: One line that says so.
        is_validated: Whether it was validated, by the entries that it has now.
        can_be_validated: Whether it was not, and holds latencies.
    """

    text: str
    is_validated: bool
    can_be_validated: bool = False

    def __str__(self) -> str:
        return self.text


def trust(table: LatencyTable, space: SearchSpace | None = None) -> Trust:
    """Say how far ``table`` may be trusted.

    Args:
        table: The table.
        space: The space that it is used for; then a validation by other entries than its own is named so.
    """
    if not table.measurements:
        return Trust("it holds no latency", is_validated=False)
    report = table.validation_report()
    notes = "".join(f"; {note}" for note in (basis(table), *condition_notes(table)))
    if report is None or table.validation is None:
        return Trust(f"never validated against whole networks{notes}", False, can_be_validated=True)
    if space is not None and table.validation.basis != table.digest(contents_of(space, table).specs):
        text = f"validated for other entries than those of this space{notes}"
        return Trust(text, False, can_be_validated=True)
    return Trust(f"validated on {report}{notes}", is_validated=True)


def basis(table: LatencyTable) -> str:
    """Say by what ``table`` predicts networks."""
    further = sum(ARCHITECTURE in entry.conditions for entry in table.measurements.values())
    if table.header.keyed_by == "networks":
        return f"it predicts by {further} whole networks alone"
    and_further = f" and {further} that were chosen, as those of a front" if further else ""
    if table.header.keyed_by == "units":
        own = sum(network in table.measurements for network in table.executed) - further
        return f"it predicts by what its runtime executes, corrected by {own} whole networks{and_further}"
    alone = "" if further else ", which fronts do not resemble"
    return f"it predicts by operations, corrected by random whole networks{and_further or alone}"


def condition_notes(table: LatencyTable) -> list[str]:
    """Say, for each condition that is not the same for all entries, how many were measured under which."""
    notes = []
    for name, counts in table.measured_under().items():
        (most, n), *others = counts.most_common()
        rest = "".join(f", {count} under {value!r:.160}" for value, count in others)
        notes.append(f"{n} entries were measured under {name.replace('_', ' ')} {most!r:.160}{rest}")
    return notes
