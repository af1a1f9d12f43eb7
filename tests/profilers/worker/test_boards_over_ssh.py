"""Measuring on a board over SSH: a real ``sshd`` on loopback; what breaks costs blocks, and nothing stays."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

import devices
from cars_hw.testing._entries import measured
from devices import RemoteHost
from latency_tables import LatencyTable, OpSpec
from profilers.plan import MeasurementPlan, SentinelPlan
from profilers.profiler import Profiler
from profilers.progress.report import Step
from profilers.runtimes._runtime import Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from tests.fakes.modules import conv
from tests.fakes.processes import ended
from tests.fakes.sshd import Sshd

#: This machine is shared and in no way steady, so its sentinel may drift as it likes.
_PLAN = MeasurementPlan(
    precision=0.1,
    min_rounds=5,
    spread_s=0.0,
    max_rounds=40,
    budget_s=2.0,
    processes=2,
    sentinel=SentinelPlan(block_s=0.01, max_drift=1e6),
)


@pytest.fixture
def board(sshd: Sshd) -> Iterator[RemoteHost]:
    with devices.connect(f"ssh:board?cores=all&python={sys.executable}") as device:
        assert isinstance(device, RemoteHost)
        yield device


def test_a_connection_that_breaks_costs_blocks_and_nothing_stays_on_the_board(
    board: RemoteHost, sshd: Sshd
) -> None:
    cuts = list[int]()

    def cut_once(step: Step) -> None:
        if not cuts and step.rounds and min(step.rounds.values()) == 2:
            cuts.append(1)
            sshd.cut()

    profiler = Profiler(board, OnnxRuntime(), replace(_PLAN, sentinel=None), on_step=cut_once)
    table = LatencyTable.in_memory(profiler.header())
    [entry] = measured(profiler.fill(table, [Workload(OpSpec.of("conv", (1, 8, 12, 12)), conv)]))
    assert cuts
    assert len(entry.samples_s) >= 5
    assert len(str(entry.conditions["process_blocks"]).split("+")) >= 2
    board.close()
    assert ended(f"{sshd.board_folder}/", within_s=10.0)
    assert [name for name in sshd.ours() if not re.fullmatch("[0-9a-f]{64}", name)] == []
