"""``cars-hw compare``: several runs beside each other, in the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cars_hw.cli._options import AllowPluginOption, JsonOption, QuietOption
from cars_hw.cli._output import print_json, print_table, say

if TYPE_CHECKING:
    from cars_hw.results.reporting.frames import Cell, Row

#: Figures that are pooled over seeds, and what a configuration has of the front of all.
_POOLED, _JOINT = ("hypervolume", "best error"), "of the joint front"

EXAMPLES = ("cars-hw compare runs/seed0 runs/seed1 runs/other", "cars-hw compare runs/a runs/b --json")


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two runs or more.")],
    allow_plugin: AllowPluginOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare runs of one space, the same objectives and tables; those that differ in the seed are pooled.

    Hypervolumes are shares of one box, up to one reference point for all. Nothing is written.
    """
    from cars_hw.results.reporting.comparison import compare as compared
    from cars_hw.runs import Run

    found = compared([Run.open(path, allow_plugins=allow_plugin or ()) for path in runs])
    if json:
        print_json(found.to_json())
        return
    for run in found.page.runs:
        for warning in run.warnings:
            say(f"{run.name}: warning: {warning.text}")
    columns = list(found.runs[0])
    rows = [[_text(row[name]) for name in columns] for row in found.runs]
    print_table(columns, rows, title="runs, each after its last generation")
    print_table(
        ["configuration", "seeds", *_POOLED, _JOINT],
        [_configuration_cells(row) for row in found.configurations],
        title=f"configurations after generation {found.generation}: mean +/- deviation of the seeds",
    )
    if found.page.differences:
        labels = [one.label for one in found.page.configurations]
        rows = [[one.key, *one.values] for one in found.page.differences]
        print_table(["setting", *labels], rows, title="what differs")
    point = (
        f"{one.name} {reference:g}"
        for one, reference in zip(found.page.objectives, found.page.reference, strict=True)
    )
    say(f"hypervolume: the share of the box up to {', '.join(point)} that a front dominates")


def _configuration_cells(row: "Row") -> list[str]:
    pooled = [_spread_text(row, name) for name in _POOLED]
    return [_text(row["configuration"]), _text(row["seeds"]), *pooled, _text(row[_JOINT])]


def _spread_text(row: "Row", name: str) -> str:
    """Return a mean with the deviation of the seeds and their range; of one seed, that one's figure alone."""
    mean, deviation, least, most = (
        _text(row[f"{name}{which}"]) for which in ("", " deviation", " least", " most")
    )
    return f"{mean} +/- {deviation} ({least}..{most})" if deviation else mean


def _text(cell: "Cell") -> str:
    return "" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell)
