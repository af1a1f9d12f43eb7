"""``cars-hw profile``: measure what a latency table lacks of a space."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cars_hw.cli._options import (
    BinaryOption,
    ConfigOption,
    JsonOption,
    MaxDriftOption,
    PrecisionOption,
    RuntimeOption,
    SetOption,
    SpaceOption,
    TableOption,
    ThreadsOption,
    resolve_measuring,
)
from cars_hw.cli._output import print_json, say
from latency_tables import Failure, LatencyTable, Measurement
from profilers import ProfilingError

if TYPE_CHECKING:
    from profilers import Filled


def profile(
    space: SpaceOption = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", help="Device, NAME[:ADDRESS]; repeated: identical devices share the work."),
    ] = None,
    runtime: RuntimeOption = None,
    threads: ThreadsOption = None,
    table: TableOption = None,
    precision: PrecisionOption = 0.02,
    max_drift: MaxDriftOption = 0.05,
    benchmark_binary: BinaryOption = None,
    retry_failures: Annotated[
        bool, typer.Option("--retry-failures", help="Measure again what failed before.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Measure every operation of a space that the table lacks. Safe to stop and to repeat."""
    from cars_hw.assembly import make_setup, make_space
    from cars_hw.cli._measuring import measuring_bars
    from cars_hw.latency.contents import TableContents
    from cars_hw.latency.model import trust
    from profilers import Quality, fill_table

    first = device[0] if device else None
    resolved = resolve_measuring(config, overrides, space, first, runtime, threads, table, benchmark_binary)
    searched, latency = make_space(resolved), resolved.latency
    workloads, quality = TableContents(searched).workloads(), Quality(precision, max_drift)
    with measuring_bars("operations") as show:
        filled = fill_table(
            Path(latency.table),
            workloads,
            make_setup(latency),
            addresses=device or (),
            quality=quality,
            retry_failures=retry_failures,
            on_round=show,
        )
    for reason in filled.lost:
        say(f"given up: {reason}; the others took over what it had not finished")
    table_now = LatencyTable.open(latency.table)
    failures = [table_now.failures[work.spec] for work in workloads if work.spec in table_now.failures]
    _print(latency.table, filled, failures, n=len(workloads), json=json)
    if not json:
        say(f"{latency.table}: {trust(table_now, searched, remedy=resolved.validate_command())}")
    if failures:
        raise ProfilingError(f"{len(failures)} could not be measured; --retry-failures tries them again")


def _print(table: str, filled: "Filled", failures: Sequence[Failure], *, n: int, json: bool) -> None:
    measured = sum(isinstance(entry, Measurement) for entry in filled.entries)
    were_there = n - len(filled.entries)
    failed = [f"{failure.spec}: {failure.status}: {failure.reason}" for failure in failures]
    if json:
        found = {"measured": measured, "were_there": were_there, "failed": failed}
        print_json({**found, "resting_s": filled.resting_s})
        return
    say(f"{table}: {measured} measured, {were_there} were there")
    if filled.resting_s:
        say(f"{filled.resting_s:.0f} s were lost to waiting for the device to be ready")
    for line in failed:
        say(f"not measured: {line}")
