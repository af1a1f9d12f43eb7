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
    from cars_hw.assembly import table_trust
    from cars_hw.results.report import write_report
    from cars_hw.runs import Run

    opened = Run.open(run)
    history, trust = opened.record().history, table_trust(opened.config)
    path = write_report(opened.config, history, to or run / "report.html", trust=trust)
    say(f"wrote {path}")
