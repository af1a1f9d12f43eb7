"""``cars-hw profile``: measure what a latency table lacks of a space."""

from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._options import (
    ConfigOption,
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
from latency_tables.measurement import Measurement
from latency_tables.table import LatencyTable


def profile(
    space: SpaceOption = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", help="Device, NAME[:ADDRESS]; repeated: identical devices share the work."),
    ] = None,
    runtime: RuntimeOption = None,
    threads: ThreadsOption = None,
    table: TableOption = None,
    precision: Annotated[
        float, typer.Option(help="Stop an operation at this half-width of its 95 % interval, relative.")
    ] = 0.02,
    retry_failures: Annotated[
        bool, typer.Option("--retry-failures", help="Measure again what failed before.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Measure every operation of a space that the table lacks. Safe to stop and to repeat."""
    from cars_hw.cli._measuring import fill_by_fleet, fill_table
    from cars_hw.latency_model import trust
    from cars_hw.runs import make_space
    from cars_hw.workloads import table_workloads
    from profilers.fleet import parts_of
    from profilers.plan import MeasurementPlan

    first = device[0] if device else None
    resolved = resolve_measuring(config, overrides, space, first, runtime, threads, table)
    searched = make_space(resolved)
    workloads = table_workloads(searched)
    plan = MeasurementPlan(precision=precision)
    latency = resolved.latency
    addresses = device or [latency.device]
    if len(addresses) > 1 or parts_of(Path(latency.table)):
        entries = fill_by_fleet(latency, addresses, workloads, plan, retry_failures=retry_failures)
    else:
        entries = fill_table(latency, workloads, plan, what="operations", retry_failures=retry_failures)
    table_now = LatencyTable.open(resolved.latency.table)
    failures = [table_now.failures[work.spec] for work in workloads if work.spec in table_now.failures]
    measured, were_there = sum(isinstance(e, Measurement) for e in entries), len(workloads) - len(entries)
    failed = [f"{failure.spec}: {failure.status}: {failure.reason}" for failure in failures]
    if json:
        print_json({"measured": measured, "were_there": were_there, "failed": failed})
    else:
        say(f"{resolved.latency.table}: {measured} measured, {were_there} were there")
        for line in failed:
            say(f"not measured: {line}")
        say(f"{resolved.latency.table}: {trust(table_now, searched, remedy=resolved.validate_command())}")
    if failures:
        raise ProfilingError(f"{len(failures)} could not be measured; --retry-failures tries them again")
