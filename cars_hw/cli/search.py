"""``cars-hw search``: evolve architectures on weights that keep training."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from cars_hw.cli._commands import next_commands, remedies
from cars_hw.cli._options import (
    AllowPluginOption,
    ConfigOption,
    JsonOption,
    QuietOption,
    SetOption,
    SpaceOption,
    TableOption,
    overridden,
)
from cars_hw.cli._output import print_json, say
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError
from devices.foundation import ConfigError

if TYPE_CHECKING:
    from cars_hw.runs import Run

EXAMPLES = (
    "cars-hw search --config search.toml --run runs/first",
    "cars-hw search --config search.toml --run runs/fast --max-latency-ms 5",
    "cars-hw search --config phones.toml --run runs/both --max-latency-ms pixel=5 --max-latency-ms old=20",
    "cars-hw search --run runs/first --resume",
)


def search(
    run: Annotated[
        Path, typer.Option("--run", help="Folder of the run: configuration, checkpoints, results.")
    ],
    space: SpaceOption = None,
    strategy: Annotated[str | None, typer.Option(help="Search algorithm.")] = None,
    data: Annotated[str | None, typer.Option(help="Data set.")] = None,
    table: TableOption = None,
    max_latency_ms: Annotated[
        list[str] | None,
        typer.Option(help="Slower architectures are infeasible; TARGET=MS where there are several targets."),
    ] = None,
    generations: Annotated[int | None, typer.Option(help="Generations after warm-up.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random in the search.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's newest checkpoint.")] = False,
    allow_plugin: AllowPluginOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search a space for the front of error, parameters and latency. Each generation is saved."""
    from cars_hw.cli._searching import print_front, print_spending, run_search
    from cars_hw.results.report import front_json, spent_json

    values = {
        **overridden(
            overrides,
            space__name=space,
            strategy__name=strategy,
            data__name=data,
            latency__table=table,
            search__generations=generations,
            search__seed=seed,
        ),
        **_limits(max_latency_ms or []),
    }
    allowed = [*(allow_plugin or []), *(name for name in (space, strategy, data) if name)]
    opened = (
        _resumed(run, config, values, allowed) if resume else _begun(run, SearchConfig.load(config, values))
    )
    with remedies(opened.config):
        generation = run_search(opened)
    if json:
        print_json({"front": front_json(generation), "spent": spent_json(generation)})
        return
    print_front(generation)
    print_spending(generation)
    say(next_commands(("export", str(run), "--pick", "knee"), ("report", str(run))))


def _begun(path: Path, config: SearchConfig) -> "Run":
    from cars_hw.runs import Run

    run = Run.create(path, config)
    if run.has_checkpoints():
        raise CheckpointError(f"{path} holds a run already; go on with --resume, or name another folder")
    return run


def _resumed(path: Path, config: Path | None, values: dict[str, JsonValue], allowed: list[str]) -> "Run":
    """Open the run; values that are given again have to equal those that it began with. A new run begins."""
    from cars_hw.resolution import resolved
    from cars_hw.runs import Run

    if config is not None and not Run.exists(path):
        return _begun(path, SearchConfig.load(config, values))
    run = Run.open(path, allow_plugins=allowed)
    if config is not None or values:
        run.require(resolved(SearchConfig.load(config, values, onto=run.config.to_values())))
    return run


def _limits(texts: list[str]) -> dict[str, JsonValue]:
    """Read ``MS`` or ``TARGET=MS``, and return the values by keys of the configuration."""
    found: dict[str, JsonValue] = {}
    for text in texts:
        target, equals, number = text.rpartition("=")
        if not re.fullmatch(r"[0-9]*\.?[0-9]+(e[+-]?[0-9]+)?", number):
            raise ConfigError(f"--max-latency-ms {text!r:.64} is neither a number nor TARGET=NUMBER")
        section = f"targets.{target}" if equals else "latency"
        found[f"{section}.max_latency_ms"] = float(number)
    return found
