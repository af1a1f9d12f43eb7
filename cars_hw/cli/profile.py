"""``cars-hw profile``: measure what a latency table lacks of a space."""

from typing import Annotated

import typer

from cars_hw.cli._options import (
    ConfigOption,
    DeviceOption,
    RuntimeOption,
    SetOption,
    SpaceOption,
    TableOption,
    ThreadsOption,
    resolve,
)
from cars_hw.cli._output import say
from latency_tables.measurement import Failure


def profile(
    space: SpaceOption = None,
    device: DeviceOption = None,
    runtime: RuntimeOption = None,
    threads: ThreadsOption = None,
    table: TableOption = None,
    precision: Annotated[
        float, typer.Option(help="Stop an operation at this half-width of its 95 % interval, relative.")
    ] = 0.02,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Measure every operation of a space that the table lacks. Safe to stop and to repeat."""
    from cars_hw.cli._measuring import fill_table
    from cars_hw.runs import make_space
    from cars_hw.workloads import table_workloads
    from profilers.plan import MeasurementPlan

    resolved = resolve(
        config,
        overrides,
        space__name=space,
        latency__device=device,
        latency__runtime=runtime,
        latency__threads=threads,
        latency__table=table,
    )
    workloads = table_workloads(make_space(resolved))
    entries = fill_table(resolved.latency, workloads, MeasurementPlan(precision=precision), what="operations")
    failures = [entry for entry in entries if isinstance(entry, Failure)]
    for failure in failures:
        say(f"not measured: {failure.spec}: {failure.status}: {failure.reason}")
    say(
        f"{resolved.latency.table}: {len(entries) - len(failures)} measured, {len(failures)} failed, "
        f"{len(workloads) - len(entries)} were there"
    )
