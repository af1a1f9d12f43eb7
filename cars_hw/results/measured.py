"""The final front as it was measured: its members' latencies, predicted and measured, and its new order."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from cars_hw.assembly import make_space, open_table, table_key
from cars_hw.candidate import Candidate, Front
from cars_hw.config import LatencySection, SearchConfig
from cars_hw.latency.anchors import Anchored, group_size, speed_text
from cars_hw.latency.contents import REFERENCE_NETWORKS, contents_of
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture
from cars_hw.results.forecast import MeasuringForecast, Span, measuring_time
from cars_hw.runs import MeasuredSession, MeasuredTarget, Measurer, Run
from cars_hw.saving.record import Generation, Record
from devices import DeviceError
from devices.foundation import CarsHwError
from latency_tables import LatencyTable, TableError
from profilers import USUAL, OnProgress, ProfilingError, Quality, ignore_progress, plan_at


@dataclass(frozen=True, repr=False)
class MeasuredGeneration(Generation):
    """A generation whose front has measured latencies in place of predicted ones, and is sorted by them.

    Attributes:
        measured: The latencies of those members that were measured, by the names of their objectives.
        predicted: The costs that the search selected on, by the members of the front.
        tables: The tables' files, by the names of the objectives.
    """

    measured: Mapping[str, Mapping[Architecture, Anchored]] = field(default_factory=dict)
    predicted: Mapping[Architecture, Candidate] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "front", Front(self.front, self.objectives, measured=self.measured))

    def latencies_of(self, member: Candidate) -> dict[str, Anchored]:
        """Return what was measured of ``member``, by the names of the objectives."""
        return {
            name: by_member[member.architecture]
            for name, by_member in self.measured.items()
            if member.architecture in by_member
        }

    def predicted_of(self, member: Candidate) -> dict[str, float]:
        """Return the costs of ``member`` that the search selected on, by the names of the objectives."""
        return self.costs_of(self.predicted.get(member.architecture, member))

    def speed_lines(self) -> list[str]:
        """Say, for each target, how far its device was off when the front was measured."""
        lines: dict[str, None] = {}
        for name, by_member in self.measured.items():
            for latency in by_member.values():
                if latency.speed is not None:
                    then = speed_text(latency.speed, self.tables[name], verb="were")
                    ratio = latency.speed.ratio
                    line = f"{name}: when the front was measured, {then}: it is divided by {ratio:.3f}"
                    lines[line] = None
        return list(lines)

    def latency_columns(self) -> list[str]:
        """Return what tables call the latencies that were measured, two columns each."""
        return [column for name in self.measured for column in (f"{name} measured (95 %)", "predicted")]

    def latency_cells(self, measured: Mapping[str, Json]) -> list[str]:
        """Return ``measured_json`` of a member as text, by ``latency_columns``; empty where it has none."""
        return [cell for name in self.measured for cell in latency_cells(measured.get(name))]

    def columns(self) -> list[str]:
        """Return the names of the costs as a table shows them: of a measured one, two."""
        others = [name for name in self.objectives if name not in self.measured]
        return [*others, *self.latency_columns()]

    def cells(self, member: Candidate) -> list[str]:
        """Return the costs of ``member`` as text, by ``columns``."""
        costs, measured = self.costs_of(member), self.measured_json(member)
        others = [f"{cost:.6g}" for name, cost in costs.items() if name not in self.measured]
        unmeasured: dict[str, Json] = {name: {"predicted_ms": costs[name]} for name in self.measured}
        return [*others, *self.latency_cells({**unmeasured, **measured})]

    def measured_json(self, member: Candidate) -> dict[str, Json]:
        """Return what was measured of ``member`` beside what was predicted, by the objectives' names."""
        predicted = self.predicted_of(member)
        return {
            name: {
                "measured_ms": latency.latency_s * 1e3,
                "measured_interval_ms": [bound * 1e3 for bound in latency.interval_s],
                "predicted_ms": predicted[name],
                "difference_percent": (predicted[name] / (latency.latency_s * 1e3) - 1) * 100,
                "uncorrected_ms": latency.measured.latency_s * 1e3,
                "anchor_ratio": None if latency.speed is None else latency.speed.ratio,
            }
            for name, latency in self.latencies_of(member).items()
        }


def shown(generation: Generation) -> MeasuredGeneration:
    """Return ``generation`` with nothing measured, unless it knows better."""
    if isinstance(generation, MeasuredGeneration):
        return generation
    return MeasuredGeneration(
        generation.index,
        generation.population,
        generation.front,
        generation.objectives,
        generation.ledger,
        generation.seconds,
        generation.changed,
    )


def as_measured(run: Run, record: Record) -> MeasuredGeneration:
    """Return the last generation of a run, with what was measured of its front.

    Args:
        run: The run.
        record: What its newest checkpoint says.

    Raises:
        CheckpointError: The measurements are damaged, or of another run.
    """
    generation, sections = record.history[-1], run.config.searched_targets()
    sessions = _sessions(run, record)
    measured = {name: found for name in sections if (found := _latencies(name, sessions))}
    levels = {name: section.limit_level for name, section in sections.items()}
    members = [_with_latencies(member, generation, measured, levels) for member in generation.front]
    return replace(
        shown(generation),
        front=Front(sorted(members, key=lambda member: member.costs), generation.objectives),
        measured=measured,
        predicted={member.architecture: member for member in generation.front},
        tables={name: section.table for name, section in sections.items()},
    )


def final_front(run: Run) -> Front:
    """Return the last front of a run with what was measured of its members: what picks go by.

    Args:
        run: The run; ``run.front()`` has the costs that it was selected by.

    Raises:
        CheckpointError: No generation is complete, or the measurements are damaged.
    """
    return as_measured(run, run.record()).front


def measure_front(
    run: Run,
    *,
    allow_changed: Collection[str] = (),
    quality: Quality = USUAL,
    on_progress: OnProgress = ignore_progress,
) -> MeasuredGeneration:
    """Measure those members of a run's front that were not yet, beside anchors, and return it as measured.

    What is measured is written to ``measurements.jsonl`` in the run's folder; whatever ends this, the next
    call goes on. Targets whose tables are of devices elsewhere are left out; where one of the others cannot
    be measured, the rest is before that is raised.

    Args:
        run: The run; one generation at least is complete.
        allow_changed: What may have changed since the tables were measured, beside what the configuration
            allows: see ``latency_tables.Changeable``.
        quality: How precisely.
        on_progress: For progress.

    Raises:
        CheckpointError: No generation is complete, or the measurements are damaged.
        StorageError: Somebody else writes into the run.
        DeviceError: A device cannot be reached or used.
        ProfilingError: No anchor could be measured.
        TableMismatchError: A table is of another device or settings, or of conditions that changed; or, as
            ``ChangedSpeedError``, the device is too far off from when it was measured.
    """
    config = run.config.allowing(allow_changed)
    errors: list[CarsHwError] = []
    with run.owned():
        record, measurer = run.record(), Measurer(make_space(config), quality, on_progress)
        for name, section in config.searched_targets().items():
            if section.is_elsewhere:
                continue
            try:
                _measure_on(run, record, name, section, measurer)
            except (DeviceError, ProfilingError, TableError) as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return as_measured(run, record)


def front_forecast(run: Run) -> MeasuringForecast:
    """Return what ``measure_front`` would measure of members, and how long that may take with their anchors.

    Raises:
        CheckpointError: No generation is complete, or the measurements are damaged.
        TableError: A table cannot be read.
    """
    record, space = run.record(), make_space(run.config)
    networks, time = 0, Span(0.0, 0.0)
    for name, section in run.config.searched_targets().items():
        lacking = [] if section.is_elsewhere else _lacking(run, record, name)
        if lacking:
            contents = contents_of(space, LatencyTable.open(section.table))
            together = [*lacking, *contents.calibration[:REFERENCE_NETWORKS]]
            macs = [space.deployed(architecture).macs() for architecture in together]
            networks += len(lacking)
            time += measuring_time(plan_at(section.device), 0, macs)
    return MeasuringForecast(0, networks, time)


def is_measurable(config: SearchConfig) -> bool:
    """Tell whether the device of a latency that is minimised is at hand."""
    return any(not section.is_elsewhere for section in config.searched_targets().values())


def _measure_on(run: Run, record: Record, name: str, section: LatencySection, measurer: Measurer) -> None:
    """Measure what is lacking for the objective ``name``, some members at a time, and write it down."""
    lacking, space = _lacking(run, record, name), measurer.space
    if not lacking:
        return
    target = MeasuredTarget.of(space, name, section, open_table(section))
    if target.digest != record.fingerprint.get(table_key(run.config, name)):
        return  # another table, which counts once the search goes on
    size = group_size(target.anchors(space), target.setup, measurer.quality)
    for start in range(0, len(lacking), size):
        some, index = lacking[start : start + size], record.history[-1].index
        session = measurer.session(target, some, generation=index, purpose="front")
        run.measurements(space).append(session)


def latency_cells(measured: Json) -> tuple[str, str]:
    """Return a latency as text, as it was measured, with its interval, and as it was predicted.

    Args:
        measured: As ``measured_json`` has it for one objective; empty text for ``None``.
    """
    match measured:
        case {
            "measured_ms": float(found_ms),
            "measured_interval_ms": [float(low_ms), float(high_ms)],
            "predicted_ms": float(predicted_ms),
        }:
            return f"{found_ms:.5g} ({low_ms:.5g}..{high_ms:.5g})", f"{predicted_ms:.5g}"
        case {"predicted_ms": float(predicted_ms)}:
            return "not measured", f"{predicted_ms:.5g}"
    return "", ""


def _lacking(run: Run, record: Record, name: str) -> list[Architecture]:
    """Return the members of the last front that were not measured for the objective ``name``."""
    there = _latencies(name, _sessions(run, record))
    return [one.architecture for one in record.history[-1].front if one.architecture not in there]


def latencies_measured(run: Run, record: Record) -> dict[str, dict[Architecture, Anchored]]:
    """Return all that was ever measured of a run's networks by its present tables, by the objectives' names.

    Args:
        run: The run.
        record: What its newest checkpoint says.

    Raises:
        CheckpointError: The measurements are damaged, or of another run.
    """
    sessions = _sessions_of_tables(run, record)
    return {name: _latencies(name, sessions) for name in run.config.searched_targets()}


def _sessions(run: Run, record: Record) -> list[MeasuredSession]:
    """Return the sessions after the last generation, by the tables that the search went by."""
    index = record.history[-1].index
    return [one for one in _sessions_of_tables(run, record) if one.generation == index]


def _sessions_of_tables(run: Run, record: Record) -> list[MeasuredSession]:
    tables = {
        name: record.fingerprint.get(table_key(run.config, name)) for name in run.config.searched_targets()
    }
    return [
        one
        for one in run.measurements(make_space(run.config)).read()
        if one.target in tables and one.table == tables[one.target]
    ]


def _latencies(name: str, sessions: Collection[MeasuredSession]) -> dict[Architecture, Anchored]:
    """Return what ``sessions`` measured for the objective ``name``; of several measurements the last."""
    return {
        architecture: latency
        for one in sessions
        if one.target == name
        for architecture, latency in one.latencies.items()
    }


def _with_latencies(
    member: Candidate,
    generation: Generation,
    measured: Mapping[str, Mapping[Architecture, Anchored]],
    levels: Mapping[str, float],
) -> Candidate:
    """Return ``member`` with what was measured, and the upper ends of the intervals of that as its bounds."""
    costs, bounds = generation.costs_of(member), generation.limited_of(member)
    for name, by_member in measured.items():
        found = by_member.get(member.architecture)
        if found is not None:
            costs[name] = found.latency_s * 1e3
            bounds[name] = found.bound_at(levels[name]) * 1e3
    return replace(member, costs=tuple(costs.values()), bounds=tuple(bounds.values()))
