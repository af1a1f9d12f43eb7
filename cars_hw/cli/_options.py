"""Options that several verbs take, and the configuration that they resolve to."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from cars_hw.config import SearchConfig, parse_override

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
PrecisionOption = Annotated[
    float, typer.Option(help="Stop a measurement at this half-width of its 95 % interval, relative.")
]
MaxDriftOption = Annotated[
    float, typer.Option(help="On a phone, discard what ran while a fixed workload was slower by this.")
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
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def resolve(config: Path | None, overrides: list[str] | None, **options: JsonValue | Path) -> SearchConfig:
    """Read ``config``, apply ``--set``, then ``options`` (``section__key=value``, ``None`` where absent)."""
    values = dict(parse_override(text) for text in overrides or [])
    for name, value in options.items():
        if value is not None:
            values[name.replace("__", ".")] = str(value) if isinstance(value, Path) else value
    return SearchConfig.load(config, values)


def resolve_measuring(
    config: Path | None,
    overrides: list[str] | None,
    space: str | None,
    device: str | None,
    runtime: str | None,
    threads: int | None,
    table: Path | None,
    benchmark_binary: Path | None = None,
) -> SearchConfig:
    """Resolve the options of a verb that measures, ``None`` where absent."""
    return resolve(
        config,
        overrides,
        space__name=space,
        latency__device=device,
        latency__runtime=runtime,
        latency__threads=threads,
        latency__table=table,
        latency__settings__benchmark_binary=benchmark_binary,
    )
