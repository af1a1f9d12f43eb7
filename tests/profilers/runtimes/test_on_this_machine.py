"""What the runtimes of this machine do alike; no test depends on how long anything takes."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import nn

from devices.cpu import Cpu
from latency_tables.measurement import FailureStatus
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers import runtimes
from profilers.errors import ProfilingError, UnsupportedOperationError, WrongOutputError
from profilers.lowering import onnx, tflite
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Workload
from tests.fakes.modules import Drifting, Join, Overflow, conv

SPEC = OpSpec.of("conv", (1, 8, 12, 12))

_QUICK = MeasurementPlan(precision=0.1, min_rounds=5, spread_s=0.0, max_rounds=40, budget_s=2.0)


@dataclass(frozen=True)
class Case:
    """A runtime by its name, and what writes its files."""

    name: str
    lower: Callable[[nn.Module, Sequence[tuple[int, ...]]], bytes]


CASES = (Case("onnxruntime", onnx.lower), Case("tflite", tflite.lower))


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found = request.param
    assert isinstance(found, Case)
    return found


def latency_s(case: Case, source: Callable[[], nn.Module] | Path, spec: OpSpec = SPEC) -> float:
    device = Cpu.connect("")
    with device.quiet(1), runtimes.load(case.name).prepare(Workload(spec, source), device) as sampler:
        [found] = sampler(4)
        return found


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        (SPEC, conv),
        (OpSpec.of("pool", (1, 8, 12, 12)), lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        (OpSpec.of("join", (1, 8, 12, 12), inputs=2), Join),
        (OpSpec.of("linear", (1, 64)), lambda: nn.Linear(64, 10)),
        (OpSpec.of("identity", (1, 1, 1, 1)), nn.Identity),
    ],
)
def test_a_workload_that_agrees_with_torch_gives_the_mean_of_a_block(
    case: Case, spec: OpSpec, source: Callable[[], nn.Module]
) -> None:
    assert latency_s(case, source, spec) > 0


def test_an_output_that_differs_from_torch_is_refused(case: Case) -> None:
    with pytest.raises(WrongOutputError, match=r"differs from torch's"):
        latency_s(case, Drifting)


def test_an_output_that_is_not_finite_is_refused(case: Case) -> None:
    with pytest.raises(WrongOutputError, match="1152 of 1152 outputs"):
        latency_s(case, Overflow)


def test_only_float32_is_measured(case: Case) -> None:
    with pytest.raises(UnsupportedOperationError, match="float32"):
        latency_s(case, conv, OpSpec("conv", (1, 8, 12, 12), dtype="int8"))


def test_a_file_is_run_as_it_is(case: Case, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(case.lower(conv().eval(), [SPEC.input_shape]))
    assert latency_s(case, tmp_path / "model") > 0


@pytest.mark.parametrize(
    "spec",
    [OpSpec.of("conv", (1, 8, 6, 6)), OpSpec.of("conv", (1, 8, 12, 12), inputs=2), OpSpec.of("conv", (8,))],
)
def test_a_file_with_other_inputs_than_its_spec_is_refused(case: Case, spec: OpSpec, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(case.lower(conv().eval(), [SPEC.input_shape]))
    with pytest.raises(ProfilingError, match="give the shapes of its inputs"):
        latency_s(case, tmp_path / "model", spec)


def test_a_file_whose_output_is_not_finite_is_refused(case: Case, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(case.lower(Overflow(), [SPEC.input_shape]))
    with pytest.raises(WrongOutputError, match="not finite"):
        latency_s(case, tmp_path / "model")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list threads")
def test_the_threads_of_a_workload_stay_on_the_processors_that_are_held_quiet(case: Case) -> None:
    def threads() -> set[int]:
        return {int(task.name) for task in Path("/proc/self/task").iterdir()}

    device = Cpu.connect("")
    with device.quiet(1):
        before = threads()
        with runtimes.load(case.name, threads=2).prepare(Workload(SPEC, conv), device) as sampler:
            sampler(1)
            started = threads() - before
            assert started
            assert {tuple(os.sched_getaffinity(thread)) for thread in started} == {device.state().affinity}


def test_a_table_is_filled_and_a_wrong_operation_stays_out_of_it(case: Case) -> None:
    wrong = OpSpec.of("drifting", (1, 8, 12, 12))
    workloads = [Workload(SPEC, conv), Workload(wrong, Drifting)]
    with Cpu.connect("") as device:
        profiler = Profiler(device, runtimes.load(case.name), _QUICK)
        table = LatencyTable.in_memory(profiler.header())
        entries = list(profiler.fill(table, workloads))
    assert len(entries) == 2
    assert 0 < table[SPEC].latency_s < 1
    assert table.failures[wrong].status is FailureStatus.WRONG_OUTPUT
