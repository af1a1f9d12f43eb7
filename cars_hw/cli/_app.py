"""The verbs, put together."""

import logging
import sys
from typing import Annotated

import typer

from cars_hw.cli import (
    bench,
    compare,
    data,
    demo,
    devices,
    export,
    init,
    profile,
    report,
    retrain,
    search,
    searches,
    table,
)
from cars_hw.cli._commands import explained
from cars_hw.cli._help import HELP, epilog
from cars_hw.cli._options import QuietOption
from cars_hw.cli._output import complain, err, show_line
from devices.foundation import CarsHwError

_EXAMPLES = (
    "cars-hw demo",
    "cars-hw init search.toml",
    "cars-hw profile --config search.toml",
    "cars-hw search --config search.toml --run runs/first",
    "cars-hw export runs/first",
)

app = typer.Typer(
    name="cars-hw",
    help="Find networks that are accurate and fast on a given device, with latencies measured on it.",
    epilog=epilog(_EXAMPLES),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
for verb, examples in (
    (devices.devices, devices.EXAMPLES),
    (init.init, init.EXAMPLES),
    (profile.profile, profile.EXAMPLES),
    (search.search, search.EXAMPLES),
    (searches.searches, searches.EXAMPLES),
    (retrain.retrain, retrain.EXAMPLES),
    (export.export, export.EXAMPLES),
    (bench.bench, bench.EXAMPLES),
    (report.report, report.EXAMPLES),
    (compare.compare, compare.EXAMPLES),
    (demo.demo, demo.EXAMPLES),
):
    app.command(epilog=epilog(examples), context_settings=HELP)(verb)
app.add_typer(data.data, name="data")
app.add_typer(table.table, name="table")


def _show_version(value: bool) -> None:
    if value:
        from cars_hw import __version__

        show_line(f"cars-hw {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Take the options that belong to no verb."""
    err.quiet = quiet  # not as a call before, in the same process, had it


def run() -> None:
    """Run the command line; an error of ours is one line and exit status 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except CarsHwError as error:
        complain(f"cars-hw: {explained(error)}")
        sys.exit(1)
