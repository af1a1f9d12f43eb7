"""Latencies of a run for its page: intervals of predictions, where milliseconds go, predicted and measured.

The tables that the search went by are asked once more, with the corrections that it made. Where one is not
at hand, or is another one by now, there is a reason in place of what it would say.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cars_hw.assembly import table_key
from cars_hw.config import LatencySection
from cars_hw.latency.contents import contents_of
from cars_hw.latency.model import latency_model, trust
from cars_hw.latency.network_breakdown import NetworkBreakdown, Part
from cars_hw.latency.prediction import Predictor
from cars_hw.networks.architecture import Architecture
from cars_hw.results.measured import latencies_measured
from cars_hw.results.reporting.run_model import (
    Accuracy,
    Breakdown,
    HeldAgainst,
    Interval,
    TimePart,
    interval,
    number,
)
from cars_hw.runs import MeasuredSession, Run
from cars_hw.saving.record import Record
from cars_hw.spaces import SearchSpace
from devices.foundation import CarsHwError
from latency_tables import LatencyTable, Prediction, TableError

#: Single parts that a breakdown has; the others are one line.
_DEAREST = 8


@dataclass(frozen=True)
class Predicted:
    """What the table of one target says of members of a run's front.

    Attributes:
        predictions: By the members' architectures.
        reason: Why there are none.
    """

    predictions: Mapping[Architecture, Prediction] = field(default_factory=dict)
    reason: str = ""

    def interval_ms(self, architecture: Architecture) -> Interval | None:
        """Return the 95 % interval of a prediction; ``None`` where there is none."""
        found = self.predictions.get(architecture)
        return None if found is None else _ms(found.interval_s)

    def breakdown(self, architecture: Architecture) -> Breakdown | None:
        """Return where the milliseconds go; ``None`` where that is not known."""
        found = self.predictions.get(architecture)
        if found is None or not found.terms:
            return None
        parts = NetworkBreakdown(found.latency_s, found.latency_s, found)
        return Breakdown(
            number(found.latency_s * 1e3),
            tuple(_time_part(parts, part) for part in parts.by_class),
            tuple(_time_part(parts, part) for part in parts.dearest(_DEAREST)),
        )


def predicted(
    run: Run, record: Record, space: SearchSpace, wanted: Iterable[Architecture]
) -> dict[str, Predicted]:
    """Return, by the names of the latencies that the search minimises, what their tables say today.

    Args:
        run: The run.
        record: What its newest checkpoint says.
        space: The run's.
        wanted: Of which architectures.
    """
    architectures = list(wanted)
    return {
        name: _predicted(run, record, space, (name, target), architectures)
        for name, target in run.config.searched_targets().items()
    }


def accuracies(
    run: Run,
    record: Record,
    space: SearchSpace,
    found: Mapping[str, Predicted],
    numbers: Mapping[Architecture, int],
) -> tuple[Accuracy, ...]:
    """Return what each target predicted, held against what was measured; targets without either are left out.

    Args:
        run: The run.
        record: What its newest checkpoint says.
        space: The run's.
        found: What the tables say today.
        numbers: Of the page's members, by their architectures.

    Raises:
        CheckpointError: The measurements are damaged, or of another run.
    """
    measured = latencies_measured(run, record)
    costs = {
        member.architecture: generation.costs_of(member)
        for generation in record.history
        for member in (*generation.population, *generation.front)
    }
    accuracy = []
    for name, target in run.config.searched_targets().items():
        of_front = [
            HeldAgainst(
                role="front",
                predicted=number(costs[architecture][name]),
                predicted_interval=found[name].interval_ms(architecture),
                measured=number(latency.latency_s * 1e3),
                measured_interval=_ms(latency.interval_s),
                member=numbers.get(architecture),
            )
            for architecture, latency in measured[name].items()
            if architecture in costs
        ]
        one = _accuracy(name, target, space, of_front)
        if one is not None:
            accuracy.append(one)
    return tuple(accuracy)


def _predicted(
    run: Run,
    record: Record,
    space: SearchSpace,
    named: tuple[str, LatencySection],
    architectures: Sequence[Architecture],
) -> Predicted:
    """Return what the table of a target says of ``architectures``, or why nothing; no device is asked.

    Args:
        run: The run.
        record: What its newest checkpoint says.
        space: The run's.
        named: The name of the latency, and its target.
        architectures: Members of the front.
    """
    name, target = named
    try:
        table = LatencyTable.open(target.table)
        digest = table.digest(contents_of(space, table).specs)
        if digest != record.fingerprint.get(table_key(run.config, name)):
            return Predicted(reason=f"latency table {target.table} is not as it was when the search used it")
        observed = [
            (architecture, latency.latency_s)
            for one in _used(run, record, space)
            if (one.target, one.table) == (name, digest)
            for architecture, latency in one.latencies.items()
        ]
        predictor: Predictor = latency_model(space, table).with_networks(observed)
        found = {architecture: predictor.predict(architecture) for architecture in architectures}
    except (CarsHwError, ImportError) as error:
        return Predicted(reason=str(error))
    if any(not prediction.terms for prediction in found.values()):
        return Predicted(found, f"latency table {target.table} is of whole networks: it tells no parts")
    return Predicted(found)


def _used(run: Run, record: Record, space: SearchSpace) -> list[MeasuredSession]:
    """Return the sessions by which the search had corrected its predictions in the end."""
    if not record.measured:
        return []
    sessions = run.measurements(space).read()
    return [sessions[i] for i in record.measured if 0 <= i < len(sessions)]


def _accuracy(
    name: str, target: LatencySection, space: SearchSpace, of_front: Sequence[HeldAgainst]
) -> Accuracy | None:
    """Return the accuracy of one target; ``None`` where nothing was measured to hold it against."""
    try:
        table = LatencyTable.open(target.table)
        report, text = table.validation_report(), str(trust(table, space))
        validated = _validated(table)
    except TableError as error:
        report, text, validated = None, str(error), []
    if not validated and not of_front:
        return None
    return Accuracy(
        quantity=name,
        networks=(*validated, *of_front),
        rmspe_percent=None if report is None else number(report.prediction_error.rmspe_percent),
        noise_floor_percent=None if report is None else number(report.floor.rmspe_percent),
        constant_percent=None if report is None else number(report.prediction_error.constant_rmspe_percent),
        text=text,
    )


def _validated(table: LatencyTable) -> list[HeldAgainst]:
    """Return the networks that a table was validated on, with their measurements at its own speed."""
    report = table.validation_report()
    if table.validation is None or report is None:
        return []
    intervals, found = table.intervals(), []
    for network in table.validation.networks:
        latency_s, ends_s = table[network.spec].latency_s, intervals[network.spec]
        if report.session is not None:
            latency_s, ends_s = report.session.corrected(latency_s, ends_s)
        found.append(
            HeldAgainst(
                role="validation",
                predicted=number(network.latency_s * 1e3),
                predicted_interval=_ms(network.interval_s),
                measured=number(latency_s * 1e3),
                measured_interval=_ms(ends_s),
            )
        )
    return found


def _time_part(parts: NetworkBreakdown, part: Part) -> TimePart:
    return TimePart(
        part.name,
        part.predicted_count,
        number((part.predicted_s or 0.0) * 1e3),
        number(parts.predicted_share(part) or 0.0),
    )


def _ms(ends_s: tuple[float, float]) -> Interval:
    return interval((ends_s[0] * 1e3, ends_s[1] * 1e3))
