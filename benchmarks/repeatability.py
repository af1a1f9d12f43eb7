"""Two independent builds of a small table, while another process keeps one core busy: how far they differ.

Each build has fresh processes. Peer: the field's habit in the same run, every operation in its turn, 10 calls
to warm up and the mean of 50. Further rows: what measuring in a process of its own changes and costs beside
measuring in this one, block by block in turns; and how often pooled intervals hold, on simulated streams
with 1 % between processes, whose truth is the undisturbed fast mode.
"""

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean, median

import numpy as np
from _repeatability_streams import STREAMS, coverage
from _rows import Row, finish, parse_options, store
from numpy.typing import NDArray
from torch import nn

import devices
from devices import Device, HostDevice
from latency_tables import FAST_MODE_QUANTILE, LatencyTable, Measurement, OpSpec
from profilers import BusyError, MeasurementPlan, Profiler, Quality, Workload, plan_for, runtimes
from profilers.worker.contract import Block, Worker
from profilers.worker.here import ThisProcess
from profilers.worker.process import WorkerProcess
from profilers.worker.processes import Processes

#: Pairs of builds, and seconds over which a build's first rounds are spread; with ``--quick`` fewer.
_PAIRS, _SPREAD_S = 10, 10.0
_QUICK_PAIRS, _QUICK_SPREAD_S = 1, 4.0

#: Rounds of blocks here and in a worker, in turns.
_TURNS, _QUICK_TURNS = 60, 30

#: Simulated entries of each kind of stream.
_SIMULATED, _QUICK_SIMULATED = 2000, 500

#: Workers beside this process: two say next to nothing of how processes differ.
_PROCESSES = 8

_WARM_UP, _MEAN_OF = 10, 50

#: Ends with the process that started it, whatever ends that.
_BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"

_SIZES = ((16, 8), (32, 8), (64, 8), (16, 16), (32, 16))


def main() -> None:
    """Measure, simulate, and print."""
    options: argparse.Namespace = parse_options(__doc__ or "")
    quick = options.quick
    rows: list[Row] = []
    raw: dict[str, list[float]] = {}
    is_noisy = False
    with devices.connect("cpu") as device, _rival():
        lowered = list(_lowered())
        try:
            plan = plan_for(device, Quality(spread_s=_QUICK_SPREAD_S if quick else _SPREAD_S))
            rows, raw = builds(device, lowered, plan, _QUICK_PAIRS if quick else _PAIRS)
        except BusyError as error:
            print(error)
            is_noisy = True
    with devices.connect("cpu") as device:
        rows += workers(device, lowered, _QUICK_TURNS if quick else _TURNS)
    rows += coverages(_QUICK_SIMULATED if quick else _SIMULATED)
    if not quick:
        store("repeatability", {"differences_percent": raw, "rows": [asdict(row) for row in rows]})
    finish(rows, options, is_noisy=is_noisy)


def builds(
    device: Device, workloads: Sequence[Workload], plan: MeasurementPlan, pairs: int
) -> tuple[list[Row], dict[str, list[float]]]:
    """Return how far independent builds differ, the field's habit beside them, and all their differences."""
    ours: list[float] = []
    habit: list[float] = []
    shares: list[float] = []
    for _ in range(pairs):
        first, second = (_build(device, workloads, plan) for _ in range(2))
        ours += _differences(*(_latencies_s(built) for built in (first, second)))
        habit += _differences(*(_habit(device, workloads) for _ in range(2)))
        shares += [
            float(entry.conditions["undisturbed_share"]) for entry in (*first.values(), *second.values())
        ]
    rows = [
        Row(
            f"repeatability.p{share}",
            float(np.percentile(ours, share)),
            "%",
            f"<= {goal}",
            peer=float(np.percentile(habit, share)),
            peer_name="in order, mean of 50",
            n=len(ours),
        )
        for share, goal in ((50, 1.5), (90, 3.0), (99, 6.0))
    ]
    share = Row("repeatability.undisturbed_share", fmean(shares), n=len(shares))
    return [*rows, share], {"ours": ours, "habit": habit}


def workers(device: Device, workloads: Sequence[Workload], turns: int) -> list[Row]:
    """Return what measuring in a process of its own changes and costs beside measuring here."""
    runtime = runtimes.load("onnxruntime")
    address = device.worker_address() if isinstance(device, HostDevice) else None
    if address is None:
        sys.exit("workers are measured on the processors of this machine, on a POSIX system")
    with device.quiet(1), ExitStack() as opened:
        start_s = time.perf_counter()
        apart = opened.enter_context(Processes(runtime, partial(WorkerProcess, runtime, address), _PROCESSES))
        here = opened.enter_context(ThisProcess(runtime, device))
        for place, workload in enumerate(workloads):
            apart.load(place, workload)
            here.load(place, workload)
        start_s = time.perf_counter() - start_s
        calls = [_calls(partial(_mean_s, here, place)) for place in range(len(workloads))]
        each = {f"apart {turn}": (apart, turn) for turn in range(_PROCESSES)}
        rounds = _in_turns({"here": (here, 0), **each}, calls, turns)
    local, first = rounds["here"], rounds["apart 0"]
    logs = np.log([rounds[name].fast_s for name in each])
    between = 100 * float(np.sqrt(np.mean(np.var(logs, axis=0, ddof=1))))
    changes = 100 * (np.mean(logs, axis=0) - np.log(local.fast_s))
    margin = 1.96 * float(np.std(changes, ddof=1)) / math.sqrt(len(calls))
    return [
        Row("repeatability.between_processes", between, "%", n=len(calls)),
        Row(
            "repeatability.worker_difference",
            abs(float(np.mean(changes))),
            "%",
            f"<= {between:.3g}",
            spread=(float(np.mean(changes)) - margin, float(np.mean(changes)) + margin),
            n=len(calls) * turns,
        ),
        Row(
            "repeatability.worker_cost",
            100 * (first.beside_s - local.beside_s) / local.took_s,
            "%",
            "<= 3",
            n=turns,
        ),
        Row("repeatability.worker_start_s", start_s, "s"),
    ]


def coverages(n: int) -> list[Row]:
    """Return how often pooled intervals hold the truth, by kind of stream."""
    found = {name: coverage(stream, n) for name, stream in STREAMS.items()}
    rows = [
        Row(
            f"repeatability.coverage95.{name}",
            100 * share,
            "%",
            spread=(100 * (share - _margin(share, n)), 100 * (share + _margin(share, n))),
            n=n,
        )
        for name, share in found.items()
    ]
    least, most = min(found.values()), max(found.values())
    return [
        *rows,
        Row("repeatability.coverage95", 100 * least, "%", ">= 92", n=n * len(found)),
        Row("repeatability.coverage95.most", 100 * most, "%", "<= 98", n=n * len(found)),
    ]


@dataclass(frozen=True)
class _Rounds:
    """What rounds of blocks gave.

    Attributes:
        fast_s: (n,) seconds of a call of each workload, in the fast mode.
        took_s: Seconds of a whole round, in the fast mode: handing over to another process on one processor
            may wait for a third that is there.
        beside_s: Those of them that are in no block.
    """

    fast_s: NDArray[np.float64]
    took_s: float
    beside_s: float


def _in_turns(
    workers: Mapping[str, tuple[Worker, int]], calls: Sequence[int], turns: int
) -> dict[str, _Rounds]:
    """Run rounds of the same blocks by each worker, in turns and in orders drawn anew."""
    rng = np.random.default_rng(0)
    latencies_s = {name: np.zeros((turns, len(calls))) for name in workers}
    took_s = {name: np.zeros(turns) for name in workers}
    for i in range(turns):
        order = rng.permutation(len(calls))
        for name in rng.permutation(list(workers)).tolist():
            worker, turn = workers[name]
            start_s = time.perf_counter()
            blocks = worker.run(turn, [(place, calls[place]) for place in order.tolist()])
            took_s[name][i] = time.perf_counter() - start_s
            latencies_s[name][i, order] = [_latency_s(block) for block in blocks]
    return {
        name: _Rounds(
            np.quantile(latencies_s[name], FAST_MODE_QUANTILE, axis=0),
            float(np.quantile(took_s[name], FAST_MODE_QUANTILE)),
            float(np.quantile(took_s[name] - latencies_s[name] @ np.array(calls), FAST_MODE_QUANTILE)),
        )
        for name in workers
    }


def _calls(mean_s: Callable[[int], float]) -> int:
    """Return how many calls last a millisecond."""
    return max(1, math.ceil(1e-3 / median(mean_s(8) for _ in range(3))))


def _mean_s(worker: Worker, place: int, n: int) -> float:
    (block,) = worker.run(0, [(place, n)])
    return _latency_s(block)


def _latency_s(block: object) -> float:
    if not isinstance(block, Block):
        sys.exit(f"a block failed: {block}")
    return block.latency_s


def _build(
    device: Device, workloads: Sequence[Workload], plan: MeasurementPlan
) -> Mapping[OpSpec, Measurement]:
    profiler = Profiler(device, runtimes.load("onnxruntime"), plan)
    table = LatencyTable.in_memory(profiler.header())
    list(profiler.fill(table, workloads))
    return table.measurements


def _latencies_s(built: Mapping[OpSpec, Measurement]) -> dict[OpSpec, float]:
    return {spec: entry.latency_s for spec, entry in built.items()}


def _habit(device: Device, workloads: Sequence[Workload]) -> dict[OpSpec, float]:
    """Measure as most do: one after another in a process, the mean of 50 calls."""
    runtime = runtimes.load("onnxruntime")
    start = partial(WorkerProcess, runtime, "cpu")
    with device.quiet(1), Processes(runtime, start, 1) as worker:
        found = {}
        for place, workload in enumerate(workloads):
            worker.load(place, workload)
            _mean_s(worker, place, _WARM_UP)
            found[workload.spec] = _mean_s(worker, place, _MEAN_OF)
        return found


def _differences(first: Mapping[OpSpec, float], second: Mapping[OpSpec, float]) -> list[float]:
    return [100 * abs(first[spec] / second[spec] - 1) for spec in first]


def _margin(share: float, n: int) -> float:
    return 1.96 * math.sqrt(share * (1 - share) / n)


@contextmanager
def _rival() -> Iterator[None]:
    """Keep one core busy, whichever the system chooses."""
    with subprocess.Popen([sys.executable, "-c", _BUSY]) as rival:
        try:
            yield
        finally:
            rival.kill()


def _lowered() -> Iterator[Workload]:
    """Yield 20 operations, lowered once: every build runs the same bytes."""
    runtime = runtimes.load("onnxruntime")
    for channels, size in _SIZES:
        modules: dict[str, Callable[[], nn.Module]] = {
            "conv3": partial(nn.Conv2d, channels, channels, 3, padding=1),
            "conv1": partial(nn.Conv2d, channels, channels, 1),
            "depthwise": partial(nn.Conv2d, channels, channels, 3, padding=1, groups=channels),
            "pool": partial(nn.MaxPool2d, 3, 1, 1),
        }
        for kind, build in modules.items():
            spec = OpSpec.of(kind, (1, channels, size, size))
            yield Workload(spec, runtime.lowered(Workload(spec, build)))


if __name__ == "__main__":
    main()
