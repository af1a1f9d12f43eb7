"""Several devices of one model share a table: on scripted clocks, with losses at every point."""

import itertools
from pathlib import Path

import pytest

from devices._device import DeviceInfo
from devices._errors import DamagedFileError, DeviceError, DeviceLostError, ProfilingError
from devices.fake import Fake
from latency_tables.measurement import FailureStatus
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from profilers.fleet import Fleet, parts_of
from profilers.plan import MeasurementPlan
from profilers.runtimes._runtime import Workload
from profilers.runtimes.fake import FakeRuntime

PLAN = MeasurementPlan(min_rounds=3, max_rounds=3, span_s=0.0)
WORKLOADS = [Workload(OpSpec.of(f"k{i}", (1, 8, 4, 4)), Path("never read")) for i in range(40)]
SENTINELS = WORKLOADS[-3:]


class Phone(Fake):
    """A fake device with a serial number, of a model."""

    def __init__(self, serial: str, model: str = "pixel") -> None:
        super().__init__()
        self._info = DeviceInfo("fake", model, "soc", "os", cores=1, serial_hash=serial)

    def info(self) -> DeviceInfo:
        return self._info


def member(serial: str, *, slower: float = 1.0, lost_after: int | None = None) -> tuple[Phone, FakeRuntime]:
    """Return a phone that takes ``slower`` times a millisecond, and is lost after so many blocks."""
    blocks = itertools.count()

    def latency_s(spec: OpSpec, _: float) -> float:
        if lost_after is not None and next(blocks) >= lost_after:
            raise DeviceLostError(f"{serial} was unplugged")
        return 2e-3 * slower

    return Phone(serial), FakeRuntime(latency_s=latency_s)


def fill(path: Path, *members: tuple[Phone, FakeRuntime]) -> Fleet:
    fleet = Fleet(members, PLAN)
    list(fleet.fill(path, WORKLOADS, SENTINELS))
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
    shared = set(kept) - {workload.spec for workload in SENTINELS}
    assert all(table[spec].samples_s == kept[spec].samples_s for spec in shared)
    assert parts_of(path) == []


def test_phones_whose_sentinels_disagree_are_not_merged(tmp_path: Path) -> None:
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
    with pytest.raises(DeviceError, match="lead to one device"):
        Fleet([(Phone("a1"), FakeRuntime()), (Phone("a1"), FakeRuntime())], PLAN)


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
    entries = Fleet([member("a1"), member("b2")], PLAN).fill(path, WORKLOADS, SENTINELS)
    for _ in range(n):
        next(entries)
    entries.close()  # type: ignore[attr-defined]
    assert sum(len(LatencyTable.open(part)) for part in parts_of(path)) >= n
    fill(path, member("a1"), member("b2"))
    assert LatencyTable.open(path).missing([workload.spec for workload in WORKLOADS]) == ()


def test_a_damaged_part_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.with_name("t.jsonl.part-b2").write_text("no table")
    with pytest.raises(DamagedFileError, match="damaged"):
        fill(path, member("a1"), member("b2"))
