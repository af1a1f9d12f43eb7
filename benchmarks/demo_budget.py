"""Where the demo's seconds go, and whether what it promises holds.

A full run makes the demo in a fresh folder; ``--quick`` checks the last full run's results again, which are
stored with a hash.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _rows import Row, finish, parse_options, store, stored

#: Relative half-width of an interval: a third of the difference that is allowed.
_NOISY = 0.1


def run_demo() -> dict[str, Any]:
    """Run the demo as a user would, and return its figures with the wall time of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from cars_hw.cli import main; main()", "demo", "--run", folder]
        start_s = time.perf_counter()
        subprocess.run(command, check=True)
        wall_s = time.perf_counter() - start_s
        summary: dict[str, Any] = json.loads((Path(folder) / "summary.json").read_text())
    return {**summary, "wall_s": wall_s}


def rows(raw: dict[str, Any], source: str) -> list[Row]:
    """Return the demo's promises and the seconds of each step."""
    front, exports = raw["front"], raw["exports"].values()
    picked = {name: done["table_error"] for name, done in raw["exports"].items()}
    errors = [abs(done["error"] - picked[name]) * 100 for name, done in raw["exports"].items()]
    latencies = [abs(done["difference_percent"]) for done in exports]
    found = [
        Row("demo.wall", raw["wall_s"], "s", "<= 600", source=source),
        Row(
            "demo.best_error",
            min(m["error"] for m in front) * 100,
            "%",
            "<= 15",
            n=len(front),
            peer=90.0,
            peer_name="chance",
            source=source,
        ),
        Row("demo.front_members", len({m["architecture"] for m in front}), "", ">= 5", source=source),
        Row("demo.export_error_difference", max(errors), "points", "<= 1", n=len(errors), source=source),
        Row("demo.export_latency_difference", max(latencies), "%", "<= 30", n=len(latencies), source=source),
        Row(
            "demo.front_latency_difference",
            max(abs(m["difference_percent"]) for m in front),
            "%",
            n=len(front),
            source=source,
        ),
    ]
    seconds = raw["seconds"]
    return (
        found
        + [Row(f"demo.seconds.{step}", spent_s, "s", source=source) for step, spent_s in seconds.items()]
        + [
            Row(
                "demo.seconds.training",
                raw["ledger"]["training_s"],
                "s",
                n=raw["ledger"]["steps"],
                source=source,
            ),
            Row(
                "demo.seconds.evaluation",
                raw["ledger"]["evaluation_s"],
                "s",
                n=raw["ledger"]["evaluations"],
                source=source,
            ),
        ]
    )


def main(options: argparse.Namespace) -> None:
    """Run the demo, or check the last run again."""
    if not options.quick:
        store("demo_budget", run_demo())
    raw = stored("demo_budget")
    finish(rows(raw, "stored" if options.quick else "fresh"), options, is_noisy=_is_noisy(raw))


def _is_noisy(raw: dict[str, Any]) -> bool:
    """Tell whether the exported files' own latencies were too uncertain to hold a prediction against."""
    for done in raw["exports"].values():
        low, high = done["measured_interval_ms"]
        if (high - low) / 2 > _NOISY * done["measured_ms"]:
            return True
    return False


if __name__ == "__main__":
    main(parse_options(__doc__ or ""))
