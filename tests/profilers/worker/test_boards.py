"""Processes on a board that measure: what happens to one costs one workload, and none is left behind."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from cars_hw.testing._entries import measured
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from latency_tables import Failure, FailureStatus, LatencyTable, Measurement, OpSpec
from profilers.errors import ProfilingError
from profilers.plan import MeasurementPlan, Quality, SentinelPlan
from profilers.profiler import Profiler, plan_for
from profilers.progress.report import Step
from profilers.runtimes._runtime import LoweredModel, Runtime, Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from profilers.runtimes.tflite import TfLite
from tests.fakes.board_packages import onnxruntime as stand_in
from tests.fakes.local_board import LocalBoard
from tests.fakes.modules import conv
from tests.fakes.processes import is_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="boards run Linux")

#: This machine is shared and in no way steady: no sentinel, or one that may drift as it likes.
_QUICK = MeasurementPlan(precision=0.1, min_rounds=5, spread_s=0.0, max_rounds=40, budget_s=2.0, processes=2)
_WITH_SENTINEL = replace(_QUICK, sentinel=SentinelPlan(block_s=0.01, max_drift=1e6))


@pytest.fixture
def board(tmp_path: Path) -> LocalBoard:
    """A board whose ONNX Runtime is the stand-in, which does what a model says."""
    return LocalBoard(tmp_path, packages=Path(stand_in.__file__).parent)


def workloads(*kinds: str) -> list[Workload]:
    return [Workload(OpSpec.of(kind, (1, 8, 4, 4)), LoweredModel(kind.encode())) for kind in kinds]


def all_ended(board: LocalBoard) -> bool:
    return not any(is_running(conversation.process.pid) for conversation in board.conversations)


def test_a_crash_costs_its_entry_and_the_others_go_on_in_two_processes(board: LocalBoard) -> None:
    profiler = Profiler(board, OnnxRuntime(), _QUICK)
    table = LatencyTable.in_memory(profiler.header())
    entries = list(profiler.fill(table, workloads("a", "load", "run", "refused", "b")))
    failed = {entry.spec.kind: entry for entry in entries if isinstance(entry, Failure)}
    assert {kind: entry.status for kind, entry in failed.items()} == {
        "load": FailureStatus.CRASHED,
        "run": FailureStatus.CRASHED,
        "refused": FailureStatus.UNSUPPORTED,
    }
    for kind in ("load", "run"):
        assert failed[kind].reason == "it crashed the program that measured it: SIGSEGV, Segmentation fault"
    found = measured(entry for entry in entries if entry.spec.kind not in failed)
    assert {entry.spec.kind for entry in found} == {"a", "b"}
    for entry in found:
        blocks = str(entry.conditions["process_blocks"]).split("+")
        assert sum(map(int, blocks)) == len(entry.samples_s)
        assert len(blocks) >= 2
    assert table.header.runtime_version == "1.0.stand-in"
    assert all_ended(board)


def test_a_program_that_somebody_ends_is_replaced_and_none_of_its_workloads_is_blamed(
    board: LocalBoard,
) -> None:
    killed = list[int]()

    def kill_one(step: Step) -> None:
        if step.rounds and not killed and all(step.rounds.values()):
            killed.append(board.conversations[-1].process.pid)
            os.kill(killed[0], signal.SIGKILL)

    entries = Profiler(board, OnnxRuntime(), _QUICK, on_step=kill_one).measure(workloads("a", "b"))
    assert len(measured(entries)) == 2
    assert killed
    assert all_ended(board)


def test_programs_that_end_again_and_again_end_the_measuring(board: LocalBoard) -> None:
    def kill_all(step: Step) -> None:
        for conversation in board.conversations:
            conversation.process.kill()

    profiler = Profiler(board, OnnxRuntime(), _QUICK, on_step=kill_all)
    with pytest.raises(DeviceError, match="processes that measure end again and again: it ended"):
        profiler.measure(workloads("a", "b"))
    assert all_ended(board)


def test_a_lost_board_keeps_what_was_measured(board: LocalBoard) -> None:
    profiler = Profiler(board, OnnxRuntime(), replace(_QUICK, group_size=1))
    table = LatencyTable.in_memory(profiler.header())
    entries = profiler.fill(table, workloads("a", "b"))
    next(entries)
    board.is_lost, board.interpreter = True, "/bin/false"
    with pytest.raises(DeviceLostError, match="the board was lost"):
        next(entries)
    assert [spec.kind for spec in table.measurements] == ["a"]
    assert all_ended(board)


def test_a_board_that_starts_no_program_in_time_is_lost_and_no_workload_took_too_long(
    tmp_path: Path,
) -> None:
    class Slow(LocalBoard):
        """A board that is too busy to start a program."""

        def push(self, content: bytes, *, executable: bool = False) -> str:
            raise DeviceTimeoutError("no answer within 20 s")

    profiler = Profiler(Slow(tmp_path), OnnxRuntime(), _QUICK)
    with pytest.raises(DeviceLostError, match="no answer within 20 s"):
        profiler.measure(workloads("a", "b"))


def test_a_sentinel_that_somebody_ends_is_named(board: LocalBoard) -> None:
    spec = OpSpec.of("sentinel", (1, 8, 4, 4))
    with OnnxRuntime().prepare(Workload(spec, LoweredModel(b"a")), board) as sampler:
        board.conversations[-1].process.kill()
        with pytest.raises(ProfilingError, match=r"sentinel\[.* on the board: it ended: without a word"):
            sampler(1)


@pytest.mark.parametrize("runtime", [OnnxRuntime(), TfLite()], ids=["onnxruntime", "tflite"])
def test_a_board_is_measured_beside_a_sentinel_and_computes_what_torch_does(
    runtime: Runtime, tmp_path: Path
) -> None:
    board = LocalBoard(tmp_path)
    specs = [OpSpec.of("conv", (1, 8, 12, 12)), OpSpec.of("relu", (1, 8, 12, 12))]
    asked = [Workload(specs[0], conv), Workload(specs[1], nn.ReLU)]
    entries = Profiler(board, runtime, _WITH_SENTINEL).measure(asked)
    for entry in entries:
        assert isinstance(entry, Measurement), entry
        assert 1e-9 < entry.latency_s < 1e-2
        assert "sentinel_s" in entry.conditions
    assert all_ended(board)


def test_boards_are_measured_as_this_machine_is_but_with_a_sentinel(tmp_path: Path) -> None:
    plan = plan_for(LocalBoard(tmp_path), Quality(precision=0.03, processes=3, max_drift=0.1))
    assert (plan.precision, plan.processes, plan.block_s) == (0.03, 3, MeasurementPlan().block_s)
    assert plan.sentinel is not None
    assert plan.sentinel.max_drift == 0.1
