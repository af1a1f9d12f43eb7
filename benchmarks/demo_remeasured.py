"""Whether the demo's tables agree: its exported files measured again beside what its front was measured at.

A full run makes the demo five times, in fresh folders and with five seeds (``runs/demo_remeasured``). A run
that was interrupted goes on; one that is finished is kept. A run that ends because the machine is too busy,
with less than a third of undisturbed blocks, is named, and counts as excused: one may be. Peer: the same two
measurements of the same networks, as they were, not divided by what the anchors beside them say.
``--quick`` judges the results of the last full run again, which are stored with a hash.
"""

import argparse
import json
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _rows import Row, finish, option_parser, store, stored

_RESULTS = "demo_remeasured"
_FOLDER = Path("runs/demo_remeasured")
_SEEDS = (1, 2, 3, 4, 5)
#: How a demo ends that something else disturbed too much: the one reason that excuses a run.
_TOO_BUSY = "too busy to measure networks"


def run_demo(folder: Path, seed: int, overrides: Sequence[str]) -> dict[str, Any]:
    """Run the demo as a user would, and return its exports and its front, or why it is excused.

    Raises:
        SystemExit: It failed for another reason; it goes on there the next time.
    """
    summary, busy = folder / "summary.json", folder.with_suffix(".busy")
    if not summary.exists() and not busy.exists():
        words = ["demo", f"--run={folder}", f"--set=search.seed={seed}"]
        words += [f"--set={text}" for text in overrides]
        command = [sys.executable, "-c", "from cars_hw.cli import main; main()", *words]
        print(f"the demo with seed {seed}, in {folder}", flush=True)
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode and _TOO_BUSY not in done.stderr:
            sys.exit(f"the demo with seed {seed} ended with {done.returncode}: {done.stderr[-500:]}")
        if done.returncode:
            busy.write_text(done.stderr.strip().splitlines()[-1])
    if busy.exists():
        return {"seed": seed, "excused": busy.read_text()}
    told: dict[str, Any] = json.loads(summary.read_text())
    return {"seed": seed, "exports": told["exports"], "front": told["front"]}


def rows(runs: Sequence[dict[str, Any]], source: str) -> list[Row]:
    """Return how far the files' latencies are from the front's, over all runs that are not excused."""
    exports = [
        (done, run["front"]) for run in runs if "excused" not in run for done in run["exports"].values()
    ]
    measured = [(done, front) for done, front in exports if "remeasured_difference_percent" in done]
    if not measured:
        sys.exit("no run was measured")
    differences = np.array([done["remeasured_difference_percent"] for done, _ in measured])
    uncorrected = np.array([_uncorrected_percent(done, front) for done, front in measured])
    inside = 100 * float(np.mean([done["is_inside_interval"] for done, _ in measured]))
    n, peer_name = len(measured), "without anchors"
    return [
        Row(
            "demo.remeasured_difference",
            float(np.abs(differences).max()),
            "%",
            "<= 5",
            peer=float(np.abs(uncorrected).max()),
            peer_name=peer_name,
            n=n,
            source=source,
        ),
        Row(
            "demo.remeasured_difference.rms",
            float(np.sqrt(np.mean(differences**2))),
            "%",
            peer=float(np.sqrt(np.mean(uncorrected**2))),
            peer_name=peer_name,
            n=n,
            source=source,
        ),
        Row("demo.inside_intervals", inside, "%", ">= 85", n=n, source=source),
        Row("demo.remeasured.not_measured", len(exports) - n, "", "<= 0", n=len(exports), source=source),
        Row(
            "demo.remeasured.excused_runs",
            sum("excused" in run for run in runs),
            "",
            "<= 1",
            n=len(runs),
            source=source,
        ),
    ]


def _uncorrected_percent(done: dict[str, Any], front: Sequence[dict[str, Any]]) -> float:
    """Return how far the file is from its member as both were measured."""
    member = next(one for one in front if one.get("measured_ms") == done["front_measured_ms"])
    return 100 * float(done["uncorrected_ms"] / member["uncorrected_ms"] - 1)


def main(options: argparse.Namespace) -> None:
    """Run the demos that are not finished, or judge the last full run again."""
    is_full = options.runs == len(_SEEDS) and not options.set
    if options.quick:
        runs = stored(_RESULTS)
    else:
        _FOLDER.mkdir(parents=True, exist_ok=True)
        name = f"short{zlib.crc32(' '.join(options.set).encode()):08x}-" if options.set else "seed"
        runs = [run_demo(_FOLDER / f"{name}{seed}", seed, options.set) for seed in _SEEDS[: options.runs]]
        if is_full:
            store(_RESULTS, runs)
    for run in runs:
        if "excused" in run:
            print(f"excused: the run with seed {run['seed']}: {run['excused']}")
    finish(rows(runs, "stored" if options.quick else "fresh"), options)


if __name__ == "__main__":
    parser = option_parser(__doc__ or "")
    parser.add_argument("--runs", type=int, default=len(_SEEDS), help="fewer of them, to try it")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as the demo has it")
    main(parser.parse_args())
