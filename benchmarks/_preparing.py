"""Prints the CPU seconds of what ``profile`` prepares for darts deployed to CIFAR: all but measuring.

Its networks are lowered, what the runtime makes of them and of the candidates is counted, and everything is
lowered for the processes that measure; latencies are made up. Loading the libraries does not count.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import torch

import devices
from cars_hw.latency.filling import UnitFilling
from cars_hw.spaces.darts import Darts
from cars_hw.weights.network import Network
from latency_tables import CALL_OVERHEAD, LatencyTable, Measurement, OpSpec
from profilers import Filled, Profiler, Setup, Workload, keep_executed
from profilers.lowering.onnx import lower

_SETUP = Setup("cpu", "onnxruntime")
#: A network takes as long as its units and a call.
_CALL_S, _UNIT_S = 1e-6, 1e-5
_SAMPLES = 10

#: What is loaded before the clock starts.
_LOADED = (onnxruntime, torch, Network, lower)


def prepared_s(path: Path) -> float:
    """Return the CPU seconds of preparing a new table at ``path``."""

    def keep(networks: Sequence[Workload]) -> None:
        keep_executed(path, networks, _SETUP)

    def fill(workloads: Sequence[Workload]) -> Filled:
        return _filled(path, workloads)

    before_s = time.process_time()
    UnitFilling(Darts(), path, _SETUP, keep, fill).run()
    return time.process_time() - before_s


def _filled(path: Path, workloads: Sequence[Workload]) -> Filled:
    """Lower what the table lacks, as before it is measured, and enter made-up latencies."""
    runtime = _SETUP.load_runtime()
    with devices.connect(_SETUP.device) as device:
        header = Profiler(device, runtime).header("units")
    with LatencyTable.open_for_writing(path, header) as table:
        missing = set(table.missing([workload.spec for workload in workloads]))
        entries = list[Measurement]()
        for workload in workloads:
            if workload.spec in missing:
                runtime.lowered(workload)
                latency_s = _latency_s(table, workload.spec)
                samples_s = [latency_s * (1 + i / 100) for i in range(_SAMPLES)]
                entries.append(Measurement(workload.spec, tuple(samples_s)))
        table.add(*entries)
    return Filled(list(entries), 0.0)


def _latency_s(table: LatencyTable, spec: OpSpec) -> float:
    if spec == CALL_OVERHEAD:
        return _CALL_S
    graph = table.executed.get(spec)
    return _UNIT_S if graph is None else _CALL_S + _UNIT_S * len(graph.nodes)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(prepared_s(Path(folder) / "table.jsonl"))
