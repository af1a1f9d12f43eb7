"""``cars-hw search``: evolve architectures on weights that keep training."""

from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._options import (
    ConfigOption,
    JsonOption,
    SetOption,
    SpaceOption,
    TableOption,
    resolve,
)
from cars_hw.cli._output import print_json, say
from cars_hw.errors import CheckpointError


def search(
    run: Annotated[
        Path, typer.Option("--run", help="Folder of the run: configuration, checkpoints, results.")
    ],
    space: SpaceOption = None,
    strategy: Annotated[str | None, typer.Option(help="Search algorithm.")] = None,
    data: Annotated[str | None, typer.Option(help="Data set.")] = None,
    table: TableOption = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Slower architectures are infeasible.")] = None,
    generations: Annotated[int | None, typer.Option(help="Generations after warm-up.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random in the search.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's newest checkpoint.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Search a space for the front of error, parameters and latency. Each generation is saved."""
    from cars_hw.cli._searching import front_json, print_front, print_spending, run_search, spent_json
    from cars_hw.runs import Run

    if resume and config is None:
        config = Run.open(run).path / "config.toml"
    resolved = resolve(
        config,
        overrides,
        space__name=space,
        strategy__name=strategy,
        data__name=data,
        latency__table=table,
        latency__max_latency_ms=max_latency_ms,
        search__generations=generations,
        search__seed=seed,
    )
    opened = Run.create(run, resolved)
    if not resume and opened.has_checkpoints():
        raise CheckpointError(f"{run} holds a run already; go on with --resume, or name another folder")
    generation = run_search(opened)
    if json:
        print_json({"front": front_json(generation), "spent": spent_json(generation)})
        return
    print_front(generation)
    print_spending(generation)
    say(f"next: cars-hw export {run} --pick knee; cars-hw report {run}")
