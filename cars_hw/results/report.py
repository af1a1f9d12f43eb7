"""Report: one self-contained HTML page that shows one or several runs, and the same as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cars_hw.assembly import table_trust
from cars_hw.ledger import Json
from cars_hw.networks.architecture import to_text
from cars_hw.results import spending
from cars_hw.results.exporting.folders import make_folder
from cars_hw.results.measured import as_measured, shown
from cars_hw.results.picks import named_picks, reason
from cars_hw.results.reporting.model import Page
from cars_hw.results.reporting.page import page_html
from cars_hw.results.reporting.reading.pages import page_of
from cars_hw.results.reporting.retrained import retrained_members
from cars_hw.results.run_warnings import warnings_of_run
from cars_hw.runs import Run
from cars_hw.saving.record import Generation
from devices.foundation import ConfigError, replace_file
from profilers import ExportError

#: The page of a run, in its folder.
PAGE = "report.html"


def report(runs: Run | Sequence[Run], to: str | Path | None = None, *, asks_tables: bool = True) -> Path:
    """Write the page of one or several runs, and return its path.

    Args:
        runs: A run, or several of one space, the same objectives and the same latency tables; one generation
            at least is complete.
        to: The page; ``report.html`` in the run's folder if not given, where it is one run.
        asks_tables: Whether latency tables are asked for intervals of predictions and where milliseconds go,
            which takes some seconds; without, the page has neither.

    Raises:
        CheckpointError: No generation is complete, something is damaged, or runs do not compare.
        ConfigError: Several runs are given without a page, or one twice.
        ExportError: The disk refuses.
    """
    several = [runs] if isinstance(runs, Run) else list(runs)
    path = page_path(several, to)
    page = page_of(several, folder=path.parent, asks_tables=asks_tables)
    return write_page(page, path, makes_folder=to is not None)


def page_path(runs: Sequence[Run], to: str | Path | None = None) -> Path:
    """Return where the page of ``runs`` goes: to ``to``, or if that is not given, into the folder of one run.

    Raises:
        ConfigError: There are several runs, and ``to`` is not given.
    """
    if to is None and len(runs) > 1:
        raise ConfigError(
            "several runs have no folder in common; say where their page goes (comparison.html)"
        )
    return Path(to) if to is not None else runs[0].path / PAGE


def write_page(page: Page, path: Path, *, makes_folder: bool) -> Path:
    """Write a page, whole or not at all, and return its path.

    Args:
        page: What it shows.
        path: The file.
        makes_folder: Whether its folder is made; that of a run, which was there, is not made again.

    Raises:
        ExportError: The disk refuses.
    """
    content = page_html(page).encode()
    if makes_folder:
        make_folder(path.parent)
    try:
        path.parent.stat()
        replace_file(path, content)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}; choose another place") from error
    return path


def report_json(run: Run, page: Page | None = None) -> dict[str, Json]:
    """Return what the page shows, under ``page``, and the front, picks and figures of the last generation.

    Args:
        run: The run.
        page: Its page, where that is known.

    Raises:
        CheckpointError: No generation is complete, or something is damaged.
    """
    record = run.record()
    history, last = record.history, as_measured(run, record)
    return {
        "run": str(run.path),
        "warnings": [found.to_json() for found in warnings_of_run(run, record)],
        "trust": table_trust(run.config),
        "generation": history[-1].index,
        "objectives": list(history[-1].objectives),
        "front": front_json(last),
        "picks": picks_json(last),
        "retrained": {name: one.to_json() for name, one in retrained_members(run).items()},
        "speeds": speeds_json(last),
        "progress": [
            {"generation": one.index, "best_error": min(member.costs[0] for member in one.population)}
            for one in history
        ],
        "spent": spent_json(history[-1]),
        "ledger": dict(history[-1].ledger),
        "configuration": run.config.to_values(),
        "page": (page or page_of([run])).to_json(),
    }


def front_json(generation: Generation) -> list[Json]:
    """Return the front's members with their costs by name, and of those that were measured how."""
    last, found = shown(generation), list[Json]()
    for member in last.front:
        measured = last.measured_json(member)
        beside: dict[str, Json] = {"measured": measured} if measured else {}
        found.append({"architecture": to_text(member.architecture), **last.costs_of(member), **beside})
    return found


def picks_json(generation: Generation) -> dict[str, Json]:
    """Return by the words for one member its number in the front, and why it is that one."""
    front = shown(generation).front
    return {
        choice: {"number": number, "why": reason(front, choice)}
        for choice, number in named_picks(front).items()
    }


def speeds_json(generation: Generation) -> list[Json]:
    """Return, in a line for each target, how far its device was off when the front was measured."""
    return [*shown(generation).speed_lines()]


def spent_json(generation: Generation) -> list[Json]:
    """Return what the search cost, line by line, by both counts."""
    return [dict(asdict(line)) for line in spending.expenses(generation.ledger, generation.index + 1)]
