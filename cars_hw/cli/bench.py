"""``cars-hw bench``: the latency of a network on the device, beside what the table predicts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from cars_hw.cli._commands import bench_lines, remedies
from cars_hw.cli._needs import require_given
from cars_hw.cli._options import (
    AllowChangedOption,
    AllowPluginOption,
    BinaryOption,
    ConfigOption,
    DeviceOption,
    GenotypeOption,
    JsonOption,
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
from cars_hw.config import SearchConfig
from devices.foundation import ConfigError

if TYPE_CHECKING:
    from cars_hw.latency.network_breakdown import NetworkBreakdown, Part

EXAMPLES = (
    "cars-hw bench runs/first/export/knee.onnx",
    "cars-hw bench knee.tflite --device android --table phone.jsonl",
    "cars-hw bench knee.onnx --breakdown",
    "cars-hw bench --genotype published.json --space darts --table cpu.jsonl",
)


def bench(
    model: Annotated[Path | None, typer.Argument(help="A model file: ONNX, TFLite.")] = None,
    architecture: Annotated[
        str | None, typer.Option(help="Instead of a file: an architecture of the space, untrained, 0.3.6...")
    ] = None,
    genotype: GenotypeOption = None,
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="Of the model file, where its suffix does not tell: my_lab.openvino."),
    ] = None,
    space: SpaceOption = None,
    device: DeviceOption = None,
    runtime: RuntimeOption = None,
    threads: ThreadsOption = None,
    table: TableOption = None,
    target: TargetOption = None,
    spread_s: SpreadOption = 10.0,
    benchmark_binary: BinaryOption = None,
    breakdown: Annotated[
        bool,
        typer.Option("--breakdown", help="Say where its time goes, predicted beside the runtime's profiler."),
    ] = False,
    rows: Annotated[
        int,
        typer.Option("--rows", min=0, max=10_000, help="Units that --breakdown prints; others are summed."),
    ] = 15,
    allow_plugin: AllowPluginOption = None,
    allow_changed: AllowChangedOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure a whole network on the device, and print the table's prediction beside it.

    An architecture or genotype is measured at its deployed size, untrained: weights do not matter here.
    """
    from cars_hw.assembly import make_space
    from cars_hw.cli._measuring import measuring_bars
    from cars_hw.networks.architecture import from_text
    from cars_hw.results.bench import bench as bench_files
    from cars_hw.results.bench import bench_architecture, break_down, read_genotype
    from profilers import Quality, formats

    if sum(choice is not None for choice in (model, architecture, genotype)) != 1:
        raise ConfigError("bench needs one of: a model file, --architecture, --genotype")
    if model is None:
        require_given("bench of an architecture", config, overrides, space__name=space)
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
    quality, made_by = Quality(spread_s=spread_s), None
    has_table = "table" in resolved.latency.model_fields_set
    if model is not None:
        made_by = formats.load(file_format) if file_format else formats.of_file(model)
        wanted = resolved.latency.runtime
        if runtime is None and wanted != made_by.runtime and wanted in formats.runtimes():
            # The configuration, or its default, means the runtime of another format, and a table by that one.
            own = SearchConfig.load(config).for_target(target).latency.settings if config else {}
            given: dict[str, JsonValue] = {
                key: value for key, value in resolved.latency.settings.items() if key not in own
            }
            resolved = resolved.with_latency(runtime=made_by.runtime, settings=given)
            has_table = table is not None
    with remedies(resolved), measuring_bars("networks") as show:
        if model is not None:
            allowed = [*(allow_plugin or []), *resolved.outside_names()]
            [result] = bench_files(
                [model],
                resolved,
                has_table=has_table,
                made_by=made_by,
                allow_plugins=allowed,
                quality=quality,
                on_progress=show,
            )
        else:
            searched = make_space(resolved)
            chosen = (
                read_genotype(searched, genotype)
                if genotype
                else from_text(str(architecture), searched.choices)
            )
            result = bench_architecture(searched, chosen, resolved, quality=quality, on_progress=show)
    parts = break_down(result) if breakdown else None
    if json:
        print_json({**result.to_json(), **({"breakdown": parts.to_json()} if parts else {})})
        return
    print_table(
        ["network", "measured ms (95 %)", "predicted ms (95 %)", "difference"],
        [[result.name, result.measured_text, result.predicted_text, result.difference_text]],
    )
    for line in bench_lines(result):
        say(line)
    if parts:
        _print_breakdown(parts, rows)


def _print_breakdown(found: "NetworkBreakdown", rows: int) -> None:
    """Print the classes of units, the ``rows`` dearest units with what the others are together, and notes."""
    if found.parts:
        _print_parts(found, "class", found.by_class, has_sums=True)
        if rows:
            _print_parts(found, "unit", found.dearest(rows), has_sums=False)
    for note in found.notes:
        show_line(note)


def _print_parts(found: "NetworkBreakdown", title: str, parts: "Sequence[Part]", *, has_sums: bool) -> None:
    rows = [_row(found, part) for part in parts]
    if has_sums:
        rows += [
            ["sum", "", "", _ms(found.predicted_s), "", _ms(found.profiled_s), ""],
            ["measured", "", "", _ms(found.at_table_speed_s), "", _ms(found.measured_s), ""],
        ]
    columns = [title, "units", "executed", "predicted ms", "%", "profiled ms", "% "]
    kept = [0, *([1] if has_sums else []), 2, *_columns(found)]
    print_table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _columns(found: "NetworkBreakdown") -> Iterator[int]:
    if found.predicted_s is not None:
        yield from (3, 4)
    if found.profiled_s is not None:
        yield from (5, 6)


def _row(found: "NetworkBreakdown", part: "Part") -> list[str]:
    return [
        f"{part.name} *" if part.unmeasured else part.name,
        str(part.units or ""),
        _executed(part),
        _ms(part.predicted_s),
        _percent(found.predicted_share(part)),
        _ms(part.profiled_s),
        _percent(found.profiled_share(part)),
    ]


def _executed(part: "Part") -> str:
    """Return how often it is executed: as predicted and as profiled, where these differ."""
    counts = dict.fromkeys(count for count in (part.predicted_count, part.profiled_count) if count)
    return ", ".join(map(str, counts))


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.4f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f}"
