"""The policy of measuring, on a scripted clock."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cars_hw.testing._entries import failed, measured
from devices._device import DeviceState
from devices._errors import DeviceError
from devices.fake import Fake
from latency_tables.errors import TableMismatchError
from latency_tables.measurement import Failure, FailureStatus
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers.errors import (
    FellBackError,
    ProfilingError,
    ThrottledError,
    UnsupportedOperationError,
    WrongOutputError,
)
from profilers.plan import MeasurementPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Workload
from profilers.runtimes.fake import FakeRuntime

#: Seconds of one call of each kind, and the calls of a block that follow from 1 ms.
LATENCIES_S = {"a": 1.0e-4, "b": 2.0e-4, "c": 4.0e-4}
INNER_CALLS = {"a": 16, "b": 8, "c": 4}

Latency = Callable[[OpSpec, float], float]


def spec(kind: str) -> OpSpec:
    return OpSpec.of(kind, (1, 8, 4, 4))


def workloads(kinds: str = "abc") -> list[Workload]:
    return [Workload(spec(kind), Path("nothing is read by the fake runtime")) for kind in kinds]


def steady(spec: OpSpec, _: float) -> float:
    return LATENCIES_S[spec.kind]


def noisy(*kinds: str) -> Latency:
    rng = np.random.default_rng(0)
    return lambda spec, now_s: steady(spec, now_s) * (1 + (spec.kind in kinds) * rng.random())


def profiler(latency_s: Latency = steady, plan: MeasurementPlan | None = None) -> Profiler:
    return Profiler(Fake(), FakeRuntime(latency_s=latency_s), plan or MeasurementPlan(spread_s=0.0))


def empty_table(owner: Profiler) -> LatencyTable:
    return LatencyTable.in_memory(owner.header())


def rounds(owner: Profiler, kinds: str = "abc") -> list[str]:
    """Return the kinds in the order of their blocks, a text for each of the 14 rounds of steady workloads."""
    in_rounds = order(owner)[-14 * len(kinds) :]
    return [in_rounds[start : start + len(kinds)] for start in range(0, len(in_rounds), len(kinds))]


def order(owner: Profiler) -> str:
    """Return the kinds in the order of all blocks."""
    assert isinstance(owner.runtime, FakeRuntime)
    return "".join(spec.kind for spec, _ in owner.runtime.calls)


def test_each_round_runs_every_workload_once_in_an_order_of_its_own() -> None:
    owner = profiler()
    owner.measure(workloads())
    found = rounds(owner)
    assert {"".join(sorted(turn)) for turn in found} == {"abc"}
    assert len(set(found)) > 3


def test_the_seed_determines_the_order() -> None:
    orders = []
    for seed in (0, 0, 1):
        owner = profiler(plan=MeasurementPlan(seed=seed))
        owner.measure(workloads())
        orders.append(rounds(owner))
    assert orders[0] == orders[1] != orders[2]


def test_a_block_lasts_a_millisecond_and_the_search_for_it_is_no_sample() -> None:
    cold_s = iter([5e-3])
    owner = profiler(lambda spec, now_s: next(cold_s, steady(spec, now_s)))
    for entry in measured(owner.measure(workloads())):
        assert entry.conditions["inner_calls"] == INNER_CALLS[entry.spec.kind]
        assert entry.samples_s == pytest.approx([LATENCIES_S[entry.spec.kind]] * 14)


def test_blocks_sized_in_a_slow_mode_are_sized_anew_in_the_fast_one() -> None:
    def slow_at_first(spec: OpSpec, now_s: float) -> float:
        return steady(spec, now_s) * (4.0 if now_s < 0.02 else 1.0)

    owner = profiler(slow_at_first)
    (entry,) = measured(owner.measure(workloads("a")))
    assert entry.conditions["inner_calls"] == INNER_CALLS["a"]
    assert entry.samples_s == pytest.approx([LATENCIES_S["a"]] * 14)


def test_a_workload_that_gets_ever_faster_is_sized_anew_a_few_times_only() -> None:
    calls = itertools.count()
    owner = profiler(lambda *_: 1e-2 * 0.8 ** min(next(calls), 50))
    (entry,) = measured(owner.measure(workloads("a")))
    n = entry.conditions["inner_calls"]
    assert isinstance(n, int)
    assert n * min(entry.samples_s) < 0.9e-3  # shorter blocks are taken in the end


def test_a_slow_mode_of_a_few_rounds_does_not_move_a_latency() -> None:
    def slow_for_a_while(spec: OpSpec, now_s: float) -> float:
        return steady(spec, now_s) * (1.6 if 0.04 <= now_s < 0.06 else 1.0)

    for entry in measured(profiler(slow_for_a_while).measure(workloads())):
        assert max(entry.samples_s) > 1.5 * LATENCIES_S[entry.spec.kind]
        assert entry.latency_s == pytest.approx(LATENCIES_S[entry.spec.kind])


def test_a_steady_workload_leaves_the_rounds_at_the_second_look() -> None:
    owner = profiler(noisy("b"))
    a, b, c = measured(owner.measure(workloads()))
    for entry in (a, c):
        assert (entry.conditions["rounds"], entry.conditions["precision_reached"]) == (14, True)
    assert len(b.samples_s) > 14
    assert order(owner).endswith("bbbbb")


def test_the_last_round_keeps_an_imprecise_entry_and_marks_it() -> None:
    (entry,) = measured(profiler(noisy("a")).measure(workloads("a")))
    assert (len(entry.samples_s), entry.conditions["precision_reached"]) == (80, False)


def test_a_workload_that_exceeds_its_budget_ends_alone() -> None:
    def slow_c(spec: OpSpec, now_s: float) -> float:
        return 1.0 if spec.kind == "c" else steady(spec, now_s)

    a, c = measured(profiler(slow_c, MeasurementPlan(budget_s=2.5)).measure(workloads("ac")))
    assert (len(c.samples_s), c.conditions["precision_reached"]) == (3, False)
    assert a.conditions["precision_reached"] is True


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnsupportedOperationError("no kernel"), FailureStatus.UNSUPPORTED),
        (FellBackError("ran on the CPU"), FailureStatus.FELL_BACK),
        (ThrottledError("hot for ten minutes"), FailureStatus.THROTTLED),
        (WrongOutputError("differs"), FailureStatus.WRONG_OUTPUT),
        (ProfilingError("the file is damaged"), FailureStatus.CRASHED),
    ],
)
def test_what_cannot_be_prepared_is_a_failure_and_never_a_latency(
    error: ProfilingError, status: FailureStatus
) -> None:
    owner = Profiler(Fake(), FakeRuntime(latency_s=steady, errors={"b": error}))
    table = empty_table(owner)
    found = list(owner.fill(table, workloads()))
    assert found[0] == Failure(spec("b"), status, str(error))
    assert spec("b") in table.failures
    assert spec("b") not in table
    assert set(table.measurements) == {spec("a"), spec("c")}


def test_a_workload_that_crashes_midway_leaves_the_others_alone() -> None:
    def crash(spec: OpSpec, now_s: float) -> float:
        if spec.kind == "b" and now_s > 0.05:
            raise ProfilingError("the process died")
        return steady(spec, now_s)

    a, b, c = profiler(crash).measure(workloads())
    assert b == Failure(spec("b"), FailureStatus.CRASHED, "the process died")
    assert len(measured([a, c])) == 2


@pytest.mark.parametrize("step", [0.0, -1.0])
def test_a_clock_that_stands_or_goes_back_gives_no_latency(step: float) -> None:
    owner = profiler(lambda spec, now_s: steady(spec, now_s) if now_s < 0.02 else step)
    (entry,) = failed(owner.measure(workloads("a")))
    assert entry.status is FailureStatus.CRASHED


def test_a_second_fill_measures_only_what_is_missing() -> None:
    owner = profiler()
    table = empty_table(owner)
    assert len(list(owner.fill(table, workloads("ab")))) == 2
    assert [entry.spec for entry in owner.fill(table, workloads("abc"))] == [spec("c")]
    assert list(owner.fill(table, workloads("abc"))) == []


def test_failures_are_measured_again_when_asked_for() -> None:
    failing = Profiler(Fake(), FakeRuntime(latency_s=steady, errors={"b": ProfilingError("busy")}))
    table = empty_table(failing)
    list(failing.fill(table, workloads()))
    assert list(profiler().fill(table, workloads())) == []
    assert [entry.spec for entry in profiler().fill(table, workloads(), retry_failures=True)] == [spec("b")]
    assert spec("b") in table


def test_an_interrupt_keeps_what_was_finished() -> None:
    def interrupted(spec: OpSpec, now_s: float) -> float:
        if spec.kind == "b" and now_s > 0.1:
            raise KeyboardInterrupt
        return noisy_b(spec, now_s)

    noisy_b = noisy("b")
    owner = profiler(interrupted)
    table = empty_table(owner)
    with pytest.raises(KeyboardInterrupt):
        list(owner.fill(table, workloads()))
    assert set(table.measurements) == {spec("a"), spec("c")}
    assert isinstance(owner.device, Fake)
    assert owner.device.quiet_threads is None
    assert [entry.spec for entry in profiler().fill(table, workloads())] == [spec("b")]


def test_an_entry_is_on_the_disk_before_it_is_yielded_and_leaving_the_loop_keeps_it(tmp_path: Path) -> None:
    owner = profiler(noisy("b"))
    with LatencyTable.open_for_writing(tmp_path / "t.jsonl", owner.header()) as table:
        filling = owner.fill(table, workloads())
        entry = next(filling)
        assert entry.spec in LatencyTable.open(tmp_path / "t.jsonl")
        assert isinstance(owner.device, Fake)
        assert owner.device.quiet_threads == 1
        filling.close()  # type: ignore[attr-defined]
        assert owner.device.quiet_threads is None
    assert set(LatencyTable.open(tmp_path / "t.jsonl").measurements) == {entry.spec}


def test_a_lost_device_ends_the_fill_and_keeps_what_was_finished() -> None:
    def lost(spec: OpSpec, now_s: float) -> float:
        if now_s > 0.1:
            raise DeviceError("unplugged")
        return noisy_b(spec, now_s)

    noisy_b = noisy("b")
    owner = profiler(lost)
    table = empty_table(owner)
    with pytest.raises(DeviceError, match="unplugged"):
        list(owner.fill(table, workloads()))
    assert set(table.measurements) == {spec("a"), spec("c")}
    assert table.failures == {}


def test_groups_follow_one_another() -> None:
    owner = profiler(plan=MeasurementPlan(group_size=2))
    list(owner.fill(empty_table(owner), workloads()))
    blocks = order(owner)
    assert blocks.index("c") > max(blocks.rindex("a"), blocks.rindex("b"))


def test_measure_answers_in_the_order_of_its_workloads_even_for_equal_specs() -> None:
    entries = profiler(noisy("b")).measure(workloads("cbca"))
    assert [entry.spec.kind for entry in entries] == ["c", "b", "c", "a"]
    assert profiler().measure([]) == []


def test_the_conditions_are_kept_with_the_samples() -> None:
    device = Fake(
        lambda now_s: DeviceState(load=now_s, steal_s=2 * now_s, governor="performance", affinity=(1, 3))
    )
    owner = Profiler(device, FakeRuntime(latency_s=steady), MeasurementPlan(seed=7))
    (entry,) = measured(owner.measure(workloads("a")))
    conditions = dict(entry.conditions)
    before, after = conditions.pop("load_before"), conditions.pop("load_after")
    assert isinstance(before, float)
    assert isinstance(after, float)
    assert after > before
    assert conditions.pop("steal_s") == pytest.approx(2 * (after - before))
    assert str(conditions.pop("started")).endswith("+00:00")
    assert conditions == {
        "inner_calls": 16,
        "rounds": 14,
        "precision_reached": True,
        "seed": 7,
        "governor": "performance",
        "affinity": "1,3",
        "threads": 1,
    }


def test_the_header_names_device_runtime_and_threads() -> None:
    header = profiler().header()
    assert (header.device.kind, header.runtime, header.threads) == ("fake", "fake", 1)


def test_a_table_of_other_conditions_is_refused_before_anything_is_measured() -> None:
    owner = profiler()
    other = Profiler(Fake(), FakeRuntime(threads=4))
    with pytest.raises(TableMismatchError, match="threads"):
        list(owner.fill(empty_table(other), workloads()))
    assert order(owner) == ""


def test_the_first_rounds_are_spread_so_that_a_slow_mode_of_seconds_moves_nothing() -> None:
    def slow_for_seconds(spec: OpSpec, now_s: float) -> float:
        return steady(spec, now_s) * (1.6 if 2.0 <= now_s < 7.0 else 1.0)

    owner = profiler(slow_for_seconds, MeasurementPlan(spread_s=10.0))
    for entry in measured(owner.measure(workloads())):
        assert max(entry.samples_s) > 1.5 * LATENCIES_S[entry.spec.kind]
        assert entry.latency_s == pytest.approx(LATENCIES_S[entry.spec.kind])
    assert isinstance(owner.device, Fake)
    assert 10.0 < owner.device.clock_s() < 11.0
