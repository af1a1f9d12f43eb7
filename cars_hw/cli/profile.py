"""``cars-hw profile``: measure what a latency table lacks of a space."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cars_hw.cli._options import (
    ConfigOption,
    DeviceOption,
    JsonOption,
    RuntimeOption,
    SetOption,
    SpaceOption,
    TableOption,
    ThreadsOption,
    resolve_measuring,
)
from cars_hw.cli._output import print_json, say
from devices._errors import ProfilingError
from latency_tables.measurement import Failure, Measurement
from latency_tables.table import LatencyTable

if TYPE_CHECKING:
    from cars_hw.cli._measuring import Filled


def profile(
    space: SpaceOption = None,
    device: DeviceOption = None,
    runtime: RuntimeOption = None,
    threads: ThreadsOption = None,
    table: TableOption = None,
    precision: Annotated[
        float, typer.Option(help="Stop an operation at this half-width of its 95 % interval, relative.")
    ] = 0.02,
    max_drift: Annotated[
        float, typer.Option(help="On a phone, discard what ran while a fixed workload was slower by this.")
    ] = 0.05,
    benchmark_binary: Annotated[
        Path | None, typer.Option(help="The runtime's benchmark program for a phone: benchmark_model, ...")
    ] = None,
    retry_failures: Annotated[
        bool, typer.Option("--retry-failures", help="Measure again what failed before.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Measure every operation of a space that the table lacks. Safe to stop and to repeat."""
    from cars_hw.cli._measuring import fill_table
    from cars_hw.runs import make_space
    from cars_hw.workloads import table_workloads
    from profilers.plan import Quality

    settings = {} if benchmark_binary is None else {"latency__settings__benchmark_binary": benchmark_binary}
    resolved = resolve_measuring(config, overrides, space, device, runtime, threads, table, **settings)
    workloads = table_workloads(make_space(resolved))
    filled = fill_table(
        resolved.latency,
        workloads,
        what="operations",
        quality=Quality(precision, max_drift),
        retry_failures=retry_failures,
    )
    table_now = LatencyTable.open(resolved.latency.table)
    failures = [table_now.failures[work.spec] for work in workloads if work.spec in table_now.failures]
    _print(resolved.latency.table, filled, failures, n=len(workloads), json=json)
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
