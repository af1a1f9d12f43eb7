"""``cars-hw demo``: the whole path on this machine, from profiling to networks measured again."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._commands import warning_lines
from cars_hw.cli._interruption import keeps
from cars_hw.cli._options import (
    AllowChangedOption,
    AllowInfeasibleOption,
    QuietOption,
    SetOption,
    words_of,
)
from cars_hw.cli._output import print_table, say
from cars_hw.cli._statuses import require_usable
from cars_hw.config import SearchConfig, parse_override
from devices.foundation import ConfigError

PICKS = ("knee", "fastest", "most-accurate")
EXAMPLES = ("cars-hw demo", "cars-hw demo --run runs/longer --set search.generations=12")


def demo(
    run: Annotated[Path, typer.Option("--run", help="Folder of everything that the demo makes.")] = Path(
        "runs/demo"
    ),
    allow_infeasible: AllowInfeasibleOption = False,
    allow_changed: AllowChangedOption = None,
    overrides: SetOption = None,
    quiet: QuietOption = False,
) -> None:
    """Profile this CPU, validate, search real images, export, measure again. Goes on where one stopped.

    Exit status 3: no member of the front is usable; nothing is exported then.
    """
    from cars_hw.assembly import make_space, require_startable
    from cars_hw.cli import _demo_steps as steps
    from cars_hw.cli._searching import run_search
    from cars_hw.results.run_warnings import warnings_of
    from cars_hw.runs import Run, write_text

    values = dict(parse_override(text) for text in overrides or [])
    with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
        config = SearchConfig.load(path, {"latency.table": str(run / "latency.jsonl"), **values})
    if not {"error", "parameters", "latency_ms"} <= set(config.search.objectives):
        raise ConfigError("the demo shows error, parameters and latency_ms; leave them in search.objectives")
    words, seconds = words_of(allow_changed), dict[str, float]()
    require_startable(config, allow_infeasible=allow_infeasible, has_tables=False)
    keeps(lambda: _kept(run, seconds))
    opened = Run.create(run, config)
    with opened.owned():
        with _timed("profile", "profiling this CPU", seconds):
            steps.profile(config.allowing(words))
        with _timed("validate", "holding its table against other networks", seconds):
            steps.validate(config.allowing(words))
        with _timed("search", "searching; a generation a line", seconds):
            command = ["demo", f"--run={run}", *(f"--set={text}" for text in overrides or [])]
            command += ["--allow-infeasible"] if allow_infeasible else []
            command += [f"--allow-changed={','.join(words)}"] if words else []
            run_search(opened, command=command, allow_infeasible=allow_infeasible, allow_changed=words)
        with _timed("measure", "measuring the front as whole networks", seconds):
            generation = steps.measure(opened, words)
        warnings = warnings_of(opened.config, generation)
        for line in warning_lines(warnings):
            say(line)
        if not allow_infeasible:
            require_usable(opened, generation, warnings)
        with _timed("export", "exporting the knee, the fastest and the most accurate", seconds):
            exports = steps.export(opened, generation, PICKS, allow_infeasible=allow_infeasible)
        with _timed("bench", "measuring the exported files again", seconds):
            benches = steps.bench(opened, exports, words)
        with _timed("report", "writing the page", seconds):
            page = steps.report(opened)
    steps.print_results(generation, exports, benches)
    told = [found.to_json() for found in warnings]
    found = steps.summary(make_space(opened.config), generation, exports, benches)
    summary = {**found, "warnings": told, "seconds": seconds}
    write_text(run / "summary.json", json.dumps(summary, indent=2, allow_nan=False))
    print_table(["step", "seconds"], [[name, f"{spent:.1f}"] for name, spent in seconds.items()])
    say(f"page: {page}; everything: {run}")
    require_usable(opened, generation, warnings)


def _kept(run: Path, seconds: dict[str, float]) -> str:
    done = f"{run} has the steps {', '.join(seconds)}" if seconds else f"{run} has no complete step"
    return f"{done}, and of the next one what is finished"


@contextmanager
def _timed(name: str, doing: str, seconds: dict[str, float]) -> Iterator[None]:
    say(f"==> {doing}")
    start_s = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start_s
