"""Options that several verbs take, and the configuration that they resolve to."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from pydantic import JsonValue

from cars_hw.cli._output import be_quiet
from cars_hw.config import SearchConfig, parse_override
from devices.foundation import ConfigError, UnknownNameError
from latency_tables import Changeable, changeable

if TYPE_CHECKING:
    from cars_hw.networks.architecture import Architecture

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML configuration; the options below override it.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override any key: section.key=value; repeatable.")
]
SpaceOption = Annotated[str | None, typer.Option("--space", help="Search space.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Device, NAME[:ADDRESS].")]
RuntimeOption = Annotated[str | None, typer.Option("--runtime", help="Runtime that executes the networks.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", help="Threads of one inference.")]
TableOption = Annotated[Path | None, typer.Option("--table", help="Latency table, a JSON Lines file.")]
TargetOption = Annotated[
    str | None,
    typer.Option("--target", help="Which of the configuration's targets, by its NAME there; where several."),
]
PrecisionOption = Annotated[
    float, typer.Option(help="Stop a measurement at this half-width of its 95 % interval, relative.")
]
MaxDriftOption = Annotated[
    float, typer.Option(help="On a phone, discard what ran while a fixed workload was slower by this.")
]
KeepOption = Annotated[
    float,
    typer.Option(
        "--keep-every-s",
        min=0,
        help="Bring the blocks of what is unfinished to the disk so often; a kill loses no more.",
    ),
]
SpreadOption = Annotated[
    float,
    typer.Option(
        "--spread-s",
        min=0,
        help="On this machine, spread the first rounds over these seconds: its slow modes last for seconds, "
        "and a shorter spread may measure inside one of them.",
    ),
]
BinaryOption = Annotated[
    Path | None,
    typer.Option(
        "--benchmark-binary", help="The runtime's benchmark program for a phone: benchmark_model, ..."
    ),
]
PickOption = Annotated[
    list[str] | None,
    typer.Option(
        help="knee, fastest, most-accurate, ..., 'latency_ms<=5', spread:N, all, or a number; repeatable."
    ),
]
ArchitectureOption = Annotated[
    str | None, typer.Option(help="Instead of a run: an architecture of the space, 0.3.6...")
]
GenotypeOption = Annotated[
    Path | None, typer.Option(help="Instead: a published genotype, its edges in JSON or as logs have them.")
]
AllowPluginOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-plugin", help="A module from outside that the run folder or card may name; its code runs."
    ),
]
AllowInfeasibleOption = Annotated[
    bool, typer.Option("--allow-infeasible", help="Go on though no network meets the limits.")
]
AllowChangedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-changed",
        help="Go on though these have changed since the table was measured: "
        f"{', '.join(get_args(Changeable))}; several with commas.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", help="So many at once, on one thread each; 1: all in this process."),
]
ExecutorOption = Annotated[
    str | None,
    typer.Option(
        "--executor", help="Where they run: processes, ray, ray://HOST:PORT; processes if left out."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        callback=be_quiet,
        is_eager=True,
        help="Print results and errors alone.",
    ),
]


def words_of(allow_changed: list[str] | None) -> tuple[Changeable, ...]:
    """Return what ``--allow-changed`` allows: ``kernel,build``, or one at a time.

    Raises:
        UnknownNameError: A word that there is not.
    """
    return changeable(word.strip() for text in allow_changed or [] for word in text.split(","))


def overridden(overrides: list[str] | None, **options: JsonValue | Path) -> dict[str, JsonValue]:
    """Return the values of ``--set``, then of ``options`` (``section__key=value``), by dotted keys.

    An option that is ``None`` was not given.
    """
    values = dict(parse_override(text) for text in overrides or [])
    for name, value in options.items():
        if value is not None:
            values[name.replace("__", ".")] = str(value) if isinstance(value, Path) else value
    return values


def resolve(config: Path | None, overrides: list[str] | None, **options: JsonValue | Path) -> SearchConfig:
    """Read ``config``, apply ``--set``, then ``options``; see ``overridden``."""
    return SearchConfig.load(config, overridden(overrides, **options))


def named_network(
    config: SearchConfig, architecture: str | None, genotype: Path | None
) -> "tuple[str, Architecture]":
    """Return a network that no run has found, with the name of its folder or files.

    Args:
        config: Names its space.
        architecture: Its options; not looked at where there is a genotype.
        genotype: Its published form.

    Raises:
        ArchitectureError: It is no member of the space, or the file cannot be read.
    """
    from cars_hw.assembly import make_space
    from cars_hw.networks.architecture import from_text
    from cars_hw.results.bench import read_genotype

    space = make_space(config)
    if genotype is not None:
        return genotype.stem, read_genotype(space, genotype)
    return "architecture", from_text(str(architecture), space.choices)


def target_section(targets: Collection[str], target: str | None = None) -> str:
    """Return the section of a target: ``latency``, or ``targets.NAME``.

    Args:
        targets: Names of the configuration's ``targets``.
        target: The one that is meant; the only one if not given.

    Raises:
        UnknownNameError: There is no target of that name.
        ConfigError: There are several, and none is named.
    """
    if target is not None and target not in targets:
        raise UnknownNameError("target", target, targets)
    if target is None and len(targets) > 1:
        raise ConfigError(f"there are {len(targets)} targets; name one: {', '.join(targets)}")
    return f"targets.{target or next(iter(targets))}" if targets else "latency"


def resolve_measuring(
    config: Path | None,
    overrides: list[str] | None,
    target: str | None,
    space: str | None,
    **latency: Any,
) -> SearchConfig:
    """Resolve the options of a verb that measures on one target, which the result has as its ``latency``.

    Args:
        config: The configuration's file.
        overrides: The values of ``--set``.
        target: One of the configuration's ``targets``, where there are several.
        space: The search space.
        latency: Keys of the target: ``device``, ``runtime``, ``threads``, ``table``, ``benchmark_binary``,
            ``allow_changed``, which adds to what the configuration allows; ``None`` where absent.

    Raises:
        UnknownNameError: There is no such target, or a key that does not exist.
        ConfigError: There are several targets, and none is named; or a value is out of bounds.
    """
    section = target_section(SearchConfig.load(config, overridden(overrides)).targets, target)
    binary, allowed = latency.pop("benchmark_binary", None), words_of(latency.pop("allow_changed", None))
    given = {f"{section}.{name}": value for name, value in latency.items()}
    given[f"{section}.settings.benchmark_binary"] = binary
    plain = {name.replace(".", "__"): value for name, value in given.items()}
    return resolve(config, overrides, space__name=space, **plain).for_target(target).allowing(allowed)
