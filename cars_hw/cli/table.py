"""``cars-hw table``: read latency tables."""

from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._options import JsonOption
from cars_hw.cli._output import print_json, print_table, show_line
from latency_tables.table import LatencyTable

table = typer.Typer(no_args_is_help=True, help="Read latency tables.")


@table.command()
def show(path: Annotated[Path, typer.Argument(help="The table's file.")], json: JsonOption = False) -> None:
    """Print a table's conditions and entries, slowest first."""
    opened = LatencyTable.open(path)
    header = opened.header
    if json:
        frame = opened.to_frame()
        conditions = {
            "device": str(header.device),
            "runtime": header.runtime,
            "runtime_version": header.runtime_version,
            "threads": header.threads,
            "settings": dict(header.settings),
            "sha256": opened.digest(),
        }
        print_json(
            {
                "conditions": conditions,
                "entries": frame.astype(object).where(frame.notna(), None).to_dict("records"),
            }
        )
        return
    settings = "".join(f", {name} {value}" for name, value in header.settings.items())
    show_line(
        f"{header.device}; {header.runtime} {header.runtime_version}, {header.threads} thread(s){settings}"
    )
    print_table(
        ["operation", "ms", "95 % interval", "median ms", "samples"],
        [
            [
                str(entry.spec),
                _ms(entry.latency_s),
                "..".join(map(_ms, entry.interval_s)),
                _ms(entry.median_s),
                str(len(entry.samples_s)),
            ]
            for entry in sorted(opened.measurements.values(), key=lambda entry: -entry.latency_s)
        ],
    )
    for failure in opened.failures.values():
        show_line(f"failed: {failure.spec}: {failure.status}: {failure.reason}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4f}"
