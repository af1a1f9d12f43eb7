"""Report: one self-contained static HTML page that shows a run. No script, nothing loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from cars_hw.assembly import table_trust
from cars_hw.config import SearchConfig
from cars_hw.ledger import Json
from cars_hw.networks.architecture import to_text
from cars_hw.results import spending
from cars_hw.results.exporting.folders import make_folder
from cars_hw.results.measured import as_measured, shown
from cars_hw.results.picks import named_picks, reason
from cars_hw.results.reporting.markup import COLOUR, FAINT, figure, svg, table, text
from cars_hw.results.reporting.retrained import RetrainedMember, retrained_members
from cars_hw.results.reporting.retrained_page import retrained_section
from cars_hw.results.run_warnings import RunWarning, warnings_of_run
from cars_hw.runs import Run
from cars_hw.saving.record import Generation
from devices.foundation import replace_file
from profilers import ExportError

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #d8dee4; text-align: right; }
th:last-child, td:last-child { text-align: left; font-family: ui-monospace, monospace; font-size: .85em; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; } .plots svg { max-width: 32rem; height: auto; }
.warning { background: #fff3d6; border-left: 4px solid #c77700; padding: .5rem 1rem; }
pre { background: #f6f8fa; padding: 1rem; overflow-x: auto; }
"""


def report(run: Run, to: str | Path | None = None) -> Path:
    """Write the page of a run, and return its path.

    Args:
        run: The run; one generation at least is complete.
        to: The page; ``report.html`` in the run's folder if not given.

    Raises:
        CheckpointError: No generation is complete, or the stored configuration is not the search's.
        ExportError: The disk refuses.
    """
    path, record = run.path / "report.html" if to is None else Path(to), run.record()
    if to is not None:
        make_folder(path.parent)
    found, history = warnings_of_run(run, record), [*record.history[:-1], as_measured(run, record)]
    return write_report(
        run.config,
        history,
        path,
        trust=table_trust(run.config),
        warnings=found,
        retrained=retrained_members(run),
    )


def report_json(run: Run) -> dict[str, Json]:
    """Return what the page shows, but for its plots.

    Raises:
        CheckpointError: No generation is complete.
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


def write_report(
    config: SearchConfig,
    history: Sequence[Generation],
    path: Path,
    *,
    trust: str,
    warnings: Sequence[RunWarning] = (),
    retrained: Mapping[str, RetrainedMember] = MappingProxyType({}),
) -> Path:
    """Write the page of a run and return its path.

    Args:
        config: The run's resolved configuration.
        history: Its generations, oldest first; not empty.
        path: The page.
        trust: How far the latency table may be trusted.
        warnings: What makes the result less than it looks like; on top.
        retrained: What was retrained, by its names.

    Raises:
        ExportError: The disk refuses.
    """
    last = history[-1]
    sections = [
        f"<h1>{text(config.strategy.name)} on {text(config.space.name)}, {text(config.data.name)}</h1>",
        *(f'<p class="warning">{text(str(found))}</p>' for found in warnings),
        f"<p>{text(str(last))}</p>",
        f"<p>{text(trust)}</p>",
        "<h2>The front</h2>",
        f'<div class="plots">{"".join(_front_plot(last, i) for i in range(1, len(last.objectives)))}</div>',
        _front_table(last),
        _picks_list(last),
        retrained_section(retrained),
        "<h2>Progress</h2>",
        f'<div class="plots">{_progress_plot(history)}</div>',
        "<h2>What was spent</h2>",
        _spending_table(last),
        _ledger_table(last),
        "<h2>Configuration</h2>",
        f"<pre>{text(config.to_toml())}</pre>",
    ]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>cars_hw run</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )
    try:
        path.parent.stat()  # a run that was there, and is not any more, is not made again
        replace_file(path, page.encode())
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}; choose another place") from error
    return path


def _front_plot(generation: Generation, cost: int) -> str:
    """Draw error over one other cost: the population faint, the front on top."""
    drawn = figure()
    axes = drawn.add_subplot()
    for members, colour, label in (
        (generation.population, FAINT, "population"),
        (generation.front, COLOUR, "front"),
    ):
        costs = [member.costs for member in members]
        axes.scatter([c[cost] for c in costs], [c[0] * 100 for c in costs], color=colour, label=label)
    axes.set_xlabel(generation.objectives[cost], parse_math=False)  # a name from a file is no formula
    axes.set_ylabel("error, %")
    axes.legend(frameon=False)
    return svg(drawn)


def _progress_plot(history: Sequence[Generation]) -> str:
    """Draw the best and the median error of the population over generations."""
    drawn = figure()
    axes = drawn.add_subplot()
    indices = [generation.index for generation in history]
    errors = [sorted(member.costs[0] * 100 for member in generation.population) for generation in history]
    axes.plot(indices, [values[0] for values in errors], color=COLOUR, marker="o", label="best")
    axes.plot(
        indices, [values[len(values) // 2] for values in errors], color=FAINT, marker="o", label="median"
    )
    axes.set_xlabel("generation")
    axes.set_ylabel("error, %")
    axes.legend(frameon=False)
    return svg(drawn)


def _front_table(generation: Generation) -> str:
    last = shown(generation)
    rows = [
        (str(i), *last.cells(member), to_text(member.architecture)) for i, member in enumerate(last.front)
    ]
    lines = "".join(f"<p>{text(line)}</p>" for line in last.speed_lines())
    return f"{table(('#', *last.columns(), 'architecture'), rows)}{lines}"


def _picks_list(generation: Generation) -> str:
    """Say which members the picks are, and why."""
    front = shown(generation).front
    lines = (
        f"<li><b>{text(choice)}</b>: member {number}, {text(reason(front, choice))}</li>"
        for choice, number in named_picks(front).items()
    )
    return f"<ul>{''.join(lines)}</ul>"


def _spending_table(generation: Generation) -> str:
    columns, rows = spending.table(generation.ledger, generation.index + 1)
    return table((*columns[1:], columns[0]), [(*row[1:], row[0]) for row in rows])


def _ledger_table(generation: Generation) -> str:
    rows = [(name.replace("_", " "), f"{value:.6g}") for name, value in generation.ledger.items()]
    return table((), rows)
