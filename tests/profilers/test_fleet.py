"""Several devices of one model share a table: on scripted clocks, with losses at every point."""

import itertools
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from torch import nn

from devices._device import Device, DeviceInfo
from devices._errors import DeviceError, DeviceLostError
from devices.android import Android
from devices.fake import Fake
from latency_tables.errors import ChangedConditionsError, DamagedFileError
from latency_tables.measurement import FailureStatus
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers.errors import ProfilingError
from profilers.filling import Setup, fill_table
from profilers.fleet import Fleet
from profilers.parts import parts_of
from profilers.plan import MeasurementPlan, Quality, SentinelPlan
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Sampler, Workload
from profilers.runtimes._tflite import remote
from profilers.runtimes.fake import FakeRuntime
from profilers.runtimes.tflite import TfLite
from tests.fakes import namesake, programs
from tests.fakes.played_phone import SERIAL, PlayedPhone

PLAN = MeasurementPlan(min_rounds=3, max_rounds=3, spread_s=0.0)
WORKLOADS = [Workload(OpSpec.of(f"k{i}", (1, 8, 4, 4)), Path("never read")) for i in range(40)]
CONTROLS = WORKLOADS[-3:]


class Phone(Fake):
    """A fake device with a serial number, of a model, in a boot of its own."""

    def __init__(self, serial: str, model: str = "pixel", boot: str = "", os_build: str = "os") -> None:
        super().__init__()
        self._info = DeviceInfo("fake", model, "soc", os_build, cores=1, serial_hash=serial)
        self._boot = boot

    def info(self) -> DeviceInfo:
        return self._info

    def boot_id(self) -> str:
        return self._boot


def member(
    serial: str, *, slower: float = 1.0, lost_after: int | None = None, boot: str = ""
) -> tuple[Phone, FakeRuntime]:
    """Return a phone that takes ``slower`` times a millisecond, and is lost after so many blocks."""
    blocks = itertools.count()

    def latency_s(spec: OpSpec, _: float) -> float:
        if lost_after is not None and next(blocks) >= lost_after:
            raise DeviceLostError(f"{serial} was unplugged")
        return 2e-3 * slower

    return Phone(serial, boot=boot), FakeRuntime(latency_s=latency_s)


def fill(path: Path, *members: tuple[Phone, FakeRuntime]) -> Fleet:
    fleet = Fleet(members, PLAN)
    list(fleet.fill(path, WORKLOADS, CONTROLS))
    return fleet


def measured_by(table: LatencyTable) -> set[object]:
    return {entry.conditions["serial_hash"] for entry in table.measurements.values()}


def test_two_phones_share_the_work_and_leave_one_table(tmp_path: Path) -> None:
    fill(tmp_path / "t.jsonl", member("a1"), member("b2"))
    table = LatencyTable.open(tmp_path / "t.jsonl")
    assert table.missing([workload.spec for workload in WORKLOADS]) == ()
    assert measured_by(table) <= {"a1", "b2"}
    assert table.header.device.serials == ("a1", "b2")
    assert [path.name for path in tmp_path.iterdir()] == ["t.jsonl"]


def test_either_phone_may_add_to_the_table_and_no_other(tmp_path: Path) -> None:
    fill(tmp_path / "t.jsonl", member("a1"), member("b2"))
    device = LatencyTable.open(tmp_path / "t.jsonl").header.device
    assert device.includes(Phone("a1").info())
    assert device.includes(device)
    assert not device.includes(Phone("c3").info())
    assert not device.includes(Phone("a1", "galaxy").info())


def test_one_of_the_phones_alone_adds_whole_networks_and_all_of_them_more_operations(tmp_path: Path) -> None:
    """As ``table validate`` does with the table that a fleet left."""
    path, network = tmp_path / "t.jsonl", Workload(OpSpec.of("network", (1, 8, 4, 4)), Path("never read"))
    fill(path, member("a1"), member("b2"))
    alone = Profiler(*member("b2"), PLAN)
    with LatencyTable.open_for_writing(path, alone.header()) as table:
        [added] = alone.fill(table, [network])
    fleet = Fleet([member("a1"), member("b2")], PLAN)
    more = [*WORKLOADS, Workload(OpSpec.of("new", (1, 8, 4, 4)), Path("never read"))]
    list(fleet.fill(path, more, CONTROLS))
    merged = LatencyTable.open(path)
    assert merged[network.spec].samples_s == added.samples_s  # type: ignore[union-attr]
    assert len(merged) == len(more) + 1
    assert merged.header.device.serials == ("a1", "b2")


def updated(serial: str) -> tuple[Phone, FakeRuntime]:
    """Return a phone whose system is of a newer build."""
    return Phone(serial, os_build="os 2"), member(serial)[1]


def test_phones_of_two_builds_share_a_table_only_where_that_is_allowed_and_each_entry_says_which(
    tmp_path: Path,
) -> None:
    members = [member("a1"), updated("b2")]
    with pytest.raises(ChangedConditionsError, match="the devices differ in build 'os' and 'os 2'"):
        Fleet(members, PLAN)
    fleet = Fleet(members, PLAN, allow_changed=["build"])
    list(fleet.fill(tmp_path / "t.jsonl", WORKLOADS, CONTROLS))
    table = LatencyTable.open(tmp_path / "t.jsonl")
    own = table.header.conditions()["build"]
    told = {
        (entry.conditions["serial_hash"], entry.conditions.get("build", own))
        for entry in table.measurements.values()
    }
    assert told <= {("a1", "os"), ("b2", "os 2")}
    assert "os 2" in table.measured_under()["build"]


def test_after_an_update_parts_and_table_are_compared_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    fill(path, member("a1"), member("b2"))
    before = LatencyTable.open(path)
    more = [*WORKLOADS, *(Workload(OpSpec.of(f"n{i}", (1, 8, 4, 4)), Path("never read")) for i in range(9))]
    with pytest.raises(ChangedConditionsError, match="build 'os', but is used under build 'os 2'") as refused:
        list(Fleet([updated("a1"), updated("b2")], PLAN).fill(path, more, CONTROLS))
    assert refused.value.words == ("build",)
    assert parts_of(path) == []
    fleet = Fleet([updated("a1"), updated("b2")], PLAN, allow_changed=["build"])
    list(fleet.fill(path, more, CONTROLS))
    after = LatencyTable.open(path)
    assert after.header == before.header
    assert after.measured_under() == {"build": {"os": len(WORKLOADS), "os 2": 9}}


@pytest.mark.parametrize("lost_after", [0, 1, 7, 30, 60, 99])
def test_what_a_lost_phone_had_not_finished_goes_to_the_other(lost_after: int, tmp_path: Path) -> None:
    fleet = fill(tmp_path / "t.jsonl", member("a1", lost_after=lost_after), member("b2"))
    table = LatencyTable.open(tmp_path / "t.jsonl")
    assert table.missing([workload.spec for workload in WORKLOADS]) == ()
    assert set(fleet.lost) <= {"a1"}


@pytest.mark.parametrize("lost_after", [20, 45, 70])
def test_when_all_are_lost_the_next_call_goes_on_from_the_parts(lost_after: int, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with pytest.raises(DeviceLostError, match="all devices were lost"):
        fill(path, member("a1", lost_after=lost_after), member("b2", lost_after=lost_after))
    assert not path.exists()
    kept = {
        spec: entry for part in parts_of(path) for spec, entry in LatencyTable.open(part).measurements.items()
    }
    fill(path, member("a1"))
    table = LatencyTable.open(path)
    assert table.missing([workload.spec for workload in WORKLOADS]) == ()
    shared = set(kept) - {workload.spec for workload in CONTROLS}
    assert all(table[spec].samples_s == kept[spec].samples_s for spec in shared)
    assert parts_of(path) == []


def test_phones_whose_controls_disagree_are_not_merged(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with pytest.raises(ProfilingError, match=r"b2 takes 10% longer than a1 .*the parts are kept"):
        fill(path, member("a1"), member("b2", slower=1.1))
    assert not path.exists()
    assert len(parts_of(path)) == 2


def test_phones_that_agree_within_the_tolerance_are_merged(tmp_path: Path) -> None:
    fill(tmp_path / "t.jsonl", member("a1"), member("b2", slower=1.04))
    assert (tmp_path / "t.jsonl").exists()


def test_other_models_and_the_same_phone_twice_are_refused() -> None:
    with pytest.raises(DeviceError, match=r"differ in device\.model: 'pixel' and 'galaxy'"):
        Fleet([(Phone("a1"), FakeRuntime()), (Phone("b2", "galaxy"), FakeRuntime())], PLAN)
    with pytest.raises(DeviceError, match="lead to one device; name it once"):
        Fleet([member("a1", boot="x"), member("b2", boot="y"), member("a1", boot="x")], PLAN)


@pytest.mark.parametrize("serial", ["a1", ""])
@pytest.mark.parametrize("boots", [("", ""), ("x", "y", "", "")])
def test_phones_that_neither_serial_nor_boot_tells_apart_are_refused(
    serial: str, boots: tuple[str, ...]
) -> None:
    with pytest.raises(DeviceError, match="cannot be told apart: keep a table for each"):
        Fleet([member(serial, boot=boot) for boot in boots], PLAN)


@pytest.mark.parametrize("serial", ["a1", ""])
def test_phones_of_one_serial_or_of_none_share_a_table_by_their_boots(serial: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    fill(path, member(serial, boot="x"), member("b2", boot="z"), member(serial, boot="y"))
    table = LatencyTable.open(path)
    assert table.missing([workload.spec for workload in WORKLOADS]) == ()
    assert table.header.device.serials == (serial, "b2")
    assert [file.name for file in tmp_path.iterdir()] == ["t.jsonl"]
    assert table.header.device.includes(Phone(serial).info())


def test_phones_of_one_serial_that_disagree_are_not_merged(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with pytest.raises(ProfilingError, match=r"a1\w+ takes 10% longer than a1\w+ .*the parts are kept"):
        fill(path, member("a1", boot="x"), member("a1", boot="y", slower=1.1))
    assert len(parts_of(path)) == 2


def test_each_phone_of_one_serial_finds_its_part_again_until_it_restarts(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with pytest.raises(DeviceLostError, match="all devices were lost"):
        fill(path, member("a1", boot="x", lost_after=45), member("a1", boot="y", lost_after=45))
    kept = {part.name: set(LatencyTable.open(part).measurements) for part in parts_of(path)}
    assert len(kept) == 2
    assert all(kept.values())
    again = Fleet([member("a1", boot="y", lost_after=0), member("a1", boot="x", lost_after=0)], PLAN)
    with pytest.raises(DeviceLostError):
        list(again.fill(path, WORKLOADS, CONTROLS))
    assert {part.name: set(LatencyTable.open(part).measurements) for part in parts_of(path)} == kept
    with pytest.raises(DeviceLostError):
        fill(path, member("a1", boot="x", lost_after=0))  # alone, too
    assert {part.name for part in parts_of(path)} == set(kept)
    fill(path, member("a1", boot="restarted"))
    table = LatencyTable.open(path)
    assert table.missing([workload.spec for workload in WORKLOADS]) == ()
    assert parts_of(path) == []


def test_phones_of_one_serial_are_filled_by_their_addresses(tmp_path: Path) -> None:
    shown: set[str] = set()
    addresses = [f"{namesake.__name__}:{boot}" for boot in ("transport_1", "transport_2")]
    filled = fill_table(
        tmp_path / "t.jsonl",
        WORKLOADS,
        Setup(addresses[0], "fake"),
        addresses=addresses,
        quality=Quality(spread_s=0.0),
        on_progress=lambda progress: shown.add(progress.device),
    )
    assert not filled.failures
    assert shown == set(addresses)
    assert LatencyTable.open(tmp_path / "t.jsonl").header.device.serials == (namesake.SERIAL_HASH,)


def test_a_member_that_proves_faster_later_measures_its_earlier_chunks_anew(tmp_path: Path) -> None:
    blocks = itertools.count()
    runtime = FakeRuntime(latency_s=lambda *_: 2e-3 if next(blocks) > 60 else 2.5e-3)
    plan = replace(PLAN, group_size=4, first_calls=3, sentinel=SentinelPlan())
    fleet = Fleet([(Phone("a1"), runtime)], plan)
    list(fleet.fill(tmp_path / "t.jsonl", WORKLOADS, CONTROLS))
    table = LatencyTable.open(tmp_path / "t.jsonl")
    assert table.missing([workload.spec for workload in WORKLOADS]) == ()
    assert {round(entry.latency_s, 6) for entry in table.measurements.values()} == {2e-3}


def test_an_operation_that_fails_is_a_fact_of_the_merged_table(tmp_path: Path) -> None:
    def fails(serial: str) -> tuple[Phone, FakeRuntime]:
        return Phone(serial), FakeRuntime(
            latency_s=lambda *_: 2e-3, errors={"k7": ProfilingError("no such kernel")}
        )

    fill(tmp_path / "t.jsonl", fails("a1"), fails("b2"))
    [failure] = LatencyTable.open(tmp_path / "t.jsonl").failures.values()
    assert (failure.spec.kind, failure.status) == ("k7", FailureStatus.CRASHED)


@pytest.mark.parametrize("n", [1, 5])
def test_leaving_early_keeps_what_was_measured(n: int, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    entries = Fleet([member("a1"), member("b2")], PLAN).fill(path, WORKLOADS, CONTROLS)
    for _ in range(n):
        next(entries)
    entries.close()  # type: ignore[attr-defined]
    assert sum(len(LatencyTable.open(part)) for part in parts_of(path)) >= n
    fill(path, member("a1"), member("b2"))
    assert LatencyTable.open(path).missing([workload.spec for workload in WORKLOADS]) == ()


class HotPhone(Phone):
    """A phone that stays too hot; a second of its rest takes a hundredth."""

    rested_s = 0.0

    def why_not_ready(self) -> str | None:
        return "thermal status 2 (moderate): let it cool"

    def pause(self, seconds: float) -> None:
        self.rested_s += seconds
        time.sleep(seconds / 100)


def test_leaving_early_does_not_wait_until_a_hot_phone_has_cooled(tmp_path: Path) -> None:
    path, hot = tmp_path / "t.jsonl", HotPhone("a1")
    plan = replace(PLAN, group_size=2, sentinel=SentinelPlan(rest_s=50.0, patience_s=5000.0))
    fleet = Fleet([(hot, FakeRuntime(latency_s=lambda *_: 2e-3)), member("b2")], plan)
    entries = fleet.fill(path, WORKLOADS, CONTROLS)
    next(entries)
    entries.close()  # type: ignore[attr-defined]
    assert hot.rested_s < plan.sentinel.rest_s  # type: ignore[union-attr]
    assert not LatencyTable.open(path.with_name("t.jsonl.part-a1")).failures


@pytest.mark.parametrize("group_size", [3, 12])
def test_a_phone_takes_whole_groups_so_that_no_sentinel_runs_for_a_few_left_over(
    group_size: int, tmp_path: Path
) -> None:
    loaded: list[str] = []

    class Counting(FakeRuntime):
        @contextmanager
        def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
            loaded.append(workload.spec.kind)
            with super().prepare(workload, device) as sampler:
                yield sampler

    plan = replace(PLAN, group_size=group_size, sentinel=SentinelPlan(max_drift=1e6))
    fleet = Fleet([(Phone("a1"), Counting(latency_s=lambda *_: 2e-3))], plan)
    list(fleet.fill(tmp_path / "t.jsonl", WORKLOADS, CONTROLS))
    others = len(WORKLOADS) - len(CONTROLS)
    assert loaded.count("sentinel") == 1 + math.ceil(others / group_size)


@pytest.mark.slow
def test_two_phones_run_real_models_at_once_and_what_one_could_not_the_other_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Played phones, one of them unplugged at work; the tool's stand-in computes every model."""
    monkeypatch.setattr(remote, "_WARM_UP_S", 0.0)
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(programs.benchmark_model())
    sentinel = SentinelPlan(max_drift=1e6, block_s=0.01)  # this machine is in no way steady
    plan = replace(PLAN, block_s=0.01, first_calls=3, group_size=2, sentinel=sentinel)
    workloads = [
        Workload(OpSpec.of(f"conv{n}", (1, 8, 12, 12)), partial(nn.Conv2d, 8, n, 3, padding=1))
        for n in (4, 6, 8, 10, 12, 14)
    ]
    with ExitStack() as opened:
        transports, members = [], []
        for name in ("a", "b"):
            phone = PlayedPhone(tmp_path / name)
            properties = phone.read("getprop").replace(SERIAL, f"SERIAL{name}")
            phone.write("getprop", properties)
            transports.append(phone.transport())
            device = opened.enter_context(Android(transports[-1], root=phone.root, sleep=phone.sleep))
            members.append((device, TfLite(benchmark_binary=str(tool))))
        fleet = Fleet(members, plan)
        transports[0].calls_until_lost = 60
        list(fleet.fill(tmp_path / "t.jsonl", workloads, workloads[-1:]))
    table = LatencyTable.open(tmp_path / "t.jsonl")
    assert not table.failures
    assert table.missing([workload.spec for workload in workloads]) == ()
    assert all(entry.conditions["output_compared"] is True for entry in table.measurements.values())
    assert [why.partition(";")[0] for why in fleet.lost.values()] == ["the phone was unplugged"]


def test_a_damaged_part_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.with_name("t.jsonl.part-b2").write_text("no table")
    with pytest.raises(DamagedFileError, match="damaged"):
        fill(path, member("a1"), member("b2"))
