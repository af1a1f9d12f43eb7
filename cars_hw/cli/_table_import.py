"""``cars-hw table import``: make a table of networks that somebody measured."""

from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._needs import require_given
from cars_hw.cli._options import (
    ConfigOption,
    DeviceOption,
    JsonOption,
    QuietOption,
    RuntimeOption,
    SetOption,
    SpaceOption,
    TableOption,
    TargetOption,
    ThreadsOption,
    resolve_measuring,
)
from cars_hw.cli._output import print_json, show_line

EXAMPLES = (
    "cars-hw table import measured.csv --space nasbench201 --device android --model 'Pixel 3' "
    "--runtime tflite --table pixel3.jsonl",
)


def import_list(
    path: Annotated[
        Path, typer.Argument(metavar="LIST", help="CSV or JSON with architecture and latency_ms.")
    ],
    model: Annotated[str, typer.Option("--model", help="Name of the device, in your own words.")],
    space: SpaceOption = None,
    device: DeviceOption = None,
    runtime: RuntimeOption = None,
    runtime_version: Annotated[
        str, typer.Option("--runtime-version", help="Version of the runtime.")
    ] = "unknown",
    threads: ThreadsOption = None,
    table: TableOption = None,
    target: TargetOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a new table of at least 10 whole networks that somebody measured; nothing is measured here.

    An architecture is its options joined by dots, or its published form. Repeats of one are samples of it.
    """
    from cars_hw.results.networks_only import import_networks

    require_given("table import", config, overrides, space__name=space, latency__table=table)
    resolved = resolve_measuring(
        config,
        overrides,
        target,
        space,
        device=device,
        runtime=runtime,
        threads=threads,
        table=table,
    )
    found = import_networks(path, resolved, model=model, runtime_version=runtime_version)
    if json:
        print_json({"networks": found.networks, "disconnected": found.disconnected})
        return
    left_out = (
        f"; {found.disconnected} left out, whose output does not depend on the image"
        if found.disconnected
        else ""
    )
    show_line(f"{resolved.latency.table}: {found.networks} networks{left_out}")
