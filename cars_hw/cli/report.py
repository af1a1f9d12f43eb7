"""``cars-hw report``: one page that shows one or several runs."""

from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._commands import trust_lines, warning_lines
from cars_hw.cli._options import AllowPluginOption, JsonOption, QuietOption
from cars_hw.cli._output import print_json, say

EXAMPLES = (
    "cars-hw report runs/first",
    "cars-hw report runs/first --json",
    "cars-hw report runs/seed0 runs/seed1 --to comparison.html",
    "cars-hw report runs/first --csv tables",
)


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folder of a run, or of several that compare.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="The page; of one run, RUN/report.html if left out.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write what the page shows to this folder, as CSV.")
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", help="The same as Parquet, which needs pyarrow.")
    ] = None,
    allow_plugin: AllowPluginOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write one self-contained HTML page: fronts, networks, the progress, predicted and measured latencies.

    Several runs share one reference point, and those that differ in the seed alone are pooled. With --json,
    --csv or --parquet, write no page unless --to names it.
    """
    from cars_hw.results.report import page_path, report_json, write_page
    from cars_hw.results.reporting.reading.pages import page_of
    from cars_hw.results.reporting.table_files import TableKind, write_tables
    from cars_hw.results.run_warnings import warnings_of_run
    from cars_hw.runs import Run

    opened = [Run.open(path, allow_plugins=allow_plugin or ()) for path in runs]
    is_written = to is not None or not (json or csv or parquet)
    path = page_path(opened, to) if is_written else None
    page = page_of(opened, folder=None if path is None else path.parent)
    if json:
        print_json(report_json(opened[0], page) if len(opened) == 1 else {"page": page.to_json()})
    else:
        for run in opened:
            for line in (*warning_lines(warnings_of_run(run, run.record())), *trust_lines(run.config)):
                say(line)
    asked: list[tuple[Path | None, TableKind]] = [(csv, "csv"), (parquet, "parquet")]
    for folder, kind in asked:
        if folder is not None:
            say(f"wrote {len(write_tables(page, folder, kind))} tables to {folder}")
    if path is not None:
        say(f"wrote {write_page(page, path, makes_folder=to is not None)}")
