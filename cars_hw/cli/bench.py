"""``cars-hw bench``: the latency of a network on the device, beside what the table predicts."""

from pathlib import Path
from typing import Annotated

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
from cars_hw.cli._output import print_json, print_table, say
from cars_hw.config import SearchConfig
from devices.foundation import ConfigError

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
    genotype: Annotated[
        Path | None,
        typer.Option(help="Instead: a published genotype, its edges in JSON or as logs have them."),
    ] = None,
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
    from cars_hw.cli._breakdown import print_breakdown
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
        print_breakdown(parts, rows)
