"""When blocks count: a sentinel beside them, a device that says when it is not ready, and bounded rests."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cars_hw.testing._entries import failed, measured
from devices._device import DeviceState
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices.fake import Fake
from latency_tables.measurement import Failure, FailureStatus
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers._gate import SENTINEL_SPEC, OpenGate, SentinelGate
from profilers.errors import ProfilingError, ThrottledError, WrongOutputError
from profilers.plan import MeasurementPlan, SentinelPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Workload
from profilers.runtimes._tflite.remote import _WARM_UP_S
from profilers.runtimes.fake import FakeRuntime

LATENCIES_S = {"a": 1e-3, "b": 2e-3, "c": 4e-3, "sentinel": 1e-3}

#: A second of rest that is seen on the scripted clock, among blocks of a hundredth.
PLAN = MeasurementPlan(
    block_s=0.0095,
    min_rounds=3,
    spread_s=0.0,
    max_rounds=5,
    group_size=2,
    first_calls=3,
    sentinel=SentinelPlan(blocks_between=2, block_s=0.005, rest_s=1.0, patience_s=10.0),
)

Speed = Callable[[float], float]


class Phone(Fake):
    """Scripted hardware that is not ready at times.

    Args:
        unready: Spans of seconds, each with its reason.
    """

    def __init__(self, *unready: tuple[float, float, str]) -> None:
        super().__init__(lambda _: DeviceState())
        self._unready = unready

    def why_not_ready(self) -> str | None:
        now_s = self.clock_s()
        return next((why for start, end, why in self._unready if start <= now_s < end), None)


def steady(_: float) -> float:
    return 1.0


def workloads(kinds: str = "abc") -> list[Workload]:
    return [Workload(OpSpec.of(kind, (1, 8, 4, 4)), Path("nothing is read")) for kind in kinds]


def profiler(slowness: Speed = steady, phone: Phone | None = None, plan: MeasurementPlan = PLAN) -> Profiler:
    """Return a profiler on a device that is ``slowness(now_s)`` times as slow as at its best."""
    runtime = FakeRuntime(latency_s=lambda spec, now_s: LATENCIES_S[spec.kind] * slowness(now_s))
    return Profiler(phone or Phone(), runtime, plan)


def order(owner: Profiler) -> str:
    assert isinstance(owner.runtime, FakeRuntime)
    return "".join("|" if spec == SENTINEL_SPEC else spec.kind for spec, _ in owner.runtime.calls)


def test_a_sentinel_runs_before_and_after_every_few_blocks() -> None:
    owner = profiler()
    owner.measure(workloads("abc"))
    blocks = order(owner).lstrip("|")[len("abc") :].strip("|").split("|")
    assert {len(between) for between in blocks} <= {1, 2}
    assert sorted("".join(blocks[:2])) == ["a", "b", "c"]


def test_the_sentinel_between_blocks_serves_those_before_and_those_after() -> None:
    owner = profiler()
    owner.measure(workloads("ab"))
    runs = order(owner).count("|")
    groups = order(owner).lstrip("|")[len("ab") :].strip("|").count("|") + 1
    assert runs == 1 + 3 + 1 + groups  # its size, its level, and a run around each group of blocks


def test_a_block_is_sized_by_one_short_block() -> None:
    owner = profiler()
    (entry,) = measured(owner.measure(workloads("b")))
    assert entry.conditions["inner_calls"] == 5
    assert isinstance(owner.runtime, FakeRuntime)
    sizes = [n for spec, n in owner.runtime.calls if spec.kind == "b"]
    assert sizes[0] == PLAN.first_calls
    assert set(sizes[1:]) == {5}


def test_what_was_measured_in_a_slow_mode_is_discarded_and_measured_anew() -> None:
    owner = profiler(lambda now_s: 1.4 if 0.06 <= now_s < 0.9 else 1.0)
    for entry in measured(owner.measure(workloads())):
        assert entry.samples_s == pytest.approx([LATENCIES_S[entry.spec.kind]] * len(entry.samples_s))
    assert owner.resting_s >= 1.0


def test_a_slow_mode_that_begins_between_two_sentinels_costs_what_lies_between() -> None:
    begins = itertools.count()
    slow: Iterator[float] = (1.0 if i < 12 or i > 14 else 1.5 for i in begins)
    owner = profiler(lambda _: next(slow))
    for entry in measured(owner.measure(workloads("ab"))):
        assert max(entry.samples_s) < 1.2 * LATENCIES_S[entry.spec.kind]
    assert owner.resting_s > 0


def test_fault_23_nothing_is_measured_while_the_device_is_hot() -> None:
    phone = Phone((0.05, 4.0, "skin at 41 C, over 38; let it cool down"))
    owner = profiler(phone=phone)
    entries = measured(owner.measure(workloads()))
    assert len(entries) == 3
    assert 3.0 <= owner.resting_s <= 5.0
    assert isinstance(owner.runtime, FakeRuntime)


def test_fault_23_a_device_that_stays_hot_gives_throttled_and_no_number() -> None:
    owner = profiler(phone=Phone((0.05, 1e9, "thermal status 3")))
    for entry in failed(owner.measure(workloads("ab"))):
        assert entry.status is FailureStatus.THROTTLED
        assert entry.reason == "thermal status 3; 10 s of rest did not help"
    assert owner.resting_s == 10.0


def test_fault_23_a_device_that_stays_slow_gives_throttled_and_no_number() -> None:
    owner = profiler(lambda now_s: 1.0 if now_s < 0.05 else 1.3)
    (entry,) = failed(owner.measure(workloads("a")))
    assert entry.status is FailureStatus.THROTTLED
    assert "30% longer than at its best, over 5%" in entry.reason


def test_fault_23_what_was_finished_before_the_heat_is_kept_and_the_next_group_tried() -> None:
    owner = profiler(phone=Phone((0.35, 12.0, "hot")))
    table = LatencyTable.in_memory(owner.header())
    entries = list(owner.fill(table, workloads("abc")))
    assert len(entries) == 3
    assert set(table.measurements) | set(table.failures) == {work.spec for work in workloads()}
    assert workloads()[2].spec in table


def test_fault_24_a_charger_that_is_plugged_in_midway_discards_those_blocks_only() -> None:
    owner = profiler(phone=Phone((0.1, 2.0, "a charger was plugged in; unplug it")))
    assert len(measured(owner.measure(workloads("ab")))) == 2
    assert 1.0 <= owner.resting_s <= 3.0


def test_fault_25_rests_are_counted_and_not_read_from_a_clock_that_may_jump() -> None:
    class SetBack(Phone):
        def pause(self, seconds: float) -> None:
            self.advance(-3600.0)

    owner = profiler(phone=SetBack((-1e9, 1e9, "hot")))
    (entry,) = failed(owner.measure(workloads("a")))
    assert entry.status is FailureStatus.THROTTLED
    assert owner.resting_s == 10.0


def test_the_sentinels_latency_is_kept_with_each_entry() -> None:
    for entry in measured(profiler().measure(workloads("ab"))):
        assert entry.conditions["sentinel_s"] == pytest.approx(1e-3)
        assert entry.conditions["sentinel_level_s"] == pytest.approx(1e-3)


def test_a_second_run_is_compared_with_the_sentinel_of_the_first() -> None:
    first = profiler()
    table = LatencyTable.in_memory(first.header())
    list(first.fill(table, workloads("ab")))
    slower = profiler(lambda _: 1.2)
    (entry,) = failed(slower.fill(table, workloads("abc")))
    assert entry.status is FailureStatus.THROTTLED
    assert "20% longer" in entry.reason


def test_the_level_does_not_follow_runs_that_did_not_pass() -> None:
    owner = profiler(lambda now_s: 1.0 if now_s < 0.05 else 1.3)
    owner.measure(workloads("a"))
    assert len(failed(owner.measure(workloads("a")))) == 1


def test_a_sentinel_that_does_not_run_ends_everything() -> None:
    runtime = FakeRuntime(errors={"sentinel": WrongOutputError("a broken build")})
    with pytest.raises(ProfilingError, match="a broken build"):
        Profiler(Phone(), runtime, PLAN).measure(workloads("a"))


def test_a_sentinel_that_hangs_is_the_device_and_no_workload() -> None:
    calls = itertools.count()

    def hanging(spec: OpSpec, _: float) -> float:
        if spec == SENTINEL_SPEC and next(calls) > 5:
            raise DeviceTimeoutError("killed after 60 s")
        return LATENCIES_S[spec.kind]

    owner = Profiler(Phone(), FakeRuntime(latency_s=hanging), PLAN)
    with pytest.raises(DeviceTimeoutError):
        owner.measure(workloads("ab"))


def test_fault_04_a_workload_that_hangs_is_a_time_out_and_the_others_go_on() -> None:
    def hanging(spec: OpSpec, now_s: float) -> float:
        if spec.kind == "b" and now_s > 0.06:
            raise DeviceTimeoutError("killed after 60 s")
        return LATENCIES_S[spec.kind]

    owner = Profiler(Phone(), FakeRuntime(latency_s=hanging), PLAN)
    a, b = owner.measure(workloads("ab"))
    assert len(measured([a])) == 1
    assert b == Failure(workloads("b")[0].spec, FailureStatus.TIMEOUT, "killed after 60 s")


@pytest.mark.parametrize("after", range(0, 30, 2))
def test_fault_01_a_device_lost_at_any_block_keeps_what_was_finished_and_resumes_in_order(after: int) -> None:
    undisturbed = profiler()
    list(undisturbed.fill(LatencyTable.in_memory(undisturbed.header()), workloads()))
    calls = itertools.count()

    def lost(spec: OpSpec, _: float) -> float:
        if next(calls) == after:
            raise DeviceLostError("unplugged")
        return LATENCIES_S[spec.kind]

    owner = Profiler(Phone(), FakeRuntime(latency_s=lost), PLAN)
    table = LatencyTable.in_memory(owner.header())
    with pytest.raises(DeviceLostError):
        list(owner.fill(table, workloads()))
    assert table.failures == {}
    kept = set(table.measurements)
    resumed = profiler()
    entries = measured(resumed.fill(table, workloads()))
    assert {entry.spec for entry in entries} == {work.spec for work in workloads()} - kept
    assert table.missing([work.spec for work in workloads()]) == ()
    if {"a", "b"}.isdisjoint(spec.kind for spec in kept):
        assert order(resumed) == order(undisturbed)


def test_two_hundred_operations_fit_thirty_minutes_of_a_phones_time() -> None:
    """Computed, not measured: blocks on a scripted clock, and what each process and entry takes besides."""
    rng = np.random.default_rng(0)
    latencies_s = {f"op{i}": float(latency_s) for i, latency_s in enumerate(rng.uniform(1e-5, 3e-2, 200))}
    latencies_s[SENTINEL_SPEC.kind] = 1e-3
    runtime = FakeRuntime(latency_s=lambda spec, _: latencies_s[spec.kind] * (1 + 0.03 * float(rng.random())))
    phone = Phone()
    owner = Profiler(phone, runtime, MeasurementPlan.for_phones())
    table = LatencyTable.in_memory(owner.header())
    wanted = [kind for kind in latencies_s if kind != SENTINEL_SPEC.kind]
    specs = [OpSpec.of(kind, (1, 8, 4, 4)) for kind in wanted]
    list(owner.fill(table, [Workload(spec, Path("nothing is read")) for spec in specs]))
    assert len(table) == 200
    process_s, check_s, host_s = _WARM_UP_S + 0.1, 0.3, 1.0
    total_s = phone.clock_s() + len(runtime.calls) * process_s + 200 * (check_s + host_s)
    assert total_s < 30 * 60


def test_an_open_gate_lets_everything_pass() -> None:
    with OpenGate() as gate:
        assert gate.undisturbed(lambda: 7) == 7
        assert (gate.blocks_at_once, gate.resting_s, gate.facts()) == (1, 0.0, {})


def test_a_gate_that_gives_up_says_why_and_how_long_it_waited() -> None:
    phone = Phone((0.05, 1e9, "battery at 12 %; charge it"))
    plan = SentinelPlan(rest_s=2.0, patience_s=6.0)
    runtime = FakeRuntime(latency_s=lambda spec, _: 1e-3)
    with (
        phone.quiet(1),
        SentinelGate(phone, runtime, plan) as gate,
        pytest.raises(ThrottledError, match="battery at 12 %; charge it; 6 s of rest"),
    ):
        gate.undisturbed(lambda: pytest.fail("measured while not ready"))


def test_leaving_the_gate_unloads_the_sentinel_even_after_an_error() -> None:
    phone = Phone()
    gate = SentinelGate(phone, FakeRuntime(latency_s=lambda spec, _: 1e-3), SentinelPlan())
    with pytest.raises(DeviceError), gate:
        raise DeviceError("unplugged")
    with gate:  # and it may be entered again
        assert gate.undisturbed(lambda: 7) == 7
