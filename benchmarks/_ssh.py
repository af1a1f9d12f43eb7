"""What measuring over SSH costs beside the board's own work: a board on loopback, by a real ``sshd``.

Entries are units of DARTS networks, lowered before, in processes that take turns, in as many rounds as a plan
ever takes. Overhead is all time in which no process on the board was at work, or ready for it: to send
models, to compare what they compute, and to ask for each block. One entry is measured, and many are, which
separates the cost of an entry from that of starting. The floor is the same program behind a pipe, without
SSH, in turns.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _rows import Row

import devices
from cars_hw import spaces
from cars_hw.weights import modules
from devices import RemoteHost
from latency_tables import Entry, Measurement, OpSpec
from profilers import MeasurementPlan, Profiler, Workload, runtimes
from profilers.progress.report import Step
from tests.fakes.local_board import LocalBoard
from tests.fakes.processes import running
from tests.fakes.sshd import sshd

_GOAL = "<= 0.02"

_ENTRIES, _TIMES, _NETWORKS = 24, 7, 4


def measured() -> dict[str, Any]:
    """Measure over SSH and over a pipe, in turns; return the overheads in seconds, by way and entries."""
    workloads = _units()
    found: dict[str, list[list[float]]] = {"ssh": [], "pipe": []}
    with tempfile.TemporaryDirectory() as name, _boards(Path(name)) as boards:
        for board in boards.values():
            _overhead_s(board, workloads[:1])  # loads what both need
        for _ in range(_TIMES):
            for way, board in boards.items():
                found[way].append([_overhead_s(board, workloads[:1]), _overhead_s(board, workloads)])
    return {"entries": len(workloads), "overheads_s": found}


def rows(raw: dict[str, Any], source: str) -> Sequence[Row]:
    """Return the overhead of an entry beside its floor, and that of starting."""
    entries = int(raw["entries"])
    each_s = {way: _each_s(times, entries) for way, times in raw["overheads_s"].items()}
    starts_s = [one - each for (one, _), each in zip(raw["overheads_s"]["ssh"], each_s["ssh"], strict=True)]
    found_s = each_s["ssh"]
    return [
        Row(
            "ssh.entry_overhead_s",
            median(found_s),
            "s",
            goal=_GOAL,
            spread=(min(found_s), max(found_s)),
            floor=median(each_s["pipe"]),
            n=len(found_s),
            source=source,
        ),
        Row("ssh.start_overhead_s", median(starts_s), "s", n=len(starts_s), source=source),
    ]


def _each_s(times: Sequence[Sequence[float]], entries: int) -> list[float]:
    return [(all_s - one_s) / (entries - 1) for one_s, all_s in times]


def _units() -> list[Workload]:
    """Return units of a few DARTS networks."""
    space, rng = spaces.load("darts", deploy="search", channels=16, cells=5), np.random.default_rng(0)
    counter = runtimes.load("onnxruntime").counter(modules.build)
    units: dict[OpSpec, None] = {}
    for _ in range(_NETWORKS):
        units |= dict.fromkeys(counter.executed(space.deployed(space.sample(rng)).nodes).counts)
    chosen = list(units)
    return [counter.workload(chosen[i * len(chosen) // _ENTRIES]) for i in range(_ENTRIES)]


@contextmanager
def _boards(folder: Path) -> Iterator[Mapping[str, RemoteHost]]:
    (folder / "sshd").mkdir()
    (folder / "pipe").mkdir()
    with sshd(folder / "sshd") as server:
        os.environ["CARS_HW_SSH_CONFIG"] = str(server.config)
        with devices.connect(f"ssh:board?cores=all&python={sys.executable}") as board:
            if not isinstance(board, RemoteHost):
                sys.exit("a board over SSH is no RemoteHost")
            yield {"ssh": board, "pipe": LocalBoard(folder / "pipe")}


def _overhead_s(board: RemoteHost, workloads: Sequence[Workload]) -> float:
    """Measure ``workloads``; return the seconds in which nothing was at work on the board."""
    plan = replace(MeasurementPlan.for_boards(), precision=1e-9, spread_s=0.0, sentinel=None)
    entries = list[Entry]()
    work_s = 0.0

    def watch(step: Step) -> None:
        nonlocal work_s
        if step.entry is not None:
            entries.append(step.entry)
        if len(entries) == len(workloads):  # while its processes are still there
            work_s = sum(map(_work_s, running(f"{_folder(board)}/")))

    start_s = time.perf_counter()
    Profiler(board, runtimes.load("onnxruntime"), plan, on_step=watch).measure(workloads)
    wall_s = time.perf_counter() - start_s
    if not work_s or not all(isinstance(entry, Measurement) for entry in entries):
        sys.exit(f"the board did not measure: {entries}")
    return wall_s - work_s


def _folder(board: RemoteHost) -> str:
    return board.push(b"").rpartition("/")[0]


def _work_s(process: int) -> float:
    """Return for how long a process of Python has had a processor, or waited for one; 0 of any other."""
    try:
        if Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0] != sys.executable.encode():
            return 0.0
        ran_ns, waited_ns, _ = Path(f"/proc/{process}/schedstat").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(ran_ns) + int(waited_ns)) / 1e9
