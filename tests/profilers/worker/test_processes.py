"""Processes of their own that measure: what happens to one costs one workload, and none is left behind."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cars_hw.testing._entries import measured
from devices._errors import DeviceError, DeviceTimeoutError
from devices.cpu import Cpu
from latency_tables import Failure, FailureStatus, LatencyTable, OpSpec
from profilers.errors import WrongOutputError
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import LoweredModel, Runtime, Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from profilers.worker.contract import Block
from profilers.worker.process import WorkerEndedError, WorkerProcess
from profilers.worker.processes import Processes
from tests.fakes.crashing_runtime import CALL_S, Crashing
from tests.fakes.modules import conv

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes are passed on as POSIX does it")

_CONV = OpSpec.of("conv", (1, 8, 12, 12))

_QUICK = MeasurementPlan(precision=0.1, min_rounds=5, spread_s=0.0, max_rounds=40, budget_s=2.0, processes=2)


def workloads(*kinds: str) -> list[Workload]:
    return [Workload(OpSpec.of(kind, (1, 8, 4, 4)), Path("its kind says all")) for kind in kinds]


def processes(runtime: Runtime, address: str) -> Processes:
    return Processes(runtime, partial(WorkerProcess, runtime, address), 1)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_a_crash_costs_its_entry_and_the_others_go_on_in_two_processes() -> None:
    with Cpu.connect("") as device:
        profiler = Profiler(device, Crashing(), _QUICK)
        table = LatencyTable.in_memory(profiler.header())
        entries = list(profiler.fill(table, workloads("a", "load", "run", "refused", "b")))
    crashed = {entry.spec.kind: entry for entry in entries if isinstance(entry, Failure)}
    assert {kind: entry.status for kind, entry in crashed.items()} == dict.fromkeys(
        ("load", "run", "refused"), FailureStatus.CRASHED
    )
    for kind in ("load", "run"):
        assert "it crashed the process that measured it: SIGSEGV" in crashed[kind].reason
    assert crashed["refused"].reason == "no such operation"
    found = measured(entry for entry in entries if entry.spec.kind not in crashed)
    assert {entry.spec.kind for entry in found} == {"a", "b"}
    for entry in found:
        blocks = str(entry.conditions["process_blocks"]).split("+")
        assert sum(map(int, blocks)) == len(entry.samples_s) == 7
        assert len(blocks) == 3  # two, and the one in the place of that which crashed
        assert entry.latency_s == pytest.approx(CALL_S)
        assert entry.conditions["has_torch"] is False
        assert entry.conditions["own_process"] != os.getpid()


@pytest.fixture
def process() -> Iterator[WorkerProcess]:
    started = WorkerProcess(Crashing(), "cpu", 7)
    yield started
    started.close()


def test_a_process_that_ends_itself_tells_its_last_words_and_one_closed_is_gone(
    process: WorkerProcess,
) -> None:
    spec = OpSpec("x", (1,))
    own = process.load(0, spec, LoweredModel(b"a"))["own_process"]
    assert process.run([(0, 4), (0, 2)]) == [Block(CALL_S, 4, None, 7), Block(CALL_S, 2, None, 7)]
    process.load(1, spec, LoweredModel(b"exit"))
    with pytest.raises(
        WorkerEndedError, match=r"ended the process that measured it \(1\): out of order"
    ) as ended:
        process.run([(0, 1), (1, 1), (0, 1)])
    assert ended.value.place == 1
    assert not is_running(int(own))


def test_a_process_that_cannot_start_is_said_with_its_reason() -> None:
    worker = processes(Crashing(), "nowhere")
    with worker, pytest.raises(DeviceError, match=r"does not start: .*unknown device 'nowhere'"):
        worker.load(0, workloads("a")[0])


@pytest.mark.slow
def test_a_process_that_hangs_is_ended_and_its_workload_has_timed_out() -> None:
    process = WorkerProcess(Crashing(), "cpu", 0, limit_s=5.0)
    try:
        process.load(3, OpSpec("x", (1,)), LoweredModel(b"hang"))
        with pytest.raises(WorkerEndedError) as ended:
            process.run([(3, 1)])
    finally:
        process.close()
    assert (ended.value.place, type(ended.value.error)) == (3, DeviceTimeoutError)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_process_at_work_ends_with_the_one_that_started_it() -> None:
    program = (
        "from latency_tables import OpSpec\n"
        "from profilers import LoweredModel\n"
        "from profilers.worker.process import WorkerProcess\n"
        "from tests.fakes.crashing_runtime import Crashing\n"
        "process, spec = WorkerProcess(Crashing(), 'cpu', 0), OpSpec('x', (1,))\n"
        "print(process.load(0, spec, LoweredModel(b'hang'))['own_process'], flush=True)\n"
        "process.run([(0, 1)])\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        own = int(host.stdout.readline())
        assert is_running(own)
        host.kill()
    until_s = time.monotonic() + 10.0
    while is_running(own) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not is_running(own)


def test_onnx_runtime_measures_in_a_process_that_has_its_wrong_numbers_found() -> None:
    right = OnnxRuntime().lowered(Workload(_CONV, conv))
    wrong = replace(right, reference=np.zeros((1, 16, 12, 12), np.float32))
    with Cpu.connect("") as device, device.quiet(1), processes(OnnxRuntime(), "cpu") as worker:
        worker.load(0, Workload(_CONV, right))
        (block,) = worker.run(0, [(0, 2)])
        assert isinstance(block, Block)
        assert block.latency_s > 0
        with pytest.raises(WrongOutputError, match="differs from torch's"):
            worker.load(1, Workload(_CONV, wrong))
        assert worker.run(0, [(0, 1)])
