"""The command line: one verb a file; the only place that prints.

A verb imports what it needs when it runs: torch takes seconds, and ``--help`` should not.
"""

import logging
import os
import sys

import typer

from cars_hw.cli._output import say
from cars_hw.cli.bench import bench
from cars_hw.cli.demo import demo
from cars_hw.cli.devices import devices
from cars_hw.cli.export import export
from cars_hw.cli.profile import profile
from cars_hw.cli.report import report
from cars_hw.cli.search import search
from cars_hw.cli.table import table
from devices.foundation import CarsHwError

app = typer.Typer(
    name="cars-hw",
    help="Find networks that are accurate and fast on a given device, with latencies measured on it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for verb in (devices, profile, search, export, bench, report, demo):
    app.command()(verb)
app.add_typer(table, name="table")


def main() -> None:
    """Run the command line; an error of ours is one line and exit status 1."""
    # Torch's threads wait for each other in a busy loop unless told otherwise before torch is loaded; where
    # another process wants a core too, a training step then takes many times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except CarsHwError as error:
        say(f"cars-hw: {error}")
        sys.exit(1)
