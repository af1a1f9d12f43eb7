"""``cars-hw searches``: several searches at once, of several configurations or seeds, by one executor."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cars_hw.cli._commands import remedies
from cars_hw.cli._interruption import keeps
from cars_hw.cli._options import (
    AllowChangedOption,
    AllowInfeasibleOption,
    ExecutorOption,
    JsonOption,
    QuietOption,
    SetOption,
    WorkersOption,
    overridden,
    words_of,
)
from cars_hw.cli._output import complain, print_json, print_table, say
from cars_hw.cli._statuses import FAILED
from cars_hw.config import SearchConfig
from devices.foundation import ConfigError

if TYPE_CHECKING:
    from cars_hw.runs import Run
    from cars_hw.saving.record import Generation

#: Seconds between two lines that say how far the searches are.
_EVERY_S = 30.0

EXAMPLES = (
    "cars-hw searches runs/seeds --config search.toml --seed 1 --seed 2 --seed 3",
    "cars-hw searches runs/both --config cars.toml --config evnas.toml --seed 1 --seed 2 --workers 4",
    "cars-hw searches /shared/runs --config search.toml --seed 1 --seed 2 --executor ray://10.0.0.5:10001",
)


def searches(
    folder: Annotated[Path, typer.Argument(help="Holds a run for each search: CONFIGURATION-SEED.")],
    config: Annotated[list[Path], typer.Option("--config", help="TOML configuration; repeatable.")],
    seed: Annotated[
        list[int] | None, typer.Option("--seed", help="Seed of a search of each configuration; repeatable.")
    ] = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = None,
    allow_infeasible: AllowInfeasibleOption = False,
    allow_changed: AllowChangedOption = None,
    overrides: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run several searches at once, each on one thread. The same command goes on with what was interrupted.

    Fronts are not measured; `bench` measures a member where nothing else is going on.
    """
    from cars_hw import executors
    from cars_hw.results.report import front_json
    from cars_hw.runs import Run
    from cars_hw.searches import run_searches

    wanted = _wanted(folder, config, seed or [None], overrides)
    changed = words_of(allow_changed)
    for path in config:
        one = SearchConfig.load(path, overridden(overrides)).allowing(changed)
        _require_startable(one, allow_infeasible=allow_infeasible)
    errors = dict[Path, str]()
    with executors.load(executor or "processes", workers) as found:
        found.connect()
        runs = [Run.create(path, one) for path, one in wanted.items()]
        keeps(f"the searches in {folder} have what each has saved")
        say(f"{len(runs)} searches, {min(len(runs), found.workers)} at once")
        for ended in run_searches(
            runs,
            found,
            allow_infeasible=allow_infeasible,
            allow_changed=changed,
            while_waiting=_telling(runs),
        ):
            errors[ended.run.path] = ended.error
            say(f"{ended.run.path}: {ended.error or 'done'}")
    last = {path: _last(path, one) for path, one in wanted.items()}
    if json:
        print_json(
            {
                str(path): {"front": front_json(one) if one else [], "error": errors[path] or None}
                for path, one in last.items()
            }
        )
    else:
        _print(last)
    for path in (path for path, error in errors.items() if error):
        complain(f"cars-hw: {path}: {errors[path]}")
    if any(errors.values()):
        raise typer.Exit(FAILED)


def _wanted(
    folder: Path, configs: Sequence[Path], seeds: Sequence[int | None], overrides: list[str] | None
) -> dict[Path, SearchConfig]:
    """Return the configuration of each search by the folder of its run."""
    found = dict[Path, SearchConfig]()
    for path in configs:
        for seed in seeds:
            name = path.stem if seed is None else f"{path.stem}-{seed}"
            if folder / name in found:
                raise ConfigError(
                    f"two searches would be {folder / name}; give files of other names, and each seed once"
                )
            found[folder / name] = SearchConfig.load(path, overridden(overrides, search__seed=seed))
    return found


def _require_startable(config: SearchConfig, *, allow_infeasible: bool) -> None:
    """Refuse a configuration before anything is made for it: what is refused leaves no folder."""
    from cars_hw.assembly import require_startable

    with remedies(config):
        require_startable(config, allow_infeasible=allow_infeasible)


def _telling(runs: "Sequence[Run]") -> Callable[[], None]:
    """Return what says now and then how far the searches are."""
    next_s = time.monotonic() + _EVERY_S

    def tell() -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + _EVERY_S
            done = (run.checkpoints.last_complete() for run in runs)
            say("last generations: " + ", ".join("none yet" if one is None else str(one) for one in done))

    return tell


def _last(path: Path, config: SearchConfig) -> "Generation | None":
    """Return the last generation that is complete."""
    from cars_hw.runs import Run

    run = Run.open(path, allow_plugins=config.outside_names())
    return run.record().history[-1] if run.checkpoints.last_complete() is not None else None


def _print(last: "Mapping[Path, Generation | None]") -> None:
    rows = [
        [
            str(path),
            "" if one is None else str(one.index),
            "" if one is None else str(len(one.front)),
            "" if one is None or not one.front else f"{min(member.costs[0] for member in one.front):.4f}",
        ]
        for path, one in last.items()
    ]
    print_table(["run", "generation", "members of the front", "smallest error"], rows)
