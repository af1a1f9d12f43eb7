"""Identity and conditions: what makes another device, what an update changes, what a table says of both."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devices import DeviceInfo
from devices.foundation import UnknownNameError
from latency_tables import (
    ChangedConditionsError,
    Failure,
    FailureStatus,
    LatencyTable,
    Measurement,
    OpSpec,
    TableError,
    TableHeader,
    TableMismatchError,
)
from latency_tables.fields import header_from_fields, header_to_fields
from latency_tables.header import changeable
from latency_tables.journal import Journal

CPU = DeviceInfo("cpu", "Xeon", "x86_64", "Linux 6.18.44", cores=2, serial_hash="abc")
PHONE = DeviceInfo(
    "android",
    "Google Pixel 6",
    "Google Tensor; big cores 6-7",
    "Android 13 (google/oriole:13/TQ3A.1)",
    cores=8,
    serial_hash="abc",
    abi="arm64-v8a",
    kernel="Linux 5.10.107",
    security_patch="2023-08-05",
    vendor_build="google/oriole:13/V1",
)
#: As programs that wrote schema 1 knew it.
OLD_PHONE = DeviceInfo("android", PHONE.model, PHONE.platform, PHONE.os_build, cores=8, serial_hash="abc")

CONV, POOL = OpSpec.of("conv", (1, 16, 32, 32), kernel=3), OpSpec("max_pool", (1, 16, 32, 32))


def header(device: DeviceInfo, version: str = "1.22.0") -> TableHeader:
    return TableHeader(device, "onnxruntime", version, threads=1)


def measured(spec: OpSpec) -> Measurement:
    return Measurement(spec, (1e-3, 2e-3), {"rounds": 2})


@pytest.mark.parametrize(
    ("os_build", "conditions"),
    [
        ("Linux 6.18.44", {"kernel": "Linux 6.18.44"}),
        ("Linux 6.18.44-generic; Ubuntu 24.04", {"kernel": "Linux 6.18.44-generic", "build": "Ubuntu 24.04"}),
        ("Darwin 23.1.0", {"kernel": "Darwin 23.1.0"}),
        ("Windows 11", {"kernel": "Windows 11"}),
        ("Android 13 (google/oriole:13/TQ3A.1)", {"build": "Android 13 (google/oriole:13/TQ3A.1)"}),
        ("an OS", {"build": "an OS"}),
    ],
)
def test_kernel_and_build_are_told_apart_where_one_text_holds_both(
    os_build: str, conditions: dict[str, str]
) -> None:
    assert replace(CPU, os_build=os_build).conditions() == conditions


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (CPU, {"os_build": "Linux 6.18.45"}, ["kernel"]),
        (CPU, {"os_build": "Linux 6.18.44; Ubuntu 24.04"}, []),  # it did not tell before
        (PHONE, {"kernel": "Linux 5.10.198"}, ["kernel"]),
        (PHONE, {"os_build": "Android 14 (g)"}, ["build"]),
        (PHONE, {"security_patch": "2023-09-05"}, ["build"]),
        (PHONE, {"vendor_build": "google/oriole:13/V2"}, ["build"]),
        (PHONE, {"os_build": "Android 14 (g)", "kernel": "Linux 6.1"}, ["kernel", "build"]),
        (PHONE, {"os_build": "Android 14 (g)", "security_patch": "2024-01-05"}, ["build"]),
    ],
)
def test_an_update_changes_conditions_which_are_allowed_by_their_words(
    before: DeviceInfo, now: dict[str, str], words: list[str]
) -> None:
    first, later = header(before), header(replace(before, **now))  # type: ignore[arg-type]
    assert before.includes(later.device)
    for i in range(len(words)):
        with pytest.raises(ChangedConditionsError) as refused:
            first.require_equal(later, allow_changed=words[:i])
        assert refused.value.words == tuple(words)
        for then, today in refused.value.changes.values():
            assert repr(then) in str(refused.value)
            assert repr(today) in str(refused.value)
        assert "\n" not in str(refused.value)
    assert first.require_equal(later, allow_changed=words).keys() >= set(words) - {"build"}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (CPU, {"cores": 1}),  # one is offline
        (CPU, {"platform": "x86_64; slow cores 0-1"}),
        (CPU, {"serial_hash": "def"}),
        (CPU, {"model": "EPYC"}),
        (PHONE, {"platform": "Google Tensor; little cores 0-3"}),
        (PHONE, {"serial_hash": ""}),
        (PHONE, {"abi": "armeabi-v7a"}),
    ],
)
def test_another_device_is_refused_with_both_values_whatever_is_allowed_to_change(
    before: DeviceInfo, now: dict[str, Any]
) -> None:
    first, later = header(before), header(replace(before, os_build="Linux 9", **now))
    assert not before.includes(later.device)
    [(name, value)] = now.items()
    with pytest.raises(TableMismatchError) as refused:
        first.require_equal(later, allow_changed=["kernel", "build", "runtime_version", "device"])
    assert (refused.value.field, refused.value.words) == (f"device.{name}", ())
    assert f"{str(getattr(before, name))!r}, but {str(value)!r}" in str(refused.value)
    with pytest.raises(TableMismatchError) as refused:
        first.require_equal(later, is_read=True)
    assert refused.value.words == ("device",)


def test_what_one_of_two_does_not_tell_is_not_compared() -> None:
    for first, later in ((OLD_PHONE, PHONE), (PHONE, OLD_PHONE)):
        assert header(first).require_equal(header(later)) == {}
        assert first.includes(later)


def test_another_version_of_the_runtime_is_a_condition() -> None:
    first, later = header(CPU), header(CPU, "1.23.0")
    with pytest.raises(ChangedConditionsError, match=r"runtime version '1\.22\.0', but is used under"):
        first.require_equal(later, allow_changed=["kernel", "build"])
    changes = first.require_equal(later, allow_changed=["runtime_version"])
    assert changes == {"runtime_version": ("1.22.0", "1.23.0")}


def test_a_word_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"'kernal'; did you mean 'kernel'.*kernel, build, runtime_v"):
        header(CPU).require_equal(header(CPU), allow_changed=["kernal"])
    assert changeable(["build", "kernel", "build"]) == ("kernel", "build")


@pytest.mark.parametrize("device", [CPU, OLD_PHONE])
def test_a_header_that_tells_no_more_than_before_is_written_as_before(device: DeviceInfo) -> None:
    fields = json.loads(json.dumps(header_to_fields(header(device))))
    assert fields["schema"] == 1
    assert fields["device"].keys() == {"kind", "model", "platform", "os_build", "cores", "serial_hash"}
    assert header_from_fields(fields) == header(device)


def test_a_header_that_tells_more_is_of_a_newer_schema_which_earlier_programs_refuse_by_name() -> None:
    fields = json.loads(json.dumps(header_to_fields(header(PHONE))))
    assert fields["schema"] == 2
    assert header_from_fields(fields) == header(PHONE)
    for damaged in ({**fields, "schema": 1}, {**fields, "device": {**fields["device"], "kernel": 5}}):
        with pytest.raises(TableError):
            header_from_fields(damaged)


def test_what_is_measured_under_a_changed_condition_says_so_and_the_header_stays(tmp_path: Path) -> None:
    path, later = tmp_path / "t.jsonl", header(replace(CPU, os_build="Linux 6.18.45"), "1.23.0")
    with LatencyTable.create(path, header(CPU)) as table:
        table.add(measured(CONV))
        digest, before = table.digest(), path.read_bytes()
        assert table.measured_under() == {}
    with LatencyTable.open_for_writing(path, later, allow_changed=["kernel", "runtime_version"]) as table:
        assert table.digest() == digest
        table.add(measured(POOL), Failure(OpSpec("skip", (1,)), FailureStatus.CRASHED, "SIGSEGV"))
        told = table[POOL].conditions
    assert told == {"rounds": 2, "kernel": "Linux 6.18.45", "runtime_version": "1.23.0"}
    assert path.read_bytes().startswith(before)
    opened = LatencyTable.open(path)
    assert (opened.header, opened[POOL].conditions, opened[CONV].conditions["rounds"]) == (
        header(CPU),
        told,
        2,
    )
    assert opened.measured_under() == {
        "kernel": {"Linux 6.18.44": 1, "Linux 6.18.45": 1},
        "runtime_version": {"1.22.0": 1, "1.23.0": 1},
    }


def test_a_table_whose_entries_were_all_measured_anew_tells_their_condition(tmp_path: Path) -> None:
    path, later = tmp_path / "t.jsonl", header(replace(CPU, os_build="Linux 6.18.45"))
    with LatencyTable.create(path, header(CPU)) as table:
        table.add(measured(CONV))
    with LatencyTable.open_for_writing(path, later, allow_changed=["kernel"]) as table:
        table.add(measured(CONV))
        assert table.measured_under() == {"kernel": {"Linux 6.18.45": 1}}
        table.save(tmp_path / "copy.jsonl")
    assert LatencyTable.open(tmp_path / "copy.jsonl").measured_under() == {"kernel": {"Linux 6.18.45": 1}}


def test_a_refused_update_leaves_the_file_and_its_lock_alone(tmp_path: Path) -> None:
    path, later = tmp_path / "t.jsonl", header(replace(CPU, os_build="Linux 6.18.45"))
    LatencyTable.create(path, header(CPU)).close()
    before = path.read_bytes()
    with pytest.raises(ChangedConditionsError):
        LatencyTable.open_for_writing(path, later)
    assert path.read_bytes() == before
    Journal.open(path).close()
