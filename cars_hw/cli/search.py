"""``cars-hw search``: evolve architectures on weights that keep training."""

import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from cars_hw.cli._commands import after_search, next_commands, remedies, warning_lines
from cars_hw.cli._interruption import keeps
from cars_hw.cli._needs import require_given
from cars_hw.cli._options import (
    AllowChangedOption,
    AllowInfeasibleOption,
    AllowPluginOption,
    ConfigOption,
    JsonOption,
    QuietOption,
    SetOption,
    SpaceOption,
    TableOption,
    overridden,
    target_section,
    words_of,
)
from cars_hw.cli._output import print_json, say
from cars_hw.cli._statuses import require_usable
from cars_hw.config import SearchConfig, read_values
from cars_hw.errors import CheckpointError
from devices.foundation import ConfigError

if TYPE_CHECKING:
    from cars_hw.record import Generation
    from cars_hw.runs import Run

#: In place of a number, takes a limit away.
_NO_LIMIT = "none"

EXAMPLES = (
    "cars-hw search --config search.toml --run runs/first",
    "cars-hw search --config search.toml --run runs/fast --max-latency-ms 5",
    "cars-hw search --config phones.toml --run runs/both --max-latency-ms pixel=5 --max-latency-ms old=20",
    "cars-hw search --run runs/first --resume",
    "cars-hw search --run runs/first --resume --generations 90",
    "cars-hw search --run runs/first --resume --allow-changed kernel",
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
        typer.Option(
            help="Slower architectures are infeasible; TARGET=MS where there are several targets; none takes "
            "the limit away."
        ),
    ] = None,
    generations: Annotated[int | None, typer.Option(help="Generations after warm-up.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random in the search.")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the run's newest checkpoint; more generations, other limits, tables of the same "
            "conditions and addresses of devices may be given.",
        ),
    ] = False,
    allow_infeasible: AllowInfeasibleOption = False,
    allow_changed: AllowChangedOption = None,
    allow_plugin: AllowPluginOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search a space for the front of error, parameters and latency. Each generation is saved."""
    from cars_hw.cli._searching import run_search
    from devices.foundation import owned

    words = words_of(allow_changed)
    if not resume:
        require_given("search", config, overrides, space__name=space, data__name=data)
    given = _without_limits(
        overridden(
            overrides,
            space__name=space,
            strategy__name=strategy,
            data__name=data,
            search__generations=generations,
            search__seed=seed,
        )
    )
    opened = _resumed(run, config, given, allow_plugin or []) if resume else None
    targets = (opened.config if opened else SearchConfig.load(config, given)).targets
    given |= _of_targets(targets, table, max_latency_ms or [])
    if opened is None:
        _require_startable(SearchConfig.load(config, given).allowing(words), allow_infeasible)
        allow_infeasible = True  # its limits have been looked at, and a hunt takes seconds
    with owned(run) as ownership:
        if opened is None:
            opened = _begun(run, SearchConfig.load(config, given))
        elif config is not None or given:
            values = read_values(config, given)
            opened = _amended(opened, values, allow_infeasible=allow_infeasible, allow_changed=words)
        keeps(f"{run} has every generation that is complete", adding=("--resume",))
        with remedies(opened.config.allowing(words)):
            generation = run_search(opened, allow_infeasible=allow_infeasible, allow_changed=words)
        ownership.require_in_place()
    _show(opened, generation, as_json=json)


def _require_startable(config: SearchConfig, allow_infeasible: bool) -> None:
    """Refuse a configuration before anything is made for it: what is refused leaves no folder."""
    from cars_hw.assembly import require_startable

    with remedies(config):
        require_startable(config, allow_infeasible=allow_infeasible)


def _show(run: "Run", generation: "Generation", *, as_json: bool) -> None:
    """Print the front and what it cost, warnings first; exit with 3 where no member is usable."""
    from cars_hw.cli._searching import print_front, print_spending
    from cars_hw.results.report import front_json, spent_json
    from cars_hw.results.run_warnings import warnings_of

    warnings = warnings_of(run.config, generation, run.amendments)
    if as_json:
        found = [warning.to_json() for warning in warnings]
        print_json({"warnings": found, "front": front_json(generation), "spent": spent_json(generation)})
    else:
        for line in warning_lines(warnings):
            say(line)
        print_front(generation)
        print_spending(generation)
    require_usable(run, generation, warnings)
    if not as_json:
        say(next_commands(*after_search(run, generation)))


def _begun(path: Path, config: SearchConfig) -> "Run":
    from cars_hw.runs import Run

    run = Run.create(path, config)
    if run.has_checkpoints():
        raise CheckpointError(f"{path} holds a run already; go on with --resume, or name another folder")
    return run


def _resumed(
    path: Path, config: Path | None, given: dict[str, JsonValue], allowed: list[str]
) -> "Run | None":
    """Open the run; ``None`` where a configuration is given and there is no run yet, which then begins.

    What the user names, in words or in his own configuration, is allowed.
    """
    from cars_hw.runs import Run

    if config is not None and not Run.exists(path):
        return None
    own: tuple[str, ...] = ()
    if config is not None or given:
        with suppress(ConfigError):  # what it lacks alone, the run has
            plain = {key: value for key, value in given.items() if value is not None}
            own = SearchConfig.load(config, plain).outside_names()
    return Run.open(path, allow_plugins=[*allowed, *own])


def _amended(
    run: "Run", values: dict[str, JsonValue], *, allow_infeasible: bool, allow_changed: Collection[str]
) -> "Run":
    """Go on by other values, and say which; nothing is written where they are the run's."""
    from cars_hw.assembly import amended

    with remedies(run.with_values(values)):
        found = amended(run, values, allow_infeasible=allow_infeasible, allow_changed=allow_changed)
    if found is not run:
        say(str(found.amendments[-1]))
    return found


def _of_targets(targets: Collection[str], table: Path | None, limits: list[str]) -> dict[str, JsonValue]:
    """Return ``--table`` and ``--max-latency-ms``, ``MS`` or ``TARGET=MS``, by keys of the configuration."""
    found: dict[str, JsonValue] = {}
    if table is not None:
        found[f"{target_section(targets)}.table"] = str(table)
    for text in limits:
        target, equals, number = text.rpartition("=")
        if number != _NO_LIMIT and not re.fullmatch(r"[0-9]*\.?[0-9]+(e[+-]?[0-9]+)?", number):
            raise ConfigError(f"--max-latency-ms {text!r:.64} is neither a number nor TARGET=NUMBER")
        section = target_section(targets, target if equals else None)
        found[f"{section}.max_latency_ms"] = None if number == _NO_LIMIT else float(number)
    return found


def _without_limits(given: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return dotted keys in which a limit that is ``none`` is ``None``: TOML has no word for it."""
    from cars_hw.runs import is_limit

    return {key: None if value == _NO_LIMIT and is_limit(key) else value for key, value in given.items()}
