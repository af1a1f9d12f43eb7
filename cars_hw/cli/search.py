"""``cars-hw search``: evolve architectures on weights that keep training."""

import re
import shlex
from collections.abc import Callable, Collection
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
    ExecutorOption,
    JsonOption,
    QuietOption,
    SetOption,
    SpaceOption,
    TableOption,
    WorkersOption,
    overridden,
    target_section,
    words_of,
)
from cars_hw.cli._output import complain, print_json, say
from cars_hw.cli._statuses import NOTHING_USABLE, require_usable
from cars_hw.config import SearchConfig, read_values
from cars_hw.errors import CheckpointError
from devices.foundation import CarsHwError, ConfigError

if TYPE_CHECKING:
    from cars_hw.runs import Run
    from cars_hw.saving.record import Generation
    from cars_hw.search import Search

#: In place of a number, takes a limit away.
_NO_LIMIT = "none"

_NOTHING: dict[str, list[JsonValue]] = {"front": [], "speeds": [], "spent": []}

EXAMPLES = (
    "cars-hw search --config search.toml --run runs/first",
    "cars-hw search --config search.toml --run runs/fast --max-latency-ms 5",
    "cars-hw search --config phones.toml --run runs/both --max-latency-ms pixel=5 --max-latency-ms old=20",
    "cars-hw search --run runs/first --resume",
    "cars-hw search --run runs/first --resume --generations 90",
    "cars-hw search --run runs/first --resume --allow-changed kernel",
    "cars-hw search --run runs/first --resume --max-time 2h",
    "cars-hw search --config search.toml --run runs/sure --measure-budget 10m",
    "cars-hw search --run runs/first --resume --workers 8",
    "cars-hw search --config search.toml --run runs/first --page",
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
    max_evaluations: Annotated[
        int | None,
        typer.Option(help="End when the whole search has made so many evaluations; goes on later."),
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(help="End after 90s, 30m or 2h of this call, saved; goes on later.")
    ] = None,
    measure_budget: Annotated[
        str,
        typer.Option(
            help="Measure members of fronts during the search, for so long in all (10m), to correct the "
            "predicted latencies; 0: never."
        ),
    ] = "0",
    no_measure: Annotated[
        bool, typer.Option("--no-measure", help="Do not measure the final front on the device.")
    ] = False,
    page: Annotated[
        bool,
        typer.Option("--page", help="Write RUN/report.html after each generation, and once all is measured."),
    ] = False,
    workers: WorkersOption = None,
    executor: ExecutorOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the run's newest checkpoint; more generations, other limits, tables of the same "
            "conditions, addresses of devices and how to retrain may be given.",
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
    """Search a space for the front of error, parameters and latency. Each generation is saved.

    The members of the final front are measured on the device, where it is at hand.
    """
    from cars_hw.saving.safe_points import Budget
    from devices.foundation import owned

    budget = Budget(max_evaluations, None if max_time is None else _seconds("--max-time", max_time))
    measure_budget_s = _seconds("--measure-budget", measure_budget)
    words, was_allowed = words_of(allow_changed), allow_infeasible
    if not resume:
        require_given("search", config, overrides, space__name=space, data__name=data)
    from cars_hw.cli._searching import run_search  # loads torch

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
        _require_workers(SearchConfig.load(config, given), workers, executor)
        _require_startable(
            SearchConfig.load(config, given).allowing(words), allow_infeasible, measure_budget_s
        )
        allow_infeasible = True  # its limits have been looked at, and a hunt takes seconds
    with owned(run) as ownership:
        if opened is None:
            opened = _begun(run, SearchConfig.load(config, given))
        elif config is not None or given:
            values = read_values(config, given)
            opened = _amended(opened, values, allow_infeasible=allow_infeasible, allow_changed=words)
        keeps(f"{run} has what was saved", adding=("--resume",))
        going_on = _going_on(opened, words, allow_infeasible=was_allowed)
        going_on += [f"--measure-budget={measure_budget}"] if measure_budget_s else []
        going_on += ["--no-measure"] if no_measure else []
        going_on += ["--page"] if page else []
        going_on += [] if workers is None else [f"--workers={workers}"]
        going_on += [] if executor is None else [f"--executor={executor}"]
        with remedies(opened.config.allowing(words)):
            search = run_search(
                opened,
                command=going_on,
                budget=budget,
                allow_infeasible=allow_infeasible,
                allow_changed=words,
                measure_budget_s=measure_budget_s,
                workers=workers,
                executor=executor or "",
                on_generation=_page_writer(opened) if page else _write_nothing,
            )
        ownership.require_in_place()
        generation = _generation(opened, search, words, None if no_measure else going_on)
        if page and generation is not None:
            _write_page(opened, is_final=True)
    _show(opened, search, generation, going_on, as_json=json)


def _require_startable(config: SearchConfig, allow_infeasible: bool, measure_budget_s: float) -> None:
    """Refuse a configuration before anything is made for it: what is refused leaves no folder."""
    from cars_hw.assembly import require_startable
    from cars_hw.runs import require_measurable

    with remedies(config):
        require_measurable(config, measure_budget_s)
        require_startable(config, allow_infeasible=allow_infeasible)


def _require_workers(config: SearchConfig, workers: int | None, executor: str | None) -> None:
    """Refuse workers that there cannot be, before there is a run folder."""
    from cars_hw.judges import judges_of
    from cars_hw.ledger import Ledger

    judges = judges_of(config, Ledger(), workers=workers, executor=executor or "")
    if judges is not None:
        judges.executor.close()


def _generation(
    run: "Run", search: "Search", words: Collection[str], measuring: list[str] | None
) -> "Generation | None":
    """Return the last generation, its front measured where the search is finished and that is wanted.

    Args:
        run: The run.
        search: Its search.
        words: What may have changed.
        measuring: The arguments that try again what could not be measured; ``None``: nothing is measured.
    """
    from cars_hw.cli._searching import measured_front
    from cars_hw.results.measured import as_measured, is_measurable

    if not search.history:
        return None
    if measuring and search.ended_by is None and is_measurable(run.config.allowing(words)):
        return measured_front(run, command=measuring, allow_changed=words)
    return as_measured(run, run.record())


def _page_writer(run: "Run") -> "Callable[[Generation], None]":
    """Return what writes the page of a run after a generation."""
    return lambda _: _write_page(run, is_final=False)


def _write_nothing(_: "Generation") -> None:
    """Write no page."""


def _write_page(run: "Run", *, is_final: bool) -> None:
    """Write the page of a run; a search goes on without it too, and says why there is none."""
    from cars_hw.results.report import report

    try:
        path = report(run, asks_tables=is_final)
    except CarsHwError as error:
        say(f"the page was not written: {error}")
    else:
        if is_final:
            say(f"wrote {path}")


def _show(
    run: "Run", search: "Search", generation: "Generation | None", going_on: list[str], *, as_json: bool
) -> None:
    """Print the front and what it cost, warnings first; exit with 3 where no member is usable."""
    from cars_hw.cli._searching import go_on_line, print_front, print_spending
    from cars_hw.results.report import front_json, speeds_json, spent_json
    from cars_hw.results.run_warnings import warnings_of

    warnings = warnings_of(run.config, generation, run.amendments) if generation else []
    if as_json:
        found = [warning.to_json() for warning in warnings]
        front = _NOTHING
        if generation:
            front = {
                "front": front_json(generation),
                "speeds": speeds_json(generation),
                "spent": spent_json(generation),
            }
        print_json({"warnings": found, **front, "ended": _ended_json(search, going_on)})
    elif generation:
        for line in warning_lines(warnings):
            say(line)
        print_front(generation)
        print_spending(generation)
    if search.ended_by:
        how = f"ended by --{search.ended_by.replace('_', '-')}: {go_on_line(search, going_on)}"
        complain(f"cars-hw: {how}") if generation is None else say(how)
    if generation is None:
        complain("cars-hw: no generation is complete, so there is no front yet")
        raise typer.Exit(NOTHING_USABLE)
    require_usable(run, generation, warnings)
    if not as_json:
        say(next_commands(*after_search(run, generation)))


def _ended_json(search: "Search", going_on: list[str]) -> dict[str, JsonValue] | None:
    """Return what ended the search early, what is kept, and the command that goes on."""
    if search.ended_by is None:
        return None
    kept = None if search.kept is None else search.kept.to_json()
    return {"by": search.ended_by, "kept": kept, "go_on": shlex.join(["cars-hw", *going_on])}


def _going_on(run: "Run", words: Collection[str], *, allow_infeasible: bool) -> list[str]:
    """Return the arguments of ``cars-hw`` that go on with the search of ``run``, whatever was saved."""
    plugins = [f"--allow-plugin={name}" for name in run.config.outside_names()]
    changed = [f"--allow-changed={','.join(words)}"] if words else []
    infeasible = ["--allow-infeasible"] if allow_infeasible else []
    return ["search", f"--run={run.path}", "--resume", *plugins, *changed, *infeasible]


def _seconds(option: str, text: str) -> float:
    """Read ``90s``, ``30m``, ``2h`` or a number of seconds, as ``option`` has it.

    Raises:
        ConfigError: It is something else.
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)", text)
    if not found:
        raise ConfigError(f"{option} {text!r:.64} is no time; the form is 90s, 30m, 2h or seconds")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


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
