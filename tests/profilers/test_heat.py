"""Heat: four real phones' traces, played, and what they leave out; no entry is of another level."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from cars_hw.testing._entries import failed, measured
from devices._device import Device
from devices.fake import Fake
from latency_tables.measurement import FailureStatus
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers.errors import FellBackError, ProfilingError, UnsupportedOperationError
from profilers.plan import MeasurementPlan, SentinelPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Sampler, Workload
from profilers.runtimes.fake import FakeRuntime
from tests.fakes.heated_phone import HeatedPhone, HeatedRuntime, HeatTrace, largest_deviation
from tests.fakes.played_phone import PlayedPhone

ROOT = Path(__file__).resolve().parents[2]
TRACES = Path(os.environ.get("CARS_HW_DATA", ROOT / "../shared/data")) / "heat_traces"
NAMES = ("dimensity900_mid_range", "exynos2400e", "snapdragon_8_elite", "tensor_g3")
MAX_DRIFT = 0.05

LATENCIES_S = {"sentinel": 1e-3, **{f"k{i}": 1e-3 * (1 + i % 7) for i in range(96)}}

#: As for phones, but few and long blocks, which heat as much as many.
LONG_BLOCKS = replace(MeasurementPlan.for_phones(), block_s=1.5, budget_s=1e9)

IMPATIENT = replace(LONG_BLOCKS, sentinel=SentinelPlan(patience_s=20.0))

needs_traces = pytest.mark.skipif(
    not TRACES.is_dir(), reason=f"{TRACES} is absent; set CARS_HW_DATA to the folder of published figures"
)


def workloads(n: int) -> list[Workload]:
    return [Workload(OpSpec.of(f"k{i}", (1, 8, 4, 4)), Path("nothing is read")) for i in range(n)]


def profile(phone: HeatedPhone, n: int, plan: MeasurementPlan = LONG_BLOCKS) -> tuple[LatencyTable, Profiler]:
    """Fill a table of ``n`` workloads on ``phone``."""
    profiler = Profiler(phone.device(), HeatedRuntime(phone, LATENCIES_S), plan)
    table = LatencyTable.in_memory(profiler.header())
    list(profiler.fill(table, workloads(n)))
    assert len(table) + len(table.failures) == n
    assert largest_deviation(table.measurements.values(), LATENCIES_S) <= MAX_DRIFT
    return table, profiler


@needs_traces
@pytest.mark.parametrize("name", NAMES)
def test_no_entry_of_a_real_phones_trace_is_of_another_level(
    name: str, phone: PlayedPhone, tmp_path: Path
) -> None:
    table, _ = profile(HeatedPhone(tmp_path / "heated", HeatTrace.read(TRACES / f"{name}.csv")), 4)
    assert len(table) == 4


@needs_traces
@pytest.mark.slow
@pytest.mark.parametrize("minute", [0.0, 5.0, 28.0])
@pytest.mark.parametrize("name", NAMES)
def test_no_entry_of_a_long_run_is_of_another_level_however_hot_it_began(
    name: str, minute: float, phone: PlayedPhone, tmp_path: Path
) -> None:
    trace = HeatTrace.read(TRACES / f"{name}.csv")
    heated = HeatedPhone(tmp_path / "heated", trace, minute=minute)
    table, _ = profile(heated, 96, MeasurementPlan.for_phones())
    assert len(table) == 96


def trace_of(*latency_ms: float, status: int | None = 0, battery_c: float = 30.0) -> HeatTrace:
    """Return the trace of a phone that cools within a minute, and reports the same all the time."""
    n = len(latency_ms)
    return HeatTrace(latency_ms, [status] * n, [battery_c] * n, time_constant_s=60.0)


@pytest.mark.parametrize(
    ("status", "battery_c"), [(3, 30.0), (1, 44.0), (None, 30.0)], ids=["severe", "battery", "no sensor"]
)
def test_what_a_phone_reports_of_its_heat_stops_nothing_while_its_speed_is_flat(
    status: int | None, battery_c: float, phone: PlayedPhone, tmp_path: Path
) -> None:
    heated = HeatedPhone(tmp_path / "heated", trace_of(200.0, 200.5, status=status, battery_c=battery_c))
    table, profiler = profile(heated, 2)
    assert len(table) == 2
    assert profiler.resting_s == 0.0
    for entry in table.measurements.values():
        assert entry.conditions.get("thermal_status") == status
        assert entry.conditions["battery_c"] == battery_c


@pytest.mark.parametrize("status", [0, None])
def test_a_phone_that_is_slowed_and_reports_nothing_is_refused(
    status: int | None, phone: PlayedPhone, tmp_path: Path
) -> None:
    heated = HeatedPhone(tmp_path / "heated", trace_of(200.0, 240.0, status=status))
    _, profiler = profile(heated, 4)
    assert profiler.resting_s > 0.0


def test_critical_heat_stops_a_phone_though_its_speed_is_flat(phone: PlayedPhone, tmp_path: Path) -> None:
    heated = HeatedPhone(tmp_path / "heated", trace_of(200.0, status=4))
    table, profiler = profile(heated, 2, IMPATIENT)
    [failure, _] = table.failures.values()
    assert failure.status is FailureStatus.THROTTLED
    assert failure.reason.startswith("thermal status 4 (critical)")
    assert profiler.resting_s == 20.0


def test_a_slow_phone_is_refused_with_what_it_reports_as_the_explanation(
    phone: PlayedPhone, tmp_path: Path
) -> None:
    trace = replace(trace_of(200.0, 300.0, status=2), time_constant_s=1e9)
    table, _ = profile(HeatedPhone(tmp_path / "heated", trace), 12, IMPATIENT)
    reason = list(table.failures.values())[-1].reason
    assert "longer than at its best, over 5%; thermal status 2 (moderate): the phone throttles" in reason


class Blind(HeatedRuntime):
    """Cannot run the sentinel."""

    error: ProfilingError = UnsupportedOperationError("no convolution")

    def prepare(self, workload: Workload, device: Device) -> AbstractContextManager[Sampler]:
        if workload.spec.kind == "sentinel":
            raise self.error
        return super().prepare(workload, device)


@pytest.mark.parametrize(
    ("error", "status", "battery_c", "is_measured"),
    [
        (UnsupportedOperationError("no conv"), 0, 30.0, True),
        (FellBackError("conv on the CPU"), None, 30.0, True),
        (FellBackError("conv on the CPU"), 1, 30.0, False),
        (UnsupportedOperationError("no conv"), 0, 36.0, False),
    ],
)
def test_where_the_sentinel_cannot_be_run_status_and_temperatures_decide(
    error: ProfilingError,
    status: int | None,
    battery_c: float,
    is_measured: bool,
    phone: PlayedPhone,
    tmp_path: Path,
) -> None:
    heated = HeatedPhone(tmp_path / "heated", trace_of(200.0, status=status, battery_c=battery_c))
    runtime = Blind(heated, LATENCIES_S)
    runtime.error = error
    entries = Profiler(heated.device(), runtime, IMPATIENT).measure(workloads(1))
    if is_measured:
        (entry,) = measured(entries)
        assert entry.conditions["sentinel_missing"] == str(error)
        assert "sentinel_level_s" not in entry.conditions
    else:
        (failure,) = failed(entries)
        assert "let it cool" in failure.reason


PLAN = MeasurementPlan(
    block_s=0.01,
    min_rounds=3,
    spread_s=0.0,
    max_rounds=5,
    group_size=4,
    first_calls=3,
    sentinel=SentinelPlan(blocks_between=2, block_s=0.005, rest_s=1.0, patience_s=10.0),
)


class Stepping:
    """A fake device's speed: ``slowness[i]`` in block ``i``; the last of them from then on."""

    def __init__(self, *slowness: float) -> None:
        self.slowness, self.blocks = slowness, 0

    def __call__(self, spec: OpSpec, _: float) -> float:
        now = self.slowness[min(self.blocks, len(self.slowness) - 1)]
        self.blocks += 1
        return LATENCIES_S[spec.kind] * now


def levels_of(table: LatencyTable) -> set[float]:
    return {round(float(str(one.conditions["sentinel_level_s"])), 6) for one in table.measurements.values()}


def fill(speed: Callable[[OpSpec, float], float], n: int = 12) -> tuple[LatencyTable, Profiler]:
    """Fill a table on a fake device of that speed."""
    profiler = Profiler(Fake(), FakeRuntime(latency_s=speed), PLAN)
    table = LatencyTable.in_memory(profiler.header())
    list(profiler.fill(table, workloads(n)))
    assert len(table) + len(table.failures) == n
    assert largest_deviation(table.measurements.values(), LATENCIES_S) <= MAX_DRIFT
    return table, profiler


def test_a_sag_of_a_thousandth_a_block_does_not_take_the_level_with_it() -> None:
    table, profiler = fill(Stepping(*(1.001**block for block in range(2000))), n=96)
    assert 0 < len(table) < 96
    assert {entry.reason.partition(" takes")[0] for entry in table.failures.values()} == {"the sentinel"}
    assert profiler.resting_s <= 2 * 10.0


def test_a_device_that_never_recovers_costs_twice_the_patience_in_all() -> None:
    table, profiler = fill(Stepping(*[1.0] * 8, 1.3), n=96)
    assert len(table.failures) == 96
    assert 10.0 < profiler.resting_s <= 2 * 10.0


@pytest.mark.parametrize("block", range(6, 40, 3))
def test_a_step_down_amid_the_blocks_leaves_no_entry_of_both_levels(block: int) -> None:
    fill(Stepping(*[1.0] * block, *[1.2] * 40, 1.0))


@pytest.mark.parametrize("block", [4, 6, 9, 20, 33, 70])
def test_a_device_that_was_hot_when_it_began_is_measured_anew_once_it_has_cooled(block: int) -> None:
    table, profiler = fill(Stepping(*[1.25] * block, 1.0))
    assert len(table) == 12
    assert profiler.outdated(table) == set()
    assert levels_of(table) == {1e-3}


def test_one_lucky_run_of_the_sentinel_moves_no_level() -> None:
    for lucky in range(1, 12):
        runs = itertools.count()

        def latency_s(spec: OpSpec, _: float, runs: Iterator[int] = runs, lucky: int = lucky) -> float:
            is_lucky = spec.kind == "sentinel" and next(runs) == lucky
            return LATENCIES_S[spec.kind] * (0.7 if is_lucky else 1.0)

        table, profiler = fill(latency_s)
        assert levels_of(table) == {1e-3}
        assert profiler.resting_s == 0.0


def test_what_an_earlier_run_measured_hot_is_measured_anew_by_the_next_one() -> None:
    hot = Profiler(Fake(), FakeRuntime(latency_s=Stepping(1.25)), PLAN)
    table = LatencyTable.in_memory(hot.header())
    list(hot.fill(table, workloads(6)))
    cool = Profiler(Fake(), FakeRuntime(latency_s=Stepping(1.0)), PLAN)
    others = workloads(8)[6:]
    list(cool.fill(table, others))
    assert cool.outdated(table) == {workload.spec for workload in workloads(6)}
    list(cool.fill(table, workloads(8)))
    assert cool.outdated(table) == set()
    assert largest_deviation(table.measurements.values(), LATENCIES_S) <= MAX_DRIFT


def test_measuring_without_a_table_repeats_what_was_finished_before_the_device_cooled() -> None:
    speed = Stepping(*[1.25] * 30, 1.0)
    entries = measured(Profiler(Fake(), FakeRuntime(latency_s=speed), PLAN).measure(workloads(6)))
    assert len(entries) == 6
    assert largest_deviation(entries, LATENCIES_S) <= MAX_DRIFT
