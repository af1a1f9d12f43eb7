"""Jobs of long benchmarks: each one's raw result is a file of its own, with a hash, as soon as it ends.

What is between is a run folder below ``runs``, which goes on where it was stopped, by a signal too.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from _rows import digest

from cars_hw.assembly import open_search
from cars_hw.config import SearchConfig
from cars_hw.runs import Run

#: Raw results, which are committed; and run folders, which are not.
RAW, RUNS = Path(__file__).parent / "results" / "raw", Path("runs")
_SESSIONS = "sessions.jsonl"


@dataclass(frozen=True)
class Store:
    """The raw results of a benchmark's jobs.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    def names(self) -> list[str]:
        """List the jobs that have ended."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def write(self, name: str, raw: object) -> None:
        """Keep what came of a job, for good.

        Raises:
            SystemExit: It is there already, and is another.
        """
        path = self.folder / f"{name}.json"
        found = json.loads(json.dumps(raw))
        if path.exists():
            if self.read(name) != found:
                sys.exit(f"{path} is there already, and is another result; delete it to make it anew")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(".part")
        written.write_text(json.dumps({"sha256": digest(found), "raw": found}) + "\n")
        written.replace(path)

    def read(self, name: str) -> Any:
        """Return what came of a job.

        Raises:
            SystemExit: Its hash does not hold.
        """
        path = self.folder / f"{name}.json"
        content = json.loads(path.read_text())
        if content["sha256"] != digest(content["raw"]):
            sys.exit(f"{path} was changed by hand: its hash does not hold")
        return content["raw"]

    def sha256(self, name: str) -> str:
        """Return the hash of what came of a job."""
        return digest(self.read(name))


def searched(folder: Path, config: SearchConfig) -> Run | None:
    """Run a search in ``folder`` to its end, or go on with it.

    Returns:
        The run; ``None`` where a signal stopped it, saved.
    """
    run = Run.create(folder, config)
    search = open_search(run, workers=1)
    with stopped_by_signals(search.request_end), timed(folder):
        for generation in search.run():
            print(f"{folder.name}: generation {generation.index}, {search.trainer.ledger}", flush=True)
    return run if search.ended_by is None else None


@contextmanager
def timed(folder: Path) -> Iterator[None]:
    """Keep the CPU seconds of this process until left, beside those of the sessions before."""
    start_s = time.process_time()
    try:
        yield
    finally:
        with (folder / _SESSIONS).open("a") as file:
            file.write(json.dumps({"cpu_s": time.process_time() - start_s}) + "\n")


def cpu_s(folder: Path) -> float:
    """Return the CPU seconds of all sessions in ``folder``; one that was killed is not among them."""
    lines = (folder / _SESSIONS).read_text().splitlines()
    return sum(float(json.loads(line)["cpu_s"]) for line in lines)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM call ``stop`` until left, in place of what they do."""

    def end(_number: int, _frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
