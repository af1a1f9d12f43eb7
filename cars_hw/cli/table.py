"""``cars-hw table``: read latency tables, hold them against whole networks, and repair them."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cars_hw.cli._commands import remedies
from cars_hw.cli._help import HELP, epilog
from cars_hw.cli._needs import require_given, require_known
from cars_hw.cli._options import (
    AllowChangedOption,
    BinaryOption,
    ConfigOption,
    DeviceOption,
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
from cars_hw.cli._output import print_json, print_table, say, show_line
from cars_hw.cli._table_import import EXAMPLES as _OF_IMPORT
from cars_hw.cli._table_import import import_list
from latency_tables import (
    VALIDATION_NETWORKS,
    LatencyTable,
    PredictionErrorReport,
    Repair,
    ValidationReport,
    repair_table,
    unit_text,
)

if TYPE_CHECKING:
    from cars_hw.latency.breakdown import ClassShare

EXAMPLES = {
    "show": ("cars-hw table show cpu.jsonl", "cars-hw table show cpu.jsonl --by operation"),
    "validate": ("cars-hw table validate --config search.toml --table cpu.jsonl",),
    "repair": ("cars-hw table repair cpu.jsonl", "cars-hw table repair cpu.jsonl --write"),
    "import": _OF_IMPORT,
}

#: Why a table does not say where the time of its networks goes, by what it is made of.
_WHY_ENTRIES = {
    "operations": "a table of operations: its entries say what each of them takes",
    "networks": "a table of whole networks alone: of their operations it knows nothing",
}


table = typer.Typer(
    no_args_is_help=True,
    context_settings=HELP,
    help="Read latency tables, hold them against whole networks, and repair them.",
    epilog=epilog([example for examples in EXAMPLES.values() for example in examples]),
)
table.command("import", epilog=epilog(EXAMPLES["import"]))(import_list)


@table.command(epilog=epilog(EXAMPLES["show"]))
def show(
    path: Annotated[Path, typer.Argument(help="The table's file.")],
    by: Annotated[
        Literal["entry", "operation"],
        typer.Option("--by", help="What is printed: the entries, or where a network's time goes."),
    ] = "entry",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Print a table's conditions, its validation and its entries, slowest first.

    By operation, of a table of units: where the time of its whole networks goes, on average.
    """
    from cars_hw.latency.breakdown import breakdown
    from cars_hw.latency.model import trust

    opened = LatencyTable.open(path)
    header = opened.header
    is_by_class = by == "operation" and header.keyed_by == "units"
    shares = breakdown(opened) if is_by_class else []
    if by == "operation" and not is_by_class:
        say(f"{path}: {_WHY_ENTRIES[header.keyed_by]}")
    if json:
        frame = opened.to_frame()
        conditions = {
            "device": str(header.device),
            **header.device.conditions(),
            "runtime": header.runtime,
            "runtime_version": header.runtime_version,
            "threads": header.threads,
            "settings": dict(header.settings),
            "sha256": opened.digest(),
        }
        print_json(
            {
                "conditions": conditions,
                "measured_under": {name: dict(counts) for name, counts in opened.measured_under().items()},
                "validation": _report_json(opened.validation_report()),
                "entries": frame.astype(object).where(frame.notna(), None).to_dict("records"),
                **({"by_operation": [asdict(share) for share in shares]} if by == "operation" else {}),
            }
        )
        return
    settings = "".join(f", {name} {value}" for name, value in header.settings.items())
    show_line(
        f"{header.device}; {header.runtime} {header.runtime_version}, {header.threads} thread(s){settings}"
    )
    show_line(str(trust(opened)))
    if shares:
        _print_shares(shares)
    else:
        _print_entries(opened)
    for failure in opened.failures.values():
        show_line(f"failed: {failure.spec}: {failure.status}: {failure.reason}")


def _print_entries(opened: LatencyTable) -> None:
    intervals = opened.intervals()
    print_table(
        ["operation", "ms", "95 % interval", "median ms", "samples"],
        [
            [
                unit_text(entry.spec),
                _ms(entry.latency_s),
                "..".join(map(_ms, intervals[entry.spec])),
                _ms(entry.median_s),
                str(len(entry.samples_s)),
            ]
            for entry in sorted(opened.measurements.values(), key=lambda entry: -entry.latency_s)
        ],
    )


def _print_shares(shares: Sequence["ClassShare"]) -> None:
    print_table(
        ["operation", "units", "executed in a network", "ms of a network", "% of a network"],
        [
            [
                share.unit_class,
                str(share.units),
                f"{share.executed:.1f}",
                _ms(share.latency_s),
                f"{share.share * 100:.1f}",
            ]
            for share in shares
        ],
    )


@table.command(epilog=epilog(EXAMPLES["validate"]))
def validate(
    space: SpaceOption = None,
    device: DeviceOption = None,
    runtime: RuntimeOption = None,
    threads: ThreadsOption = None,
    table: TableOption = None,
    target: TargetOption = None,
    networks: Annotated[
        int, typer.Option(min=VALIDATION_NETWORKS, max=1000, help="Random whole networks to measure.")
    ] = VALIDATION_NETWORKS,
    precision: PrecisionOption = 0.02,
    max_drift: MaxDriftOption = 0.05,
    spread_s: SpreadOption = 10.0,
    keep_every_s: KeepOption = 30.0,
    benchmark_binary: BinaryOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure the networks anew, not only those that are missing.")
    ] = False,
    allow_changed: AllowChangedOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure random whole networks on the device, and store how well the table predicts them.

    Safe to stop and to repeat. The figures stay in the table, and every verb that uses it shows them.
    """
    from cars_hw.cli._measuring import measuring_bars
    from cars_hw.results.forecast import validation_forecast
    from cars_hw.results.tables import validate as validate_table
    from profilers import Quality

    require_known(device, runtime)
    require_given("table validate", config, overrides, space__name=space, latency__table=table)
    resolved = resolve_measuring(
        config,
        overrides,
        target,
        space,
        device=device,
        runtime=runtime,
        threads=threads,
        table=table,
        benchmark_binary=benchmark_binary,
        allow_changed=allow_changed,
    )
    quality, path = Quality(precision, max_drift, spread_s, keep_every_s), resolved.latency.table
    say(f"{path}: {validation_forecast(resolved, networks=networks, quality=quality, again=again)}")
    with remedies(resolved), measuring_bars("networks", path) as show:
        report = validate_table(resolved, networks=networks, quality=quality, again=again, on_progress=show)
    if json:
        print_json(_report_json(report))
        return
    show_line(f"{path}: {report}")
    if report is not None and report.session is not None:
        from cars_hw.latency.anchors import speed_text

        then = speed_text(report.session, path, verb="were")
        show_line(
            f"when it was validated, {then}: what was measured is divided by {report.session.ratio:.3f}"
        )


@table.command(epilog=epilog(EXAMPLES["repair"]))
def repair(
    path: Annotated[Path, typer.Argument(help="The table's file.")],
    write: Annotated[
        bool, typer.Option("--write", help="Replace the file; the old one stays beside it, as FILE.damaged.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what can be kept of a damaged table, and with --write keep that.

    Every record whose length and checksum hold is kept. Lines that an editor changed are mended.
    """
    found = repair_table(path, write=write)
    if json:
        print_json(_repair_json(found))
        return
    for lost in found.lost:
        show_line(str(lost))
    for change, lines in found.mended.items():
        show_line(f"{lines} lines are mended: {change}")
    show_line(f"{found.path}: {_outcome(found)}")


def _outcome(found: Repair) -> str:
    if not found.is_needed:
        return f"all of its {found.kept} records hold; there is nothing to repair"
    if found.old is not None:
        return f"{found.kept} records are kept; the old file is {found.old}"
    return f"{found.kept} records can be kept; nothing was changed: run `{found.command}`"


def _repair_json(found: Repair) -> dict[str, object]:
    return {
        "path": str(found.path),
        "kept": found.kept,
        "lost": [asdict(lost) for lost in found.lost],
        "mended": dict(found.mended),
        "is_needed": found.is_needed,
        "old": None if found.old is None else str(found.old),
    }


def _report_json(report: ValidationReport | None) -> dict[str, object] | None:
    """Return a report's figures by name; ``None`` for an order that does not exist."""
    if report is None:
        return None
    return {
        "prediction_error": _figures(report.prediction_error),
        "noise_floor": _figures(report.floor),
        "covered_percent": report.covered_percent,
        "beats_constant": report.beats_constant,
        "session": None
        if report.session is None
        else {**asdict(report.session), "is_another": report.session.is_another},
    }


def _figures(report: PredictionErrorReport) -> dict[str, object]:
    return {name: None if math.isnan(value) else value for name, value in asdict(report).items()}


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4f}"
