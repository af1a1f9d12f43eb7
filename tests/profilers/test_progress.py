"""What the caller of a measurement is told: what is finished of what he waits for, and the time left."""

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from devices._device import DeviceInfo
from devices._errors import DeviceLostError
from devices.fake import Fake
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers.errors import ProfilingError
from profilers.filling import Setup, fill_table, lacking, measure, plan_at
from profilers.fleet import Fleet
from profilers.plan import MeasurementPlan, Quality
from profilers.profiler import Profiler
from profilers.progress.report import Progress
from profilers.progress.tally import Tally
from profilers.runtimes._runtime import Workload
from profilers.runtimes.fake import FakeRuntime

Latency = Callable[[OpSpec, float], float]


def workloads(n: int, kind: str = "k") -> list[Workload]:
    return [Workload(OpSpec.of(f"{kind}{i}", (1, 8, 4, 4)), Path("never read")) for i in range(n)]


def told_by(
    plan: MeasurementPlan, wanted: Sequence[Workload], runtime: FakeRuntime, there: Sequence[Workload] = ()
) -> tuple[list[tuple[float, Progress]], float]:
    """Fill a table that has ``there``; return what was told, when, and the time at the end."""
    device = Fake()
    table = LatencyTable.in_memory(Profiler(device, runtime, plan).header())
    list(Profiler(device, runtime, plan).fill(table, there))
    told: list[tuple[float, Progress]] = []
    tally = Tally(
        [one.spec for one in wanted], plan, lambda progress: told.append((device.clock_s(), progress))
    )
    profiler = Profiler(device, runtime, plan, on_step=tally.watch("fake", device))
    tally.begin(table.measurements, {}, "fake")
    list(profiler.fill(table, wanted))
    return told, device.clock_s()


def test_finished_workloads_are_counted_over_all_groups_those_that_were_there_and_failures_too() -> None:
    wanted = workloads(11)
    runtime = FakeRuntime(errors={"k7": ProfilingError("no")})
    told, _ = told_by(MeasurementPlan(group_size=4), wanted, runtime, there=wanted[:3])
    counts = [progress.done for _, progress in told]
    assert counts[0] == 3
    assert sorted(set(counts)) == list(range(3, 12))
    assert counts == sorted(counts)
    assert {progress.wanted for _, progress in told} == {11}
    assert {progress.device for _, progress in told} == {"fake"}
    assert (told[0][1].failed, told[-1][1].failed) == (0, 1)


def noisy(spec: OpSpec, now_s: float) -> float:
    """Return a latency of its own for each kind, with noise that takes some of them to further rounds."""
    rng = np.random.default_rng(int(now_s * 1e7) % 2**32)
    return 1e-4 * (1 + int(spec.kind[1:]) % 5) * (1 + 0.1 * rng.random())


@pytest.mark.parametrize(
    ("latency_s", "factor"), [(lambda *_: 3e-4, 1.5), (noisy, 4)], ids=["steady", "noisy"]
)
@pytest.mark.parametrize("group_size", [5, 8, 128])
@pytest.mark.parametrize("spread_s", [0.0, 10.0])
def test_the_time_left_is_near_the_time_that_it_takes(
    latency_s: Latency, factor: float, group_size: int, spread_s: float
) -> None:
    plan = MeasurementPlan(group_size=group_size, spread_s=spread_s)
    told, end_s = told_by(plan, workloads(40), FakeRuntime(latency_s=latency_s))
    known = [(now_s, progress.seconds_left) for now_s, progress in told if progress.seconds_left is not None]
    assert len(known) > len(told) / 2
    for now_s, left_s in known:
        truth_s = end_s - now_s
        assert truth_s / factor - 0.1 <= left_s <= truth_s * factor + 0.1
    assert told[-1][1].seconds_left == 0


def test_nothing_is_said_of_the_time_before_a_round_has_ended() -> None:
    told, _ = told_by(MeasurementPlan(), workloads(3), FakeRuntime())
    assert [progress.seconds_left is None for _, progress in told[:4]] == [True] * 4
    assert told[4][1].seconds_left is not None


class Phone(Fake):
    """A fake device with a serial number."""

    def __init__(self, serial: str) -> None:
        super().__init__()
        self._serial = serial

    def info(self) -> DeviceInfo:
        return DeviceInfo("fake", "pixel", "soc", "os", cores=1, serial_hash=self._serial)


def test_of_a_fleet_each_workload_counts_once_and_that_of_a_lost_device_is_waited_for_again(
    tmp_path: Path,
) -> None:
    blocks, others, is_lost = itertools.count(), itertools.count(), threading.Event()

    def until_lost(spec: OpSpec, _: float) -> float:
        if next(blocks) >= 70:
            is_lost.set()
            raise DeviceLostError("b was unplugged")
        return 2e-3

    def after_that(spec: OpSpec, _: float) -> float:
        assert next(others) < 40 or is_lost.wait(60)  # so that b has a share to lose
        return 2e-3

    plan, wanted = MeasurementPlan(min_rounds=3, max_rounds=3, spread_s=0.0, group_size=8), workloads(40)
    members = [
        (Phone("a"), FakeRuntime(latency_s=after_that)),
        (Phone("b"), FakeRuntime(latency_s=until_lost)),
    ]
    told: list[Progress] = []
    tally = Tally([one.spec for one in wanted], plan, told.append)
    watchers = {
        device.info().serial_hash: tally.watch(f"fake:{i}", device) for i, (device, _) in enumerate(members)
    }
    fleet = Fleet(members, plan, on_step=lambda serial, step: watchers[serial](step))
    tally.begin({}, {}, "fake:0")
    list(fleet.fill(tmp_path / "t.jsonl", wanted, wanted[-3:]))
    assert set(fleet.lost) == {"b"}
    counts = [progress.done for progress in told]
    assert counts == sorted(counts)
    assert (counts[-1], told[-1].wanted, told[-1].seconds_left) == (40, 40, 0)
    assert {progress.device for progress in told} == {"fake:0", "fake:1"}
    before = max(i for i, progress in enumerate(told) if progress.device == "fake:1")
    assert all(progress.device == "fake:0" for progress in told[before + 1 :])
    assert told[before].done < 40


def test_filling_a_table_tells_of_what_was_there_and_measuring_anew_of_nothing(tmp_path: Path) -> None:
    setup, path, quality = Setup("fake", "fake"), tmp_path / "t.jsonl", Quality(spread_s=0.0)
    fill_table(path, workloads(4), setup, quality=quality)
    for again, first in ((False, 4), (True, 0)):
        told: list[Progress] = []
        fill_table(path, workloads(6), setup, quality=quality, again=again, on_progress=told.append)
        assert (next(progress.done for progress in told if progress.wanted), told[-1].done) == (first, 6)
    told.clear()
    fill_table(path, workloads(6), setup, quality=quality, on_progress=told.append)
    assert [(progress.done, progress.seconds_left) for progress in told] == [(6, 0)]


def test_measuring_without_a_table_tells_too() -> None:
    told: list[Progress] = []
    measure(workloads(2), Setup("fake", "fake"), quality=Quality(spread_s=0.0), on_progress=told.append)
    assert (told[0].done, told[-1].done, told[-1].wanted, told[-1].device) == (0, 2, 2, "fake")


def test_what_a_table_and_its_parts_lack_is_known_without_a_device(tmp_path: Path) -> None:
    path, specs = tmp_path / "t.jsonl", [one.spec for one in workloads(5)]
    assert lacking(path, specs) == specs
    fill_table(path, workloads(3), Setup("fake", "fake"), quality=Quality(spread_s=0.0))
    assert lacking(path, specs) == specs[3:]
    path.rename(tmp_path / "t.jsonl.part-0123456789abcdef")
    assert lacking(path, specs) == specs[3:]


def test_the_plan_of_a_device_is_known_by_its_name() -> None:
    assert plan_at("fake").sentinel is None
    assert plan_at("android:never-asked").sentinel is not None
