"""A run read for a page, alone: what its folder holds, in one go, and the data that follow from it."""

import json
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from cars_hw.assembly import make_space, table_trust
from cars_hw.candidate import Candidate
from cars_hw.evolution.domination import non_dominated
from cars_hw.ledger import Json
from cars_hw.objectives import bound_text
from cars_hw.results import spending
from cars_hw.results.measured import MeasuredGeneration, as_measured
from cars_hw.results.picks import named_picks, reason
from cars_hw.results.reporting.reading.graphs import drawing
from cars_hw.results.reporting.reading.history import Box, Told, told
from cars_hw.results.reporting.reading.latencies import Predicted, accuracies, predicted
from cars_hw.results.reporting.retrained import RetrainedMember, retrained_members
from cars_hw.results.reporting.run_model import (
    Breakdown,
    Curve,
    FileLink,
    FrontMember,
    GraphPart,
    LatencyData,
    Number,
    PickData,
    RetrainedData,
    RunData,
    SpentLine,
    Warned,
    figures,
    interval,
    number,
)
from cars_hw.results.run_warnings import excess_text, excesses, warnings_of_run
from cars_hw.runs import Run
from cars_hw.runs.changes import flat
from cars_hw.saving.record import Generation, Record
from cars_hw.spaces import SearchSpace

#: Members of a front whose tables are asked once more: each may take a third of a second to count.
_DETAILED = 24
#: Drawings may be this part of members and generations, compressed; members with a word come first.
_DRAWN_PART = 8
#: Below a run's folder, where exported files lie.
_EXPORT = "export"
_MOST_FILES = 200


@dataclass(frozen=True)
class ReadRun:
    """What the folder of a run holds.

    Attributes:
        run: The folder.
        record: What its newest checkpoint says.
        last: Its last generation, as it was measured where it was.
        space: Its space.
        retrained: What was retrained of it, by name.
    """

    run: Run
    record: Record
    last: MeasuredGeneration
    space: SearchSpace
    retrained: Mapping[str, RetrainedMember]

    @classmethod
    def of(cls, run: Run) -> "ReadRun":
        """Read a run.

        Raises:
            CheckpointError: No generation is complete, or something in the folder is damaged.
        """
        record = run.record()
        return cls(run, record, as_measured(run, record), make_space(run.config), retrained_members(run))

    @property
    def history(self) -> Sequence[Generation]:
        """Its generations, oldest first, by the costs that the search selected on."""
        return self.record.history


@dataclass(frozen=True)
class Place:
    """Where a run stands on its page.

    Attributes:
        name: What it is called there.
        configuration: Number of its configuration.
        box: For the hypervolumes.
        most_bytes: How long its members and generations may be, compressed; its drawings, an eighth of that.
        folder: That of the page, from which links lead.
        asks_tables: Whether its latency tables are asked once more.
    """

    name: str
    configuration: int
    box: Box
    most_bytes: int
    folder: Path
    asks_tables: bool = True


def run_data(read: ReadRun, place: Place) -> RunData:
    """Return the data of a run.

    Raises:
        CheckpointError: Something in the folder is damaged.
    """
    run, last = read.run, read.last
    config = run.config
    found = told(config, read.history, place.box, most_bytes=place.most_bytes)
    detailed = _detailed(last)
    of_tables = _of_tables(read, detailed, is_asked=place.asks_tables)
    drawn = _graphs(read, detailed, place.most_bytes // _DRAWN_PART)
    limits = config.all_limits()
    return RunData(
        name=place.name,
        path=str(run.path),
        title=f"{config.strategy.name} on {config.space.name}, {config.data.name}",
        seed=config.search.seed,
        configuration=place.configuration,
        summary=str(last),
        planned=config.search.generations,
        warnings=tuple(Warned(one.kind, one.text) for one in warnings_of_run(run, read.record)),
        trust=table_trust(config),
        notes=tuple(_notes(read, found, of_tables, drawn)),
        limits={name: number(most) for name, most in limits.items()},
        limit_texts={
            name: text
            for name, target in config.latency_targets().items()
            if name in limits and (text := bound_text(target.limit_level))
        },
        members=found.members,
        generations=found.generations,
        front=_front(read, found, of_tables),
        picks=tuple(
            PickData(choice, one, reason(last.front, choice))
            for choice, one in named_picks(last.front).items()
        ),
        graphs=drawn,
        breakdowns=_breakdowns(last, of_tables),
        no_breakdown={name: one.reason for name, one in of_tables.items() if one.reason},
        accuracy=accuracies(run, read.record, read.space, of_tables, found.numbers),
        retrained=tuple(_retrained(name, one) for name, one in read.retrained.items()),
        spent=tuple(
            SpentLine(one.what, number(one.count), number(one.images), number(one.seconds))
            for one in spending.expenses(last.ledger, last.index + 1)
        ),
        ledger=figures(last.ledger),
        settings=flat(config.to_values()),
        toml=config.to_toml(),
        files=tuple(_files(run.path, place.folder)),
    )


def _detailed(last: MeasuredGeneration) -> list[Candidate]:
    """Return the members of the front that tables are asked about, those with a word first."""
    numbers = dict.fromkeys([*named_picks(last.front).values(), *range(len(last.front))])
    return [last.front[i] for i in numbers][:_DETAILED]


def _of_tables(read: ReadRun, detailed: Sequence[Candidate], *, is_asked: bool) -> dict[str, Predicted]:
    """Return what the tables say of members of the front, by the names of the latencies."""
    if not is_asked:
        why = "the tables were not asked, since the search goes on"
        return {name: Predicted(reason=why) for name in read.run.config.searched_targets()}
    return predicted(read.run, read.record, read.space, (one.architecture for one in detailed))


def _notes(
    read: ReadRun,
    found: Told,
    of_tables: Mapping[str, Predicted],
    drawn: Mapping[int, Sequence[GraphPart]],
) -> list[str]:
    """Say what the page leaves out, and how fast devices were."""
    n, notes = len(read.last.front), [found.note] if found.note else []
    asked = max((len(one.predictions) for one in of_tables.values()), default=0)
    if 0 < asked < n:
        notes.append(f"{asked} of the front's {n} members have intervals of predicted latencies")
    if read.last.front.compared_by:
        notes.append(read.last.front.compared_by)
    if len(drawn) < n:
        notes.append(f"{len(drawn)} of the front's {n} members are drawn, for which the page has room")
    return [*notes, *read.last.speed_lines(), *read.last.changed]


def _front(read: ReadRun, found: Told, of_tables: Mapping[str, Predicted]) -> tuple[FrontMember, ...]:
    last, config = read.last, read.run.config
    eligible = set(non_dominated(np.array([member.ranked for member in last.front])).tolist())
    picks = named_picks(last.front)
    return tuple(
        FrontMember(
            number=i,
            member=found.numbers[member.architecture],
            costs=tuple(map(number, member.costs)),
            latencies={
                name: _latency(last, member, name, one.interval_ms(member.architecture))
                for name, one in of_tables.items()
            },
            dominated=i not in eligible,
            violations=tuple(
                excess_text(config, last, member, name) for name in excesses(config, last, member)
            ),
            picks=tuple(choice for choice, picked in picks.items() if picked == i),
            retrained=tuple(name for name, one in read.retrained.items() if one.number == i),
        )
        for i, member in enumerate(last.front)
    )


def _latency(
    last: MeasuredGeneration, member: Candidate, name: str, ends: tuple[Number, Number] | None
) -> LatencyData:
    """Return one latency of a member of the front.

    Args:
        last: The last generation.
        member: Of its front.
        name: Of the latency.
        ends: The interval of its prediction.
    """
    predicted_ms = last.predicted_of(member)[name]
    found = last.latencies_of(member).get(name)
    if found is None:
        return LatencyData(number(predicted_ms), ends)
    measured_ms, (low_s, high_s) = found.latency_s * 1e3, found.interval_s
    return LatencyData(
        predicted=number(predicted_ms),
        predicted_interval=ends,
        measured=number(measured_ms),
        measured_interval=interval((low_s * 1e3, high_s * 1e3)),
        uncorrected=number(found.measured.latency_s * 1e3),
        difference_percent=number((predicted_ms / measured_ms - 1) * 100),
    )


def _breakdowns(
    last: MeasuredGeneration, of_tables: Mapping[str, Predicted]
) -> dict[int, dict[str, Breakdown]]:
    found = {
        i: {
            name: parts
            for name, one in of_tables.items()
            if (parts := one.breakdown(member.architecture)) is not None
        }
        for i, member in enumerate(last.front)
    }
    return {i: parts for i, parts in found.items() if parts}


def _graphs(
    read: ReadRun, detailed: Sequence[Candidate], most_bytes: int
) -> dict[int, tuple[GraphPart, ...]]:
    """Return drawings of members of the front, by their numbers, as long as there is room; one at least."""
    numbers = {member.architecture: i for i, member in enumerate(read.last.front)}
    drawn: dict[int, tuple[GraphPart, ...]] = {}
    packed, size = zlib.compressobj(6), 0
    for member in (*detailed, *(one for one in read.last.front if one not in detailed)):
        parts = drawing(read.space.deployed(member.architecture))
        text = json.dumps([asdict(part) for part in parts], separators=(",", ":"))
        size += len(packed.compress(text.encode())) + len(packed.flush(zlib.Z_SYNC_FLUSH))
        if drawn and size > most_bytes:
            break
        drawn[numbers[member.architecture]] = parts
    return dict(sorted(drawn.items()))


def _retrained(name: str, one: RetrainedMember) -> RetrainedData:
    found = one.retrained
    return RetrainedData(
        name=name,
        number=one.number,
        architecture=found.architecture,
        error=number(found.error),
        shared_error=None if one.shared_weights_error is None else number(one.shared_weights_error),
        top5_error=number(found.top5_error),
        parameters=found.parameters,
        judged=f"{found.images.judging} {found.images.judged_on}",
        are_unseen=found.images.are_unseen,
        latencies={key: _of_retrained(one, key, ms) for key, ms in one.predicted_ms.items()},
        curve=_curve(found.curve),
    )


def _of_retrained(one: RetrainedMember, name: str, predicted_ms: float) -> LatencyData:
    found = one.measured.get(name)
    if found is None:
        return LatencyData(number(predicted_ms))
    low_s, high_s = found.interval_s
    return LatencyData(
        predicted=number(predicted_ms),
        measured=number(found.latency_s * 1e3),
        measured_interval=interval((low_s * 1e3, high_s * 1e3)),
        uncorrected=number(found.measured.latency_s * 1e3),
        difference_percent=number((predicted_ms / (found.latency_s * 1e3) - 1) * 100),
    )


def _curve(stored: Sequence[Mapping[str, Json]]) -> Curve:
    """Return the epochs that have a number; the record is from a file, and may lack any figure."""
    numbered = [(epoch, one) for one in stored if (epoch := _point(one, "epoch")) is not None]
    error, training_error, loss = (
        tuple(_point(one, name) for _, one in numbered) for name in ("error", "training_error", "loss")
    )
    return Curve(tuple(epoch for epoch, _ in numbered), error, training_error, loss)


def _point(epoch: Mapping[str, Json], name: str) -> Number | None:
    value = epoch.get(name)
    return number(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _files(run: Path, page: Path) -> list[FileLink]:
    """Return the exported files of a run, the first by name, as links from the folder of a page."""
    folder = run / _EXPORT
    found = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return [
        FileLink(
            path.relative_to(run).as_posix(),
            quote(Path(os.path.relpath(path, page)).as_posix()),
            path.stat().st_size,
        )
        for path in found[:_MOST_FILES]
    ]
