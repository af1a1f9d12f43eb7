"""``cars-hw report``: one page that shows a run."""

from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._commands import trust_lines, warning_lines
from cars_hw.cli._options import AllowPluginOption, JsonOption, QuietOption
from cars_hw.cli._output import print_json, say

EXAMPLES = ("cars-hw report runs/first", "cars-hw report runs/first --json")


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    to: Annotated[Path | None, typer.Option("--to", help="The page; RUN/report.html if left out.")] = None,
    allow_plugin: AllowPluginOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write one self-contained HTML page: the front as a table and plots, the progress, the conditions.

    With --json, print what the page shows, and write none unless --to names it.
    """
    from cars_hw.results.report import report as write_page
    from cars_hw.results.report import report_json
    from cars_hw.results.run_warnings import warnings_of_run
    from cars_hw.runs import Run

    opened = Run.open(run, allow_plugins=allow_plugin or ())
    if json:
        print_json(report_json(opened))
        if to is None:
            return
    warnings = warnings_of_run(opened, opened.record())
    for line in (*warning_lines(warnings), *trust_lines(opened.config)):
        say(line)
    path = write_page(opened, to)
    say(f"wrote {path}")
