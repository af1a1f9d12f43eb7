"""Commands that messages name, complete and quoted: only the command line knows its verbs."""

import itertools
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w
from pydantic import JsonValue

from cars_hw.config import LatencySection, SearchConfig, parse_override
from cars_hw.errors import InfeasibleError, PluginNotAllowedError
from cars_hw.results.exporting.errors import NotRetrainedError
from devices.foundation import CarsHwError
from latency_tables import MissingEntryError, TableError, TableMismatchError

if TYPE_CHECKING:
    from cars_hw.networks.architecture import Architecture
    from cars_hw.results.bench import Bench
    from cars_hw.results.exporting.files import Export
    from cars_hw.results.run_warnings import RunWarning
    from cars_hw.runs import Run
    from cars_hw.saving.record import Generation
    from cars_hw.spaces import SearchSpace

#: Words of a command, after the program's name.
Command = tuple[str, ...]


def profile_command(
    config: SearchConfig, target: LatencySection | None = None, *, retry_failures: bool = False
) -> str:
    """Return the command that measures what the table of ``target`` lacks; of the only one if not given."""
    return _table_command(config, target, "profile", *(["--retry-failures"] if retry_failures else []))


def validate_command(
    config: SearchConfig, target: LatencySection | None = None, *, options: Iterable[str] = ()
) -> str:
    """Return the command that holds the table of ``target`` against whole networks, with ``options``."""
    return _table_command(config, target, "table", "validate", *options)


def quality_options(precision: float, max_drift: float, spread_s: float) -> list[str]:
    """Return the options that differ from the usual quality of measuring."""
    from profilers import USUAL

    given = {"precision": precision, "max-drift": max_drift, "spread-s": spread_s}
    usual = (USUAL.precision, USUAL.max_drift, USUAL.spread_s)
    return [
        f"--{name}={value:g}"
        for (name, value), default in zip(given.items(), usual, strict=True)
        if value != default
    ]


def next_commands(*commands: Command) -> str:
    """Return the line that names what to do next; a shell takes it as it is, without its first word."""
    return "next: " + "; ".join(shlex.join(["cars-hw", *command]) for command in commands)


def argument(path: Path) -> str:
    """Return a path as a word of a command that is no option."""
    return os.path.join(".", path) if str(path).startswith("-") else str(path)


def free_folder(path: Path) -> Path:
    """Return ``path``, or where there is something, the first of ``path-2``, ``path-3``, ... that is free."""
    tried = itertools.chain([path], (path.with_name(f"{path.name}-{n}") for n in itertools.count(2)))
    return next(one for one in tried if not os.path.lexists(one))


def after_search(run: "Run", generation: "Generation") -> list[Command]:
    """Return what to do with a finished run that has a usable member: it is retrained, and then exported."""
    from cars_hw.assembly import make_space
    from cars_hw.results.picks import pick
    from cars_hw.results.run_warnings import excesses

    choice = "knee"
    if excesses(run.config, generation, pick(generation.front, choice)):
        within = (i for i, one in enumerate(generation.front) if not excesses(run.config, generation, one))
        choice = str(next(within))  # the most accurate one
    path, allowed = argument(run.path), _allowed(run.config.outside_names())
    member = pick(generation.front, choice).architecture
    if _deploys_for_own_images(make_space(run.config), member):
        plan = () if run.config.retraining else ("--preset", "small")
        retrain: Command = ("retrain", path, "--pick", choice, *plan, *allowed)
        home = [retrain, after_retraining(run, [choice])]
    else:  # no images are known that it could be retrained on
        home = [("export", path, "--pick", choice, "--scale=search", *allowed)]
    return [*home, ("report", path, *allowed)]


def after_retraining(
    run: "Run", picks: Iterable[str], *, to: Path | None = None, is_feasible: bool = True
) -> Command:
    """Return the command that exports what was retrained of a run.

    Args:
        run: The run.
        picks: Its members, as they were named.
        to: Where they were kept; the run's own place if not given.
        is_feasible: Whether all of them are within the limits of the search.
    """
    return (
        "export",
        argument(run.path),
        *(word for one in picks for word in ("--pick", one)),
        *([] if to is None else [f"--retrained={to}"]),
        *([] if is_feasible else ["--allow-infeasible"]),
        *_allowed(run.config.outside_names()),
    )


def after_export(run: "Run", exports: "Mapping[str, Export]", *, again: Command) -> list[Command]:
    """Return the commands that measure exported files on what their run is for.

    A target that runs another format gets the files in that one; where none of its runtime's is known, or the
    device is another machine's, the files are measured on this machine.

    Args:
        run: The run that they are of.
        exports: The files by the names of their picks.
        again: The words of the export, without its format.
    """
    from profilers import formats

    of_runtime = {formats.load(name).runtime: name for name in formats.names()}
    commands: dict[Command, None] = {}
    here = [one for one in run.config.latency_targets().values() if not one.is_elsewhere]
    for done in exports.values():
        made_by = formats.load(done.file_format)
        words: Command = ("bench", argument(done.path))
        if "." in done.file_format:
            words = (*words, f"--format={done.file_format}")
        own = [target for target in here if target.runtime == made_by.runtime]
        for target in own:
            space = (run.config.space.name, *run.config.space.operation_kinds)
            table = (f"--table={target.table}",) if os.path.isfile(target.table) else ()
            options = (*_device_options(target), *table, *_allowed(name for name in space if "." in name))
            commands[(*words, *options)] = None
        others = [of_runtime[target.runtime] for target in here if target.runtime in of_runtime]
        if not own:
            commands |= dict.fromkeys((*again, f"--format={name}") for name in others)
        if not own and not others:
            commands[words] = None
    return list(commands)


def trust_lines(config: SearchConfig) -> list[str]:
    """Return how far the tables of a search may be trusted, each with the command that helps, if any."""
    from cars_hw.assembly import table_trusts

    targets = config.latency_targets()
    return [
        f"{trust}" if trust.is_validated else f"{trust}; {_validation(config, targets[name])}"
        for name, trust in table_trusts(config).items()
    ] or ["no latency table was used"]


def bench_lines(result: "Bench") -> list[str]:
    """Return how fast the device is, and how far the table may be trusted, with the command that helps."""
    speed = [result.speed_text] if result.speed_text else []
    if not result.trust:
        return speed
    line, basis = f"the table: {result.trust}", result.basis
    if basis is None:
        return [*speed, line]
    if result.missing is not None:
        return [*speed, f"{line}{_measuring(basis, basis.latency, result.missing)}"]
    return [*speed, f"{line}; {_validation(basis, basis.latency)}"]


def warning_lines(warnings: "Iterable[RunWarning]") -> list[str]:
    """Return the warnings of a run but those that ``trust_lines`` has, with its commands."""
    return [str(found) for found in warnings if found.kind != "table"]


@contextmanager
def remedies(config: SearchConfig) -> Iterator[None]:
    """Add to an error the command that helps, where it is about a table of ``config``.

    Args:
        config: What the verb goes by.
    """
    try:
        yield
    except MissingEntryError as error:
        target = next((t for t in _targets(config) if Path(t.table) == Path(error.table)), None)
        if target is None or target.is_elsewhere:
            raise
        command = profile_command(config, target, retry_failures=error.has_failed)
        raise MissingEntryError(error.spec, reason=error.reason, table=error.table, remedy=command) from error
    except TableError as error:
        absent = next((t for t in _targets(config) if not os.path.lexists(t.table)), None)
        if absent is None or absent.is_elsewhere or absent.table not in str(error):
            raise
        raise TableError(f"{error}; run `{profile_command(config, absent)}` to measure it") from error


def explained(error: CarsHwError) -> str:
    """Return an error's line with the option that helps, where one does whatever the verb."""
    if isinstance(error, PluginNotAllowedError):
        return f"{error}: --allow-plugin {shlex.quote(error.name)}"
    if isinstance(error, TableMismatchError) and error.words:
        return f"{error}: --allow-changed {','.join(error.words)}"
    if isinstance(error, InfeasibleError):
        return f"{error}: --allow-infeasible"
    if isinstance(error, NotRetrainedError):
        picks = [word for one in error.picks for word in ("--pick", one)]
        preset = [] if error.has_plan else ["--preset", "small"]
        return f"{error}: run `{shlex.join(['cars-hw', 'retrain', argument(error.run), *picks, *preset])}`"
    return str(error)


def _deploys_for_own_images(space: "SearchSpace", member: "Architecture") -> bool:
    """Tell whether the deployed network takes the images of the search, and tells their classes apart."""
    from cars_hw.networks.operations import output_shape

    small, large = space.graph(member, "search").nodes, space.deployed(member).nodes
    return (small[0].spec.input_shape, output_shape(small[-1].spec)) == (
        large[0].spec.input_shape,
        output_shape(large[-1].spec),
    )


def _targets(config: SearchConfig) -> list[LatencySection]:
    return list(config.latency_targets().values())


def _validation(config: SearchConfig, target: LatencySection) -> str:
    if target.is_elsewhere:
        return "validate it where it was measured"
    return f"run `{validate_command(config, target)}`"


def _measuring(config: SearchConfig, target: LatencySection, missing: MissingEntryError) -> str:
    if target.is_elsewhere:
        return ""
    return f": run `{profile_command(config, target, retry_failures=missing.has_failed)}`"


def _allowed(names: Iterable[str]) -> Command:
    return tuple(f"--allow-plugin={name}" for name in names)


def _device_options(target: LatencySection) -> Command:
    return (
        f"--device={target.device}",
        f"--runtime={target.runtime}",
        f"--threads={target.threads}",
        *_overrides("latency.settings", target.settings),
    )


def _table_command(config: SearchConfig, target: LatencySection | None, *verb: str) -> str:
    latency = target or next(iter(config.latency_targets().values()))
    space = config.space
    kinds: list[JsonValue] = [*space.operation_kinds]
    options = [
        *_overrides("space", {"operation_kinds": kinds or None, **space.settings}),
        *_device_options(latency),
    ]
    conditions = [word for word in latency.allow_changed if word != "device"]  # one measures on its own table
    options += [f"--allow-changed={','.join(conditions)}"] if conditions else []
    return shlex.join(["cars-hw", *verb, f"--space={space.name}", *options, f"--table={latency.table}"])


def _overrides(section: str, values: Mapping[str, JsonValue]) -> list[str]:
    """Return a ``--set`` for each of ``values`` that is not ``None``, as ``parse_override`` reads it."""
    return [f"--set={section}.{name}={_text(value)}" for name, value in values.items() if value is not None]


def _text(value: JsonValue) -> str:
    if isinstance(value, str) and parse_override(f"key={value}")[1] == value:
        return value
    return tomli_w.dumps({"key": value}, multiline_strings=False).strip().removeprefix("key = ")
