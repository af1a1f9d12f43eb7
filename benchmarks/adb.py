"""What the way to a phone costs: both transports against Debian's adb, on the real daemon in the same run.

Peer: the adb client as everybody calls it, one process a command, through an adb server of its own; what the
process itself costs (``adb version``) is taken out for the figures named ``net``. All in turn, in random
order. The overhead of a table's entry is wall time minus the time that programs ran on the device: for a
played phone behind the real daemon, whose ``benchmark_model`` is the tests' stand-in: no phone's speed
plays a part. One entry is measured, and several are, which separates the cost of an entry from that of
starting.
"""

import os
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from _rows import Row, finish, parse_options

from cars_hw import spaces
from cars_hw.latency.contents import TableContents
from devices import Device, _adb
from devices.android import Android
from latency_tables import Measurement
from profilers import MeasurementPlan, Profiler, Runtime, SentinelPlan, Workload, runtimes
from tests.fakes import programs
from tests.fakes.adb_daemon import AdbServer, RealDaemon, adb_server, daemon_program, real_daemon
from tests.fakes.played_phone import PlayedPhone

_RESAMPLES = 1000
_MIB = 1 << 20
_RATIO_GOAL = ">= 0.5"
_OVERHEAD_GOAL = "<= 1.0"

#: Entries of a table that are to fit half an hour of phone time.
_ENTRIES, _PHONE_TIME_S = 200, 1800.0

#: What a process of ``benchmark_model`` takes on a phone besides its block: 0.2 s to start, 0.2 s to warm up.
_PROCESS_S = 0.4

#: Length of blocks where only what lies between them counts.
_SHORT_S = 0.02

#: No block of a stand-in on a shared machine is too slow.
_ANY_DRIFT = 1e6

#: With a spread of a ratio wider than this, relative, and its goal inside, noise decides.
_NOISY = 0.5

Work = Callable[[], object]
Times = Mapping[str, Sequence[float]]


def in_turn(works: Mapping[str, Work], n: int) -> Times:
    """Time each of ``works`` ``n`` times, in turn, in random order within a round; seconds."""
    rng = random.Random(0)  # noqa: S311
    times: dict[str, list[float]] = {name: [] for name in works}
    for i in range(n + 1):
        for name in rng.sample(list(works), len(works)):
            start_s = time.perf_counter()
            works[name]()
            if i:  # the first round warms up
                times[name].append(time.perf_counter() - start_s)
    return times


def ratio_row(claim: str, times: Times, way: str, *, goal: str = "", is_net: bool = False) -> Row:
    """Return how fast ``way`` is, relative to adb: the ratio of the medians, resampled by rounds."""
    theirs = np.array(times["adb"]) - (statistics.median(times["process"]) if is_net else 0.0)
    ours = np.array(times[way])
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(ours), size=(_RESAMPLES, len(ours)))
    ratios = np.median(theirs[drawn], axis=1) / np.median(ours[drawn], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    figure = float(np.median(theirs) / np.median(ours))
    return Row(claim, figure, goal=goal, spread=(float(low), float(high)), n=len(ours))


def compare_transports(folder: Path, *, n: int, size_bytes: int) -> list[Row]:
    """Time commands and pushes on the real daemon: ours directly, ours through the server, and adb's."""
    content = os.urandom(size_bytes)
    (folder / "content").write_bytes(content)
    with ExitStack() as stack:
        daemon = stack.enter_context(real_daemon("open", folder))
        server = stack.enter_context(adb_server(folder))
        os.environ.update(server.environment)
        server.connect(daemon.address)
        direct = stack.enter_context(_adb.connect(f"tcp:{daemon.address}"))
        through = stack.enter_context(_adb.connect(daemon.address))
        adb = _adb_process(server, daemon)
        trips = in_turn(
            {
                "direct": lambda: direct.shell("true", timeout_s=10),
                "server": lambda: through.shell("true", timeout_s=10),
                "adb": lambda: adb("shell", "true"),
                "process": lambda: adb("version"),
            },
            n,
        )
        pushes = in_turn(
            {
                "direct": lambda: direct.push(content, f"{folder}/direct", timeout_s=60),
                "server": lambda: through.push(content, f"{folder}/server", timeout_s=60),
                "adb": lambda: adb("push", str(folder / "content"), f"{folder}/adb"),
                "process": lambda: adb("version"),
            },
            max(5, n // 6),
        )
    return [*_rows_of("roundtrip", trips), *_rows_of("push", pushes)]


def _adb_process(server: AdbServer, daemon: RealDaemon) -> Callable[..., None]:
    def adb(*words: str) -> None:
        done = server.adb("-s", daemon.address, *words)
        if done.returncode != 0:
            sys.exit(f"adb {words[0]} failed: {done.stderr.decode(errors='replace')}")

    return adb


def _rows_of(what: str, times: Times) -> list[Row]:
    slower = max(("direct", "server"), key=lambda way: statistics.median(times[way]))
    rows = [ratio_row(f"adb.{what}_ratio", times, slower, goal=_RATIO_GOAL)]
    for way in ("direct", "server"):
        rows.append(ratio_row(f"adb.{what}_ratio.{way}", times, way))
        rows.append(ratio_row(f"adb.{what}_ratio.{way}_net", times, way, is_net=True))
    return rows


def overhead_s(
    device: Device, runtime: Runtime, workloads: Sequence[Workload], on_device_s: Callable[[], float]
) -> float:
    """Measure ``workloads``, each to be an entry; return the seconds of that which were not the device's.

    Blocks are short, which changes nothing of what is not the device's, and noisy, so that the plan takes as
    many of them as it ever does.

    Args:
        device: Whose rests pass no time.
        runtime: Executes them there.
        workloads: What to measure.
        on_device_s: Returns how many seconds programs have run on the device so far.
    """
    plan = MeasurementPlan.for_phones()
    sentinel = replace(plan.sentinel or SentinelPlan(), block_s=_SHORT_S, max_drift=_ANY_DRIFT)
    plan = replace(plan, block_s=_SHORT_S, precision=1e-9, sentinel=sentinel)
    before_s = on_device_s()
    start_s = time.perf_counter()
    entries = Profiler(device, runtime, plan).measure(workloads)
    wall_s = time.perf_counter() - start_s
    failed = [entry for entry in entries if not isinstance(entry, Measurement)]
    if failed:
        sys.exit(f"{len(failed)} entries failed, the first: {failed[0]}")
    return wall_s - (on_device_s() - before_s)


@contextmanager
def played_phone(folder: Path) -> Iterator[tuple[Android, Runtime, Callable[[], float]]]:
    """Put a played phone behind the real daemon; also return TFLite for it, and the clock of its programs."""
    phone = PlayedPhone(folder / "phone")
    tool, log = folder / "benchmark_model", folder / "log"
    log.touch()
    tool.write_bytes(programs.benchmark_model())
    tool.chmod(0o755)
    timed = folder / "timed"
    timed.write_text(
        f'#!/bin/sh\nstart=$(date +%s%N)\n{tool} "$@"\nstatus=$?\n'
        f"echo $start $(date +%s%N) >> {log}\nexit $status\n"
    )

    def on_device_s() -> float:
        spans = [line.split() for line in log.read_text().splitlines()]
        return sum(int(end) - int(start) for start, end in spans) / 1e9

    path = f"{phone.programs}:{os.environ['PATH']}"
    with real_daemon("open", folder, path=path) as daemon:
        transport = _adb.connect(f"tcp:{daemon.address}")
        with Android(transport, root=phone.root, sleep=phone.sleep) as device:
            yield device, runtimes.load("tflite", benchmark_binary=str(timed)), on_device_s


def entry_rows(folder: Path, n: int, n_groups: int) -> list[Row]:
    """Measure 1 and then ``n`` entries of the DARTS space's table, evenly from all of it: networks too.

    Args:
        folder: Empty, for the phone.
        n: Entries.
        n_groups: In so many measuring runs, whose range is the spread.
    """
    table = TableContents(spaces.load("darts")).workloads()
    chosen = [table[(2 * i + 1) * len(table) // (2 * n)] for i in range(n)]
    with played_phone(folder) as (device, runtime, on_device_s):
        overhead_s(device, runtime, chosen[:1], on_device_s)  # loads torch, and brings the tool there
        one_entry_s = overhead_s(device, runtime, chosen[:1], on_device_s)
        groups = [chosen[i::n_groups] for i in range(n_groups)]
        all_s = [overhead_s(device, runtime, group, on_device_s) for group in groups]
    each_s = [
        (group_s - one_entry_s) / (len(group) - 1) for group_s, group in zip(all_s, groups, strict=True)
    ]
    entry_s = statistics.fmean(each_s)
    table_s = _ENTRIES * (entry_s + _phone_s_per_entry())
    return [
        Row(
            "adb.entry_overhead_s",
            entry_s,
            "s",
            goal=_OVERHEAD_GOAL,
            spread=(min(each_s), max(each_s)),
            n=n - n_groups,
        ),
        Row("adb.start_overhead_s", one_entry_s - entry_s, "s"),
        Row("adb.table_of_200_s.computed", table_s, "s", goal=f"<= {_PHONE_TIME_S:g}"),
    ]


def _phone_s_per_entry() -> float:
    """Compute the phone's own time for an entry by the plan: its processes and its part of the sentinel's."""
    plan = MeasurementPlan.for_phones()
    sentinel = plan.sentinel or SentinelPlan()
    first_and_checked = 2 * _PROCESS_S
    blocks_s = plan.max_rounds * (plan.block_s + _PROCESS_S)
    return (
        first_and_checked
        + blocks_s
        + plan.max_rounds / sentinel.blocks_between * (sentinel.block_s + _PROCESS_S)
    )


def main() -> None:
    """Measure, and hold the figures against their goals."""
    options = parse_options(__doc__ or "")
    if shutil.which("adb") is None or daemon_program("open") is None:
        sys.exit("needs Debian's package adb, and the daemon of ./scripts/adbd")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / secrets.token_hex(4)
        folder.mkdir()
        size_bytes = (16 if options.quick else 64) * _MIB
        rows = compare_transports(folder, n=40 if options.quick else 300, size_bytes=size_bytes)
        rows += entry_rows(folder, *((4, 1) if options.quick else (24, 3)))
    finish(rows, options, is_noisy=any(_is_undecided(row) for row in rows))


def _is_undecided(row: Row) -> bool:
    """Tell whether noise decides about a goal."""
    if not row.goal or row.spread is None:
        return False
    bound = float(row.goal.split(" ")[1])
    low, high = row.spread
    return low < bound < high and (high - low) > _NOISY * row.figure


if __name__ == "__main__":
    main()
