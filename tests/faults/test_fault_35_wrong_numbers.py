"""Fault 35: a delegate that is fast and wrong. Its operation is `wrong_output`, and has no latency."""

import itertools
from pathlib import Path

import pytest
from torch import nn

from cars_hw.testing._entries import failed, measured
from latency_tables.measurement import FailureStatus
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Workload
from profilers.runtimes.tflite import TfLite
from tests.fakes import programs
from tests.fakes.local_remote import LocalRemote

CONV = Workload(OpSpec.of("conv", (1, 8, 12, 10)), lambda: nn.Conv2d(8, 4, 3, padding=1).eval())
OUTPUT_BYTES = 4 * 4 * 12 * 10
PLAN = MeasurementPlan(block_s=0.01, min_rounds=3, spread_s=0.0, max_rounds=3, first_calls=3)


def profiler(device: LocalRemote, *, fault: str = "", delegate: str = "cpu") -> Profiler:
    tool = device.folder / "benchmark_model"
    tool.write_bytes(programs.benchmark_model(fault=fault))
    return Profiler(device, TfLite(benchmark_binary=str(tool), delegate=delegate), PLAN)


@pytest.mark.parametrize("delegate", ["cpu", "gpu", "nnapi"])
def test_wrong_numbers_are_a_failure_in_the_table_and_never_a_latency(tmp_path: Path, delegate: str) -> None:
    owner = profiler(LocalRemote(tmp_path), fault="wrong", delegate=delegate)
    table = LatencyTable.in_memory(owner.header())
    (entry,) = failed(owner.fill(table, [CONV]))
    assert entry.status is FailureStatus.WRONG_OUTPUT
    assert "differs from torch's" in entry.reason
    assert CONV.spec not in table


@pytest.mark.parametrize(("fault", "reason"), [("short", "has shape"), ("infinite", "not finite")])
def test_an_output_of_another_size_or_without_an_end_is_wrong(
    tmp_path: Path, fault: str, reason: str
) -> None:
    (entry,) = failed(profiler(LocalRemote(tmp_path), fault=fault).measure([CONV]))
    assert entry.status is FailureStatus.WRONG_OUTPUT
    assert reason in entry.reason


def test_numbers_that_the_cable_damaged_are_no_fault_of_the_kernel(tmp_path: Path) -> None:
    device = LocalRemote(tmp_path)
    damaged = iter([True])

    def once(content: bytes) -> bytes:
        is_output = len(content) == OUTPUT_BYTES
        return b"\x00\x00\xc0\x7f" + content[4:] if is_output and next(damaged, False) else content

    device.on_pull = once
    assert len(measured(profiler(device).measure([CONV]))) == 1
    assert next(damaged, None) is None


def test_right_numbers_are_compared_once_and_then_timed(tmp_path: Path) -> None:
    device = LocalRemote(tmp_path)
    pulled = itertools.count()
    device.on_pull = lambda content: (next(pulled) if len(content) == OUTPUT_BYTES else 0, content)[1]
    assert len(measured(profiler(device).measure([CONV]))) == 1
    assert next(pulled) == 1
