"""The demo's search step alone, on this machine's cores, beside the same of commit dfa3b7b.

Both search by the demo's configuration of their own commit, in turns, with the same seeds, the same latency
table (measured at first, where there is none in the folder) and the same images kept apart, on which the most
accurate member of the last front is judged. The earlier commit is unpacked from the repository's history.
Interrupted, it goes on where it ended. Times are on a clock: the machine must be idle.
"""

import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from _rows import Row, finish, option_parser, store, stored
from _rows import unpack as unpack_archive
from _timing import median_row

_ROOT = Path(__file__).parents[1]
_BEFORE = "dfa3b7b"
_SIDES = ("before", "now")
_SEEDS = (0, 1, 2)
_RESULTS = "demo_before"
#: An error that is higher by less is not higher: half a point, five of the images that judge.
_MARGIN = 0.005
_SHORT = (
    "search.warm_up_epochs=0.1",
    "search.epochs_per_generation=0.1",
    "search.generations=1",
    "strategy.population_size=4",
)


def outcomes(folder: Path, overrides: Sequence[str]) -> list[dict[str, Any]]:
    """Search whatever is missing in ``folder``, and return what each pair of a seed came to."""
    unpack(folder / "before")
    done = _done(folder)
    for i, seed in enumerate(_SEEDS):
        for side in _SIDES[:: 1 if i % 2 == 0 else -1]:
            if (seed, side) not in done:
                done[seed, side] = _searched(folder, seed, side, overrides)
                with (folder / "outcomes.jsonl").open("a") as file:
                    file.write(json.dumps([seed, side, done[seed, side]]) + "\n")
    return [{"seed": seed, **{side: done[seed, side] for side in _SIDES}} for seed in _SEEDS]


def unpack(folder: Path) -> None:
    """Put the earlier commit's packages into ``folder``."""
    if folder.exists():
        return
    git = shutil.which("git")
    if git is None:
        sys.exit("git is not installed, and the earlier commit is in the repository's history")
    command = [git, "-C", str(_ROOT), "archive", _BEFORE]
    packages = ("cars_hw", "devices", "latency_tables", "profilers")
    packed = subprocess.run([*command, *packages], check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        unpack_archive(archive, folder)


def rows(found: Sequence[Mapping[str, Any]], source: str) -> list[Row]:
    """Return the claims, of what each pair came to."""
    ratios, cpu = ([one["now"][unit] / one["before"][unit] for one in found] for unit in ("seconds", "cpu_s"))
    errors = {side: [_error(one[side]) for one in found] for side in _SIDES}
    higher = [now - before for now, before in zip(errors["now"], errors["before"], strict=True)]
    figures = [
        median_row("demo_before.search_ratio", ratios, "<= 0.6"),
        median_row("demo_before.search_cpu_ratio", cpu, ""),
        Row(
            "demo_before.error_difference",
            statistics.mean(higher),
            "",
            f"<= {_MARGIN}",
            (min(higher), max(higher)),
            n=len(higher),
        ),
        Row(
            "demo_before.search_s",
            statistics.median(one["now"]["seconds"] for one in found),
            "s",
            n=len(found),
        ),
    ]
    peer = statistics.mean(errors["before"])
    figures.append(Row("demo_before.error", statistics.mean(errors["now"]), peer=peer, n=len(found)))
    return [
        replace(row, source=source, peer=1.0 if "ratio" in row.claim else row.peer, peer_name=_BEFORE)
        for row in figures
    ]


def _error(outcome: Mapping[str, Any]) -> float:
    """Return the error, on images that were kept apart, of the member that the search held most accurate."""
    best = min(outcome["front"], key=lambda member: float(member["error"]))
    return float(best["test_error"])


def _searched(folder: Path, seed: int, side: str, overrides: Sequence[str]) -> dict[str, Any]:
    tree = folder / "before" if side == "before" else _ROOT
    script = Path(__file__).with_name("_demo_search.py")
    command = [sys.executable, str(script), str(folder), str(seed), *overrides]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    print(f"seed {seed}, {side}: {found['seconds']:.1f} s, error {_error(found):.4f}", flush=True)
    return found


def _done(folder: Path) -> dict[tuple[int, str], dict[str, Any]]:
    path = folder / "outcomes.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {(seed, side): found for seed, side, found in map(json.loads, lines)}


def run(options: Namespace) -> list[Row]:
    """Search, and keep what came of it where it was the demo's size."""
    folder = options.folder / ("short" if options.short else "full")
    folder.mkdir(parents=True, exist_ok=True)
    found = outcomes(folder.resolve(), _SHORT if options.short else ())
    if not options.short:
        store(_RESULTS, found)
    return rows(found, "fresh")


def main() -> None:
    """Search and judge, or look at the last full run's results again with ``--quick``."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--short", action="store_true", help="few steps, to see that it runs")
    parser.add_argument(
        "--folder", type=Path, default=_ROOT / "runs" / "demo_before", help="of what it makes"
    )
    options = parser.parse_args()
    finish(rows(stored(_RESULTS), "stored") if options.quick else run(options), options)


if __name__ == "__main__":
    main()
