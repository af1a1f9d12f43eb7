"""``cars-hw export``: write members of a run's front, or a published network, as verified files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cars_hw.cli._commands import after_export, argument, next_commands, trust_lines, warning_lines
from cars_hw.cli._needs import require_given
from cars_hw.cli._options import (
    AllowInfeasibleOption,
    AllowPluginOption,
    ArchitectureOption,
    ConfigOption,
    GenotypeOption,
    JsonOption,
    PickOption,
    QuietOption,
    SetOption,
    named_network,
    overridden,
)
from cars_hw.cli._output import print_json, print_table, say
from cars_hw.config import SearchConfig
from devices.foundation import ConfigError

if TYPE_CHECKING:
    from cars_hw.results.exporting.files import Export
    from cars_hw.results.exporting.options import FileOptions
    from cars_hw.results.exporting.weights import WeightsWanted
    from cars_hw.results.measured import MeasuredGeneration

EXAMPLES = (
    "cars-hw export runs/first --pick knee --pick fastest",
    "cars-hw export runs/first --pick knee --with-preprocessing --softmax",
    "cars-hw export runs/first --pick all --format tflite --to models",
    "cars-hw export runs/first --pick knee --int8",
    "cars-hw export --genotype published.json --config search.toml",
)

_OF_A_RUN = "--pick, --scale, --weights and --allow-infeasible are of a run; name its folder"


def export(
    run: Annotated[Path | None, typer.Argument(help="Folder of a run.")] = None,
    pick: PickOption = None,
    architecture: ArchitectureOption = None,
    genotype: GenotypeOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of the files; RUN/export, or ./export, if left out.")
    ] = None,
    scale: Annotated[
        Literal["deploy", "search"],
        typer.Option(help="deploy: the network that the run deploys; search: the small one that it trained."),
    ] = "deploy",
    weights: Annotated[
        Literal["any", "retrained", "search"],
        typer.Option(help="any: what was retrained of the architecture where there is some, else search's."),
    ] = "any",
    retrained: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a retraining, or of several; RUN/retrained, or ./retrained, if left out."
        ),
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="onnx if left out, tflite with --int8; or a module: my_lab.openvino."),
    ] = None,
    with_preprocessing: Annotated[
        bool,
        typer.Option("--with-preprocessing", help="Let the files take pixels, 0..255, and normalise them."),
    ] = False,
    softmax: Annotated[
        bool, typer.Option("--softmax", help="Let the files give probabilities instead of logits.")
    ] = False,
    batch: Annotated[str, typer.Option(help="Images that a file takes at once: a number, or dynamic.")] = "1",
    fp16: Annotated[
        bool, typer.Option("--fp16", help="Write a second file, with weights of half precision.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write a further file, with 8-bit integers inside.")
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
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write networks to ONNX or TFLite, verified against torch, each with a model card and an example.

    Members of a run have what was retrained of them, where there is some, else the weights of the search. A
    published network, or an architecture, needs no run, but a configuration.
    """
    from cars_hw.cli._measuring import exporting_bar
    from cars_hw.results.exporting.options import FileOptions
    from cars_hw.results.exporting.weights import WeightsWanted
    from cars_hw.results.members import export_without_search
    from cars_hw.retraining.records import RETRAINED
    from profilers import formats

    if sum(choice is not None for choice in (run, architecture, genotype)) != 1:
        raise ConfigError("export needs one of: the folder of a run, --architecture, --genotype")
    file_format = file_format or (formats.names_with_int8()[0] if int8 else formats.DEFAULT)
    if int8 and not formats.load(file_format).has_int8:
        raise typer.BadParameter(f"--int8 writes no {file_format} files; leave --format out")
    options = FileOptions(
        file_format,
        with_preprocessing=with_preprocessing,
        with_softmax=softmax,
        batch=_images_at_once(batch),
        with_fp16=fp16,
        max_error_growth_share=max_error_growth_points / 100 if int8 else None,
    )
    if run is not None:
        if config is not None or overrides:
            raise ConfigError("the configuration of a run stays as it is; leave --config and --set out")
        _of_run(
            run,
            pick or ["knee"],
            options,
            to=to,
            wanted=WeightsWanted(scale, weights, retrained),
            allow_infeasible=allow_infeasible,
            allow_plugin=allow_plugin or [],
            as_json=json,
        )
        return
    if pick or allow_infeasible or (scale, weights) != ("deploy", "any"):
        raise ConfigError(_OF_A_RUN)
    require_given("export without a run", config, overrides, space__name=None)
    resolved = SearchConfig.load(config, overridden(overrides))
    name, member = named_network(resolved, architecture, genotype)
    with exporting_bar() as show:
        exports = export_without_search(
            resolved,
            {name: member},
            to=Path("export") if to is None else to,
            retrained=Path(RETRAINED) if retrained is None else retrained,
            options=options,
            on_progress=show,
        )
    if json:
        print_json({name: done.to_json() for name, done in exports.items()})
        return
    _print_files(exports)
    say(next_commands(*(("bench", argument(done.path), *_format(done)) for done in exports.values())))


def _of_run(
    path: Path,
    picks: Sequence[str],
    options: "FileOptions",
    *,
    to: Path | None,
    wanted: "WeightsWanted",
    allow_infeasible: bool,
    allow_plugin: Sequence[str],
    as_json: bool,
) -> None:
    """Export members of a run, and print what was written.

    Args:
        path: Its folder.
        picks: Which members.
        options: What the files hold.
        to: Where they go.
        wanted: Which weights they have.
        allow_infeasible: Whether members that violate a limit are written.
        allow_plugin: Modules that the run may name.
        as_json: Whether JSON is printed.
    """
    from cars_hw.cli._measuring import exporting_bar
    from cars_hw.results.measured import as_measured
    from cars_hw.results.members import export as export_members
    from cars_hw.results.run_warnings import warnings_of_run
    from cars_hw.runs import Run

    opened = Run.open(path, allow_plugins=allow_plugin)
    warnings = warnings_of_run(opened, opened.record())
    for line in warning_lines(warnings):
        say(line)
    with exporting_bar() as show:
        exports = export_members(
            opened,
            picks,
            to=to,
            scale=wanted.scale,
            weights=wanted.kind,
            retrained=wanted.folder,
            options=options,
            allow_infeasible=allow_infeasible,
            on_progress=show,
        )
    if as_json:
        told = [found.to_json() for found in warnings]
        print_json({name: {"warnings": told, **done.to_json()} for name, done in exports.items()})
        return
    measured = as_measured(opened, opened.record())
    _print_files(exports, measured)
    for line in (*measured.speed_lines(), *trust_lines(opened.config)):
        say(line)
    again = ["export", argument(path), *(f"--pick={one}" for one in picks), *_again(options, wanted)]
    again += [] if to is None else [f"--to={to}"]
    again += ["--allow-infeasible"] if allow_infeasible else []
    again += [f"--allow-plugin={name}" for name in allow_plugin]
    say(next_commands(*after_export(opened, exports, again=tuple(again))))


def _again(options: "FileOptions", wanted: "WeightsWanted") -> list[str]:
    """Return the words that ask for the same of files of another format."""
    words = [f"--scale={wanted.scale}"]
    words += [] if wanted.kind == "any" else [f"--weights={wanted.kind}"]
    words += [] if wanted.folder is None else [f"--retrained={wanted.folder}"]
    words += ["--with-preprocessing"] if options.with_preprocessing else []
    words += ["--softmax"] if options.with_softmax else []
    return words if options.batch == 1 else [*words, f"--batch={options.batch}"]


def _print_files(exports: "Mapping[str, Export]", measured: "MeasuredGeneration | None" = None) -> None:
    """Print what was written, and which weights it has."""
    columns = [] if measured is None else measured.latency_columns()
    print_table(
        ["pick", "file", "bytes", "weights", "error", "to torch", *columns],
        [
            [
                name,
                str(done.path),
                str(done.size_bytes),
                done.weights,
                "none" if done.error is None else f"{done.error:.4f}",
                f"{done.max_difference:.1e}",
                *([] if measured is None else measured.latency_cells(done.measured)),
            ]
            for name, done in exports.items()
        ],
    )
    for name, done in exports.items():
        if done.error is not None and done.error_before is not None:
            say(f"{name}: error {done.error:.4f}, in float {done.error_before:.4f}")
    for line in dict.fromkeys(_weights_line(done) for done in exports.values()):
        say(line)


def _weights_line(done: "Export") -> str:
    """Return which weights a file has, and what its error is of, in a line."""
    if done.weights == "untrained":
        return "untrained: weights drawn from the seed, for measuring alone; such a file has no error"
    meant = {
        "retrained": "retrained: trained alone at the deployed size",
        "search": "search: shared weights, not retrained",
    }
    return f"{meant.get(done.weights, done.weights)}; error on {done.images} {done.judged_on}"


def _format(done: "Export") -> tuple[str, ...]:
    """Return the option that names the format of a file whose suffix does not tell."""
    return (f"--format={done.file_format}",) if "." in done.file_format else ()


def _images_at_once(text: str) -> "int | Literal['dynamic']":
    """Read ``--batch``.

    Raises:
        ConfigError: It is neither a number nor the word.
    """
    if text == "dynamic":
        return "dynamic"
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"--batch {text[:32]!r} is no number of images; give one, or dynamic")
    return int(text.lstrip("0")[:9] or "0")  # nine digits are beyond any batch already
