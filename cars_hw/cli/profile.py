"""``cars-hw profile``: measure what a latency table lacks of a space."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cars_hw.cli._commands import quality_options, validate_command
from cars_hw.cli._needs import require_given, require_known
from cars_hw.cli._options import (
    AllowChangedOption,
    AllowPluginOption,
    BinaryOption,
    ConfigOption,
    JsonOption,
    KeepOption,
    MaxDriftOption,
    PrecisionOption,
    QuietOption,
    RuntimeOption,
    SetOption,
    SpaceOption,
    SpreadOption,
    TableOption,
    TargetOption,
    ThreadsOption,
    resolve_measuring,
)
from cars_hw.cli._output import print_json, say
from cars_hw.networks.architecture import Architecture
from latency_tables import FailureStatus, LatencyTable, Measurement
from profilers import ProfilingError

if TYPE_CHECKING:
    from cars_hw.config import SearchConfig
    from cars_hw.executors import Executor
    from cars_hw.results.forecast import MeasuringForecast
    from profilers import Filled

#: What forecasts, what measures, and what is measured, in the plural.
_Ways = tuple[Callable[..., "MeasuringForecast"], Callable[..., "Filled"], str]

EXAMPLES = (
    "cars-hw profile --space darts --device cpu --runtime onnxruntime --table cpu.jsonl",
    "cars-hw profile --config search.toml --device android --runtime tflite --table phone.jsonl",
    "cars-hw profile --config search.toml --networks-of runs/first --table cpu.jsonl",
    "cars-hw profile --config search.toml --networks-only 20 --table npu.jsonl",
    "cars-hw profile --config search.toml --device android --table phone.jsonl --executor ray://10.0.0.5:10001",
)


def profile(
    space: SpaceOption = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", help="Device, NAME[:ADDRESS]; repeated: identical devices share the work."),
    ] = None,
    runtime: RuntimeOption = None,
    threads: ThreadsOption = None,
    table: TableOption = None,
    target: TargetOption = None,
    networks_only: Annotated[
        int | None,
        typer.Option(
            "--networks-only",
            metavar="N",
            help="Measure no operation: make the table of N whole networks, chosen by design; 10 or more.",
        ),
    ] = None,
    networks_of: Annotated[
        Path | None,
        typer.Option(
            "--networks-of",
            metavar="RUN",
            help="Measure 8 networks of this run's front, too, or those of a list of architectures: they "
            "correct predictions where searches end.",
        ),
    ] = None,
    by_operations: Annotated[
        bool,
        typer.Option(
            "--by-operations",
            help="Make a new table of operations, which predicts on every machine, if less well.",
        ),
    ] = False,
    precision: PrecisionOption = 0.02,
    max_drift: MaxDriftOption = 0.05,
    spread_s: SpreadOption = 10.0,
    keep_every_s: KeepOption = 30.0,
    benchmark_binary: BinaryOption = None,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            help="Where the devices are, if not here: those of the hosts of ray or ray://HOST:PORT.",
        ),
    ] = None,
    retry_failures: Annotated[
        bool, typer.Option("--retry-failures", help="Measure again what failed before.")
    ] = False,
    allow_changed: AllowChangedOption = None,
    allow_plugin: AllowPluginOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure what a space needs and the table lacks. Safe to stop and to repeat.

    A new table holds what the runtime executes, where the runtime shows that, else the space's operations.
    """
    from cars_hw.assembly import make_space
    from cars_hw.cli._measuring import measuring_bars
    from cars_hw.latency.model import trust
    from profilers import Quality

    for one in device or ():
        require_known(one, runtime)
    require_known(None, runtime)
    require_given("profile", config, overrides, space__name=space, latency__table=table)
    resolved = resolve_measuring(
        config,
        overrides,
        target,
        space,
        device=device[0] if device else None,
        runtime=runtime,
        threads=threads,
        table=table,
        benchmark_binary=benchmark_binary,
        allow_changed=allow_changed,
    )
    quality = Quality(precision, max_drift, spread_s, keep_every_s)
    path = resolved.latency.table
    if networks_only is None:
        further = _further(resolved, networks_of, allow_plugin or ())
        forecast_of, measure, what = _of_parts(resolved, further, by_operations=by_operations)
    elif networks_of is None and not by_operations:
        forecast_of, measure, what = _of_networks(networks_only)
    else:
        raise typer.BadParameter("--networks-only makes a table of other networks, and of nothing else")
    with _hosts(executor, device or [resolved.latency.device]) as (far, places):
        measure = measure if far is None else partial(measure, executor=far)
        devices = places or device or ()
        forecast = forecast_of(resolved, devices=devices, quality=quality, retry_failures=retry_failures)
        say(f"{path}: {forecast}")
        kept = f"{path} and its parts" if len(devices) > 1 or far else path
        with measuring_bars(what, kept) as show:
            filled = measure(
                resolved,
                devices=device or (),
                quality=quality,
                retry_failures=retry_failures,
                on_progress=show,
            )
    for reason in filled.lost:
        say(f"given up: {reason}; the others took over what it had not finished")
    _print(path, filled, json=json)
    if not json:
        found = trust(LatencyTable.open(path), make_space(resolved))
        command = validate_command(resolved, options=quality_options(precision, max_drift, spread_s))
        say(f"{path}: {found}" + (f"; run `{command}`" if found.can_be_validated else ""))
        _print_caution(resolved)
    _require_measured(path, filled)


@contextmanager
def _hosts(executor: str | None, names: Sequence[str]) -> "Iterator[tuple[Executor | None, list[str]]]":
    """Yield the executor whose hosts have the devices, and these; nothing where they are this machine's."""
    if executor is None:
        yield None, []
        return
    from cars_hw import executors

    with executors.load(executor) as found:
        places = [place for name in names for place in found.places(name)]
        say(f"measuring on {', '.join(map(str, places))}")
        yield found, [place.device for place in places]


def _require_measured(table: str, filled: "Filled") -> None:
    """Raise an error where something has no latency, with what helps."""
    untimed = sum(failure.status is FailureStatus.UNTIMED for failure in filled.failures)
    if untimed:
        raise ProfilingError(
            f"{untimed} of {table} ran and were right, and have no latency, for times of this device say "
            "nothing of any hardware; measure on a real card"
        )
    if filled.failures:
        raise ProfilingError(
            f"{len(filled.failures)} could not be measured; --retry-failures tries them again"
        )


def _further(
    resolved: "SearchConfig", source: Path | None, allow_plugins: Collection[str]
) -> tuple[Architecture, ...]:
    """Return the networks that a run's front, or a list, has for the table."""
    from cars_hw.assembly import make_space
    from cars_hw.latency.measured_list import read_architectures
    from cars_hw.results.tables import front_networks
    from cars_hw.runs import Run

    if source is None:
        return ()
    if source.is_dir():
        opened = Run.open(source, allow_plugins=[*allow_plugins, *resolved.outside_names()])
        return front_networks(opened, resolved)
    return read_architectures(source, make_space(resolved))


def _of_parts(resolved: "SearchConfig", further: tuple[Architecture, ...], *, by_operations: bool) -> _Ways:
    """Return how a table of operations or units is forecast and measured, and what that is of."""
    from cars_hw.assembly import make_setup
    from cars_hw.cli._measuring import counting_lines
    from cars_hw.latency.filling import kind_of, why_by_operations
    from cars_hw.results.forecast import profile_forecast
    from cars_hw.results.tables import profile as profile_table

    path, setup = resolved.latency.table, make_setup(resolved.for_target().latency)
    kind = kind_of(Path(path), setup, by_operations=by_operations)
    reason = "" if by_operations else why_by_operations(Path(path), setup)
    if reason:
        say(f"{path}: by operations, since {reason}")
    measured = partial(
        profile_table, further=further, by_operations=by_operations, on_counted=counting_lines()
    )
    forecast = partial(profile_forecast, further=further, by_operations=by_operations)
    return forecast, measured, f"{kind} and networks"


def _of_networks(n: int) -> _Ways:
    """Return the same of a table of whole networks alone."""
    from cars_hw.results.networks_only import networks_forecast, profile_networks

    return partial(networks_forecast, n=n), partial(profile_networks, n=n), "networks"


def _print_caution(resolved: "SearchConfig") -> None:
    """Print what the runtime has to say about its latencies on such a device, if anything."""
    from cars_hw.assembly import make_setup

    setup = make_setup(resolved.for_target().latency)
    caution = setup.load_runtime().caution(setup.device.partition(":")[0])
    if caution:
        say(f"{resolved.latency.table}: {caution}")


def _print(table: str, filled: "Filled", *, json: bool) -> None:
    measured = sum(isinstance(entry, Measurement) for entry in filled.entries)
    failed = [f"{failure.spec}: {failure.status}: {failure.reason}" for failure in filled.failures]
    if json:
        found = {"measured": measured, "were_there": filled.were_there, "failed": failed}
        found |= {"taken_up": filled.taken_up, "resting_s": filled.resting_s}
        print_json({**found, "outdated": len(filled.outdated)})
        return
    say(f"{table}: {measured} measured, {filled.were_there} were there")
    if filled.taken_up:
        say(f"{filled.taken_up} of them went on where an earlier run was interrupted")
    if filled.resting_s:
        say(f"{filled.resting_s:.0f} s were lost to waiting for the device to be ready")
    if filled.outdated:
        say(
            f"{len(filled.outdated)} further entries are of a time when the device was slower; profiling or "
            "validating what they are of measures them anew"
        )
    for line in failed:
        say(f"not measured: {line}")
