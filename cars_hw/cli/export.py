"""``cars-hw export``: write members of a run's front as verified files, ONNX or TFLite."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cars_hw.cli._commands import after_export, argument, next_commands, trust_lines, warning_lines
from cars_hw.cli._options import AllowInfeasibleOption, AllowPluginOption, JsonOption, QuietOption
from cars_hw.cli._output import print_json, print_table, say

EXAMPLES = (
    "cars-hw export runs/first --pick knee --pick fastest",
    "cars-hw export runs/first --pick all --format tflite --to models",
    "cars-hw export runs/first --pick knee --int8",
)


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    pick: Annotated[
        list[str] | None,
        typer.Option(
            help="knee, fastest, most-accurate, smallest, ..., spread:N, all, or a number; repeatable."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of the files; RUN/export if left out.")
    ] = None,
    scale: Annotated[
        Literal["deploy", "search"],
        typer.Option(help="deploy: the network that the run deploys; search: the small one that it trained."),
    ] = "deploy",
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="onnx if left out, tflite with --int8; or a module: my_lab.openvino."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write a second file, with 8-bit integers inside.")
    ] = False,
    max_error_growth_points: Annotated[
        float,
        typer.Option(
            "--max-error-growth",
            min=0,
            max=100,
            help="With --int8: percentage points that the error may grow by.",
        ),
    ] = 1.0,
    allow_infeasible: AllowInfeasibleOption = False,
    allow_plugin: AllowPluginOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write members of the front to ONNX or TFLite, verified against torch, each with a model card."""
    from cars_hw.cli._measuring import exporting_bar
    from cars_hw.results.measured import as_measured
    from cars_hw.results.members import export as export_members
    from cars_hw.results.run_warnings import warnings_of_run
    from cars_hw.runs import Run
    from profilers import formats

    file_format = file_format or (formats.names_with_int8()[0] if int8 else formats.DEFAULT)
    if int8 and not formats.load(file_format).has_int8:
        raise typer.BadParameter(f"--int8 writes no {file_format} files; leave --format out")
    opened = Run.open(run, allow_plugins=allow_plugin or ())
    warnings = warnings_of_run(opened, opened.record())
    for line in warning_lines(warnings):
        say(line)
    with exporting_bar() as show:
        exports = export_members(
            opened,
            pick or ["knee"],
            to=to,
            file_format=file_format,
            scale=scale,
            max_error_growth_share=max_error_growth_points / 100 if int8 else None,
            allow_infeasible=allow_infeasible,
            on_progress=show,
        )
    if json:
        told = [found.to_json() for found in warnings]
        print_json({name: {"warnings": told, **done.to_json()} for name, done in exports.items()})
        return
    measured = as_measured(opened, opened.record())
    print_table(
        ["pick", "file", "bytes", "error", "largest difference to torch", *measured.latency_columns()],
        [
            [
                name,
                str(done.path),
                str(done.size_bytes),
                f"{done.error:.4f}",
                f"{done.max_difference:.1e}",
                *measured.latency_cells(done.measured),
            ]
            for name, done in exports.items()
        ],
    )
    for line in measured.speed_lines():
        say(line)
    for line in trust_lines(opened.config):
        say(line)
    again = ["export", argument(run), *(f"--pick={one}" for one in pick or ["knee"]), f"--scale={scale}"]
    again += [] if to is None else [f"--to={to}"]
    again += ["--allow-infeasible"] if allow_infeasible else []
    again += [f"--allow-plugin={name}" for name in allow_plugin or ()]
    say(next_commands(*after_export(opened, exports, again=tuple(again))))
