"""Pages: runs read, held against each other, and put on one page; runs that do not compare are refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.results.reporting.model import Page
from cars_hw.results.reporting.reading.history import Box
from cars_hw.results.reporting.reading.pooling import configuration, deciding, differences
from cars_hw.results.reporting.reading.quantities import quantities
from cars_hw.results.reporting.reading.single import Place, ReadRun, run_data
from cars_hw.results.reporting.run_model import number
from cars_hw.runs import Run
from cars_hw.saving.record import Generation
from devices.foundation import ConfigError

#: How long members and generations of all runs of a page may be, compressed.
_MOST_BYTES = 190_000
#: In this, a copy that was gone on with differs.
_LENGTH = "search.generations"
#: Fingerprints of these begin so.
_TABLE = "latency table"


def page_of(runs: Sequence[Run], *, folder: str | Path | None = None, asks_tables: bool = True) -> Page:
    """Return the data of a page about runs, as they are now; nothing is written, and no device is asked.

    Args:
        runs: One or several, of one space, the same objectives and the same latency tables.
        folder: That of the page, from which links lead to exported files; the first run's if not given.
        asks_tables: Whether latency tables are asked for intervals of predictions and where milliseconds go.

    Raises:
        CheckpointError: A run has no complete generation, is damaged, or does not compare with the first.
        ConfigError: There is no run, or one is given twice.
    """
    if not runs:
        raise ConfigError("there is no run to report; name the folder of one")
    _require_distinct(runs)
    read = [ReadRun.of(run) for run in runs]
    for one in read[1:]:
        _require_comparable(read[0], one)
        _require_not_copied(read, one)
    settings, kinds = _configurations(read)
    box, names = Box.around(one.history for one in read), _names(runs)
    where = runs[0].path if folder is None else Path(folder)
    data = [
        run_data(one, Place(name, kind, box, _MOST_BYTES // len(read), where, asks_tables))
        for one, name, kind in zip(read, names, kinds, strict=True)
    ]
    return Page(
        title=data[0].title if len(data) == 1 else f"{len(data)} runs on {runs[0].config.space.name}",
        made_by="cars_hw",
        objectives=quantities(read[0].last.objectives),
        reference=tuple(map(number, box.reference)),
        configurations=tuple(
            configuration(data, [i for i, kind in enumerate(kinds) if kind == own])
            for own in range(len(settings))
        ),
        differences=differences(settings),
        runs=tuple(data),
    )


def _configurations(read: Sequence[ReadRun]) -> tuple[list[dict[str, Json]], list[int]]:
    """Return the distinct configurations, and the number of that of each run."""
    found: list[dict[str, Json]] = []
    kinds = []
    for one in read:
        settings = deciding(one.run.config)
        if settings not in found:
            found.append(settings)
        kinds.append(found.index(settings))
    return found, kinds


def _names(runs: Sequence[Run]) -> list[str]:
    """Return what the runs are called: their folders, or where two are called alike, the whole paths."""
    names = [run.path.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def _require_distinct(runs: Sequence[Run]) -> None:
    seen: dict[Path, Run] = {}
    for run in runs:
        first = seen.setdefault(run.path.resolve(), run)
        if first is not run:
            raise ConfigError(f"{run.path} is given twice; name each run once")


def _require_not_copied(read: Sequence[ReadRun], one: ReadRun) -> None:
    """Refuse a run with the results of an earlier one: a copy, gone on with or not, is no further seed."""
    for other in read[: read.index(one)]:
        if _is_same(other, one):
            raise ConfigError(
                f"{one.run.path} has the seed and the results of {other.run.path}: it is the same run; leave "
                "one out"
            )


def _is_same(mine: ReadRun, its: ReadRun) -> bool:
    """Tell whether two runs have one seed, one configuration, and the same members while both went on."""
    settings = [deciding(one.run.config) | {_LENGTH: None} for one in (mine, its)]
    seeds = [one.run.config.search.seed for one in (mine, its)]
    return (
        seeds[0] == seeds[1]
        and settings[0] == settings[1]
        and all(map(_has_same_members, mine.history, its.history))
    )


def _has_same_members(mine: Generation, its: Generation) -> bool:
    """Tell whether two populations have the same members and errors; latencies may be rounded otherwise."""
    errors = [{member.architecture: member.costs[0] for member in one.population} for one in (mine, its)]
    return errors[0] == errors[1]


def _require_comparable(first: ReadRun, other: ReadRun) -> None:
    """Refuse a run whose costs are not those of the first.

    Raises:
        CheckpointError: Its space, objectives, units or tables are others; the message names both.
    """
    mine, its = first.run, other.run
    pair = f"{mine.path} and {its.path}"
    if text := _other_space(mine, its):
        raise CheckpointError(f"{pair} are of other spaces: {text}; report them apart")
    names = [one.last.objectives for one in (first, other)]
    if names[0] != names[1]:
        texts = [", ".join(one) for one in names]
        what = "units" if _are_other_units(*names) else "objectives"
        raise CheckpointError(f"{pair} have other {what}, {texts[0]} and {texts[1]}; report them apart")
    tables = [_tables(one.record.fingerprint) for one in (first, other)]
    if tables[0] != tables[1]:
        raise CheckpointError(
            f"{pair} went by other latency tables: their latencies do not compare; report them apart"
        )


def _are_other_units(mine: Sequence[str], its: Sequence[str]) -> bool:
    """Tell whether objectives are the same but for their units."""
    labels = [[one.label for one in quantities(names)] for names in (mine, its)]
    units = [[one.unit for one in quantities(names)] for names in (mine, its)]
    return labels[0] == labels[1] and units[0] != units[1]


def _other_space(mine: Run, its: Run) -> str:
    """Say in what the spaces of two runs differ; nothing where they are one."""
    values = [_space_values(run) for run in (mine, its)]
    key = next((key for key in values[0] | values[1] if values[0].get(key) != values[1].get(key)), "")
    return f"{key} = {values[0].get(key)!r:.80} and {values[1].get(key)!r:.80}" if key else ""


def _space_values(run: Run) -> dict[str, Json]:
    """Return what makes the networks of a run's space, its name first."""
    space = run.config.space
    return {"name": space.name, "operation_kinds": [*space.operation_kinds], **space.settings}


def _tables(fingerprint: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in fingerprint.items() if name.startswith(_TABLE)}
