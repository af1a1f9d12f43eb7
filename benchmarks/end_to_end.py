"""Whether a search on shared weights finds good networks, judged by accuracies that others published.

A job is one arm and seed: a search on NAS-Bench-201 that trains that space's SuperNet on CIFAR-10, and 20
members of its last first front, chosen by what the search knows. They are stored with a hash; then another
process judges them by published accuracy, parameters and measured latency of a Pixel 3. Nothing is retrained.
The process that searches sees an extract alone, the latencies of 20 networks: the folder of published figures
and that of earlier results are covered by empty ones, and it refuses to begin where they are not.

All arms have the CPU seconds of the default, by their costs on this machine, which ``--calibrate`` measures.

    python benchmarks/end_to_end.py --calibrate default --calibrate evnas   # about two minutes each, idle
    python benchmarks/end_to_end.py --job default --seed 0                  # stopped, it goes on
    python benchmarks/end_to_end.py --judge                                 # judges what there is
    python benchmarks/end_to_end.py --quick                                 # figures of what was judged
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _jobs import RAW, RUNS, Store
from _rank_settings import ARCHIVE, IMAGES
from _rows import finish, option_parser, store, stored
from _truth_arms import ARMS, STEPS, config, search
from _truth_hidden import ReadableError, require_hidden, run_without

STORE = Store(RAW / "end_to_end")
RESULTS = "end_to_end"
#: What a search must not see: published figures, and what earlier jobs found.
HIDDEN = (IMAGES / "nb201", Path(__file__).parent / "results")
#: Steps of a trial that tells what an arm costs; the evaluations are those of a job.
_TRIAL_STEPS = 140
#: Seeds of what bounds a search.
REFERENCE_SEEDS = 20
_CHOSEN, _TABLE, _LIST = "chosen.json", "pixel3.jsonl", "networks.csv"


def job(arm: str, seed: int, *, steps: float, name: str, runs: Path = RUNS, results: Store = STORE) -> bool:
    """Run an arm's search where it can read no accuracy, or go on with it; keep what it chose.

    Args:
        arm: Which.
        seed: Of everything random.
        steps: How many.
        name: Of the result.
        runs: Where what is between lies.
        results: Where the result goes.

    Returns:
        Whether it ended; a signal stops it, saved.

    Raises:
        ReadableError: Published accuracy cannot be hidden.
    """
    folder, extract = runs / RESULTS / name, make_extract(runs / RESULTS / "extract")
    options = {"--search": arm, "--seed": seed, "--steps": steps, "--folder": folder, "--extract": extract}
    arguments = [str(part) for pair in options.items() for part in pair]
    status = run_without(HIDDEN, [sys.executable, str(Path(__file__)), *arguments])
    if status or not (folder / _CHOSEN).exists():
        return False
    results.write(
        name, {"arm": arm, "seed": seed, "steps": steps, **json.loads((folder / _CHOSEN).read_text())}
    )
    return True


def make_extract(folder: Path) -> Path:
    """Write what a search may know of the published figures, by a process of its own; return the folder."""
    if not (folder / _TABLE).exists():
        command = [sys.executable, str(Path(__file__)), "--make-extract", "--extract", str(folder)]
        subprocess.run(command, check=True)
    return folder


def write_extract(folder: Path) -> None:
    """Write the latencies on a Pixel 3 of the 20 networks by which a table is made, and that table."""
    from _truth_extract import pixel3_of

    from cars_hw import import_networks

    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{code},{latency_ms!r}\n" for code, latency_ms in pixel3_of(IMAGES / "nb201")]
    (folder / _LIST).write_text("architecture,latency_ms\n" + "".join(rows))
    wanted = config(ARMS["default"], 0, 1.0, table=folder / _TABLE, images=ARCHIVE)
    import_networks(folder / _LIST, wanted, model="Pixel 3")


def search_hidden(arm: str, seed: int, steps: float, *, folder: Path, extract: Path) -> None:
    """Search, in a process to which nothing else is known.

    Raises:
        ReadableError: Something else could be read.
    """
    require_hidden(HIDDEN, extract)
    found = search(folder, config(ARMS[arm], seed, steps, table=extract / _TABLE, images=ARCHIVE))
    if found is not None:
        (folder / _CHOSEN).write_text(json.dumps(found))


def steps_of(arm: str, results: Store = STORE) -> float:
    """Return how many steps an arm has for the CPU seconds of the default.

    Raises:
        SystemExit: The arm, or the default, was not calibrated.
    """
    trials = {}
    for name in {arm, "default"}:
        if f"trial.{name}" not in results.names():
            sys.exit(f"what {name} costs is not known; run --calibrate {name} on an idle machine first")
        trials[name] = _costs(results.read(f"trial.{name}")["ledger"])
    (step_s, judging_s), (own_step_s, own_judging_s) = trials["default"], trials[arm]
    return (STEPS * step_s + judging_s - own_judging_s) / own_step_s


def _costs(ledger: Mapping[str, Any]) -> tuple[float, float]:
    """Return the seconds of a step, and of all evaluations."""
    return ledger["training_s"] / ledger["steps"], ledger["evaluation_s"]


def judge(results: Store = STORE, *, runs: Path = RUNS, seeds: int = REFERENCE_SEEDS) -> dict[str, Any]:
    """Judge all jobs that have ended, and what bounds them, which is kept as jobs are."""
    from _nb201 import load
    from _truth_judge import REFERENCES, costs_of, judged, reference, whole

    truth, table = load(), make_extract(runs / RESULTS / "extract") / _TABLE
    for kind in REFERENCES:
        for seed in range(seeds):
            name = f"bound.{kind}.seed{seed}"
            if name not in results.names():
                results.write(name, reference(truth, kind, seed, table))
                print(f"\r{name}", end="", file=sys.stderr, flush=True)
    bounds: dict[str, list[dict[str, float]]] = {"whole": [judged(truth, whole(truth))]}
    jobs = []
    for name in results.names():
        raw = results.read(name)
        if name.startswith("bound."):
            bounds.setdefault(raw["kind"], []).append(judged(truth, raw))
        elif not name.startswith("trial."):
            figures = {**judged(truth, raw), "cpu_s": raw["cpu_s"], "macs": raw["macs"]}
            own = {"arm": raw["arm"], "seed": raw["seed"], "sha256": results.sha256(name), "figures": figures}
            jobs.append({**own, "ledger": raw["ledger"], "costs": costs_of(truth, raw).tolist()})
    return {"bounds": bounds, "jobs": jobs}


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = option_parser(__doc__ or "")
    parser.add_argument("--job", choices=list(ARMS), action="append", help="run this arm; several may be")
    parser.add_argument("--seed", type=int, action="append", help="by this seed; 0 if not given")
    parser.add_argument(
        "--calibrate", choices=list(ARMS), action="append", help="measure what this arm costs"
    )
    parser.add_argument("--judge", action="store_true", help="judge the jobs that have ended")
    inner = parser.add_argument_group("called by this program itself")
    inner.add_argument("--search", choices=list(ARMS))
    inner.add_argument("--make-extract", action="store_true")
    inner.add_argument("--steps", type=float, default=0.0)
    inner.add_argument("--folder", type=Path)
    inner.add_argument("--extract", type=Path)
    return parser.parse_args(arguments)


def _run_jobs(options: argparse.Namespace) -> None:
    for arm in options.calibrate or ():
        if f"trial.{arm}" not in STORE.names() and not job(arm, 0, steps=_TRIAL_STEPS, name=f"trial.{arm}"):
            sys.exit("stopped; the same command goes on")
    for arm in options.job or ():
        for seed in options.seed or (0,):
            name = f"{arm}.seed{seed}"
            if name not in STORE.names() and not job(arm, seed, steps=steps_of(arm), name=name):
                sys.exit("stopped; the same command goes on")


def main() -> None:
    """Do what is asked for; without a word, judge, and print the figures."""
    options = _options()
    try:
        if options.make_extract:
            write_extract(options.extract)
        elif options.search:
            search_hidden(
                options.search, options.seed[0], options.steps, folder=options.folder, extract=options.extract
            )
        elif options.calibrate or options.job:
            _run_jobs(options)
        else:
            from _truth_figures import rows

            if not options.quick:
                store(RESULTS, json.loads(json.dumps(judge())))
            raw = stored(RESULTS)
            finish(rows(raw, "stored" if options.quick else "fresh"), options)
    except ReadableError as error:
        sys.exit(f"refused: {error}")


if __name__ == "__main__":
    main()
