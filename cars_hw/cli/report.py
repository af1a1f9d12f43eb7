"""``cars-hw report``: one page that shows a run."""

from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._output import say


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    to: Annotated[Path | None, typer.Option("--to", help="The page; RUN/report.html if left out.")] = None,
) -> None:
    """Write one self-contained HTML page: the front as a table and plots, the progress, the conditions."""
    from cars_hw.report import write_report
    from cars_hw.runs import Run

    opened = Run.open(run)
    path = write_report(opened.config, opened.record().history, to or run / "report.html")
    say(f"wrote {path}")
