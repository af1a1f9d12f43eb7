import os
import pickle
import subprocess
import sys
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices._device import DeviceInfo
from latency_tables import Conditions, Extent
from latency_tables.errors import DamagedFileError, MissingEntryError, TableError, TableMismatchError
from latency_tables.journal import Journal, read_lines
from latency_tables.lines import Fields
from latency_tables.measurement import Failure, FailureStatus, Measurement
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable, TableHeader

DEVICE = DeviceInfo("cpu", "Xeon", "x86_64", "Linux 6.1", cores=2, serial_hash="abc")
HEADER = TableHeader(DEVICE, "onnxruntime", "1.22.0", threads=1, settings={"provider": "cpu", "opset": 17})
CONV = OpSpec.of("conv", (1, 16, 32, 32), kernel=3)
POOL = OpSpec("max_pool", (1, 16, 32, 32))
SKIP = OpSpec("skip", (1, 16, 32, 32))

HEADER_RECORD: dict[str, Any] = {
    "schema": 1,
    "device": {
        "kind": "cpu",
        "model": "Xeon",
        "platform": "x86_64",
        "os_build": "Linux 6.1",
        "cores": 2,
        "serial_hash": "abc",
    },
    "runtime": "onnxruntime",
    "runtime_version": "1.22.0",
    "threads": 1,
    "settings": {"provider": "cpu", "opset": 17},
}
CONV_RECORD: dict[str, Any] = {"spec": str(CONV), "samples_s": [1e-3, 2e-3], "conditions": {"rounds": 2}}
FAILURE_RECORD: dict[str, Any] = {"spec": str(POOL), "status": "crashed", "reason": "SIGSEGV"}


def measured(spec: OpSpec, *samples_s: float) -> Measurement:
    return Measurement(spec, samples_s or (1e-3, 2e-3), {"rounds": 2})


def crashed(spec: OpSpec, reason: str = "SIGSEGV") -> Failure:
    return Failure(spec, FailureStatus.CRASHED, reason)


def table_of(*entries: Measurement | Failure) -> LatencyTable:
    table = LatencyTable.in_memory(HEADER)
    table.add(*entries)
    return table


def file_of(path: Path, *records: Fields) -> Path:
    with Journal.create(path, records[0]) as journal:
        journal.append(*records[1:])
    return path


def test_the_header_is_read_alone_and_as_strictly_as_with_the_entries(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.jsonl", HEADER_RECORD, CONV_RECORD)
    path.write_bytes(path.read_bytes().replace(b"samples_s", b"samplez_s"))
    assert LatencyTable.header_of(path) == HEADER
    with pytest.raises(DamagedFileError, match="line 2"):
        LatencyTable.open(path)
    newer = file_of(tmp_path / "b.jsonl", HEADER_RECORD | {"schema": 99})
    with pytest.raises(TableError, match="schema 99"):
        LatencyTable.header_of(newer)


def test_a_table_reads_back_as_it_was_written(tmp_path: Path) -> None:
    entries = measured(CONV, 1e-3, 2e-3, 1 / 3), crashed(POOL)
    with LatencyTable.create(tmp_path / "a.jsonl", HEADER) as written:
        written.add(*entries)
    table = LatencyTable.open(str(tmp_path / "a.jsonl"))
    assert table.header == HEADER
    assert table[CONV] == entries[0]
    assert table[CONV].conditions == {"rounds": 2}
    assert table.failures == {POOL: entries[1]}
    assert table.digest() == written.digest() == table_of(*entries).digest()


def test_the_first_record_is_the_header_and_each_entry_is_a_record(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with LatencyTable.create(path, HEADER) as table:
        table.add(measured(CONV))
        table.add(crashed(POOL))
    assert [r for _, r in read_lines(path)] == [HEADER_RECORD, CONV_RECORD, FAILURE_RECORD]


@pytest.mark.parametrize(("runtime", "usual"), [("onnxruntime", "live"), ("torch", "whole")])
def test_a_header_that_does_not_say_what_is_executed_means_what_it_meant_before_it_could(
    tmp_path: Path, runtime: str, usual: Extent
) -> None:
    old = {**HEADER_RECORD, "runtime": runtime}
    header = LatencyTable.open(file_of(tmp_path / "old.jsonl", old)).header
    assert header.executes == usual
    LatencyTable.create(tmp_path / "new.jsonl", header).close()
    assert (tmp_path / "new.jsonl").read_bytes() == (tmp_path / "old.jsonl").read_bytes()


@pytest.mark.parametrize(("runtime", "unusual"), [("onnxruntime", "whole"), ("torch", "live")])
def test_a_header_says_what_is_executed_where_that_is_unusual(
    tmp_path: Path, runtime: str, unusual: Extent
) -> None:
    header = replace(HEADER, runtime=runtime, executes=unusual)
    LatencyTable.create(tmp_path / "a.jsonl", header).close()
    assert LatencyTable.open(tmp_path / "a.jsonl").header == header
    assert next(read_lines(tmp_path / "a.jsonl"))[1]["executes"] == unusual


def test_appending_creates_a_table_or_goes_on_with_it(tmp_path: Path) -> None:
    for n, spec in enumerate((CONV, POOL, SKIP)):
        with LatencyTable.open_for_writing(tmp_path / "a.jsonl", HEADER) as table:
            assert len(table) == n
            table.add(measured(spec))
    assert list(LatencyTable.open(tmp_path / "a.jsonl").measurements) == [CONV, POOL, SKIP]


def test_what_is_measured_can_be_read_while_it_is_being_measured(tmp_path: Path) -> None:
    with LatencyTable.open_for_writing(tmp_path / "a.jsonl", HEADER) as table:
        table.add(measured(CONV))
        assert CONV in LatencyTable.open(tmp_path / "a.jsonl")
        with pytest.raises(TableError, match="being written already"):
            LatencyTable.open_for_writing(tmp_path / "a.jsonl", HEADER)


def test_a_table_open_for_reading_takes_no_entry_and_changes_no_file(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.jsonl", HEADER_RECORD, CONV_RECORD)
    content = path.read_bytes()
    table = LatencyTable.open(path)
    with pytest.raises(TableError, match="reading only"):
        table.add(measured(POOL))
    table.close()
    assert len(table) == 1
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_closed_table_takes_no_entry_but_can_be_read(tmp_path: Path) -> None:
    with LatencyTable.create(tmp_path / "a.jsonl", HEADER) as table:
        table.add(measured(CONV))
    with pytest.raises(TableError, match="closed"):
        table.add(measured(POOL))
    assert CONV in table
    assert POOL not in table


def test_a_later_entry_replaces_an_earlier_one_of_its_operation(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with LatencyTable.create(path, HEADER) as table:
        table.add(measured(CONV, 5.0), crashed(POOL), measured(SKIP))
        table.add(measured(CONV, 7.0), measured(POOL), crashed(SKIP))
    for seen in (table, LatencyTable.open(path)):
        assert seen[CONV].samples_s == (7.0,)
        assert list(seen.measurements) == [CONV, POOL]
        assert list(seen.failures) == [SKIP]


def test_an_operation_without_a_latency_says_why() -> None:
    table = table_of(crashed(CONV, reason="signal 11\nin kernel  conv"))
    with pytest.raises(
        MissingEntryError, match=r"conv\[.*crashed: signal 11 in kernel conv.*profile the space"
    ):
        table[CONV]
    with pytest.raises(MissingEntryError, match="never measured"):
        table[POOL]


def test_a_failure_counts_as_known_but_not_as_a_latency() -> None:
    table = table_of(measured(CONV), crashed(POOL))
    assert (CONV in table, POOL in table, SKIP in table) == (True, False, False)
    assert len(table) == 1
    assert table.missing([SKIP, POOL, CONV, SKIP]) == (SKIP,)
    assert table.missing([SKIP, POOL, CONV, SKIP], retry_failures=True) == (SKIP, POOL)


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("device.model", replace(HEADER, device=replace(DEVICE, model="EPYC"))),
        ("device.serial_hash", replace(HEADER, device=replace(DEVICE, serial_hash="def"))),
        ("runtime", replace(HEADER, runtime="tflite")),
        ("runtime_version", replace(HEADER, runtime_version="1.23.0")),
        ("threads", replace(HEADER, threads=4)),
        ("executes", replace(HEADER, executes="whole")),
        ("settings.opset", replace(HEADER, settings={"provider": "cpu", "opset": 18})),
        ("settings.opset", replace(HEADER, settings={"provider": "cpu"})),
        ("settings.cold", replace(HEADER, settings={**HEADER.settings, "cold": 1})),
    ],
)
def test_a_table_takes_nothing_measured_under_another_header(
    tmp_path: Path, field: str, other: TableHeader
) -> None:
    path = file_of(tmp_path / "a.jsonl", HEADER_RECORD, CONV_RECORD)
    content = path.read_bytes()
    with pytest.raises(TableMismatchError) as caught:
        LatencyTable.open_for_writing(path, other)
    assert caught.value.field == field
    for header in (HEADER, other):
        assert repr(str(header.facts().get(field, "unset"))) in str(caught.value)
    assert path.read_bytes() == content
    LatencyTable.open_for_writing(path, HEADER).close()  # the refusal has released the lock


def test_a_table_shows_where_it_is_what_it_holds_and_on_what_it_was_measured(tmp_path: Path) -> None:
    conditions = "cpu: Xeon, 2 cores, Linux 6.1; onnxruntime 1.22.0, threads=1"
    assert repr(table_of(measured(CONV), crashed(POOL))) == (
        f"LatencyTable(in memory: 1 measured, 1 failed; {conditions})"
    )
    path = file_of(tmp_path / "a.jsonl", HEADER_RECORD)
    assert repr(LatencyTable.open(path)) == f"LatencyTable({path}: 0 measured, 0 failed; {conditions})"


def test_required_conditions_are_compared_with_the_header() -> None:
    table = table_of()
    table.require()
    table.require(device="cpu", runtime="onnxruntime", threads=1)
    with pytest.raises(TableMismatchError, match="device 'cpu', but 'android'"):
        table.require(device="android", runtime="tflite")
    with pytest.raises(TableMismatchError, match="runtime 'onnxruntime', but 'tflite'"):
        table.require(runtime="tflite", threads=2)
    with pytest.raises(TableMismatchError, match="threads '1', but '2'"):
        table.require(threads=2)
    table.require(settings={"opset": 17})
    with pytest.raises(TableMismatchError, match="delegate 'unset', but 'gpu'"):
        table.require(settings={"opset": 17, "delegate": "gpu"})


@pytest.mark.parametrize("value", ["off", False])
def test_a_required_boolean_is_compared_with_the_word_that_headers_have(value: str | bool) -> None:
    table = LatencyTable.in_memory(replace(HEADER, settings={"xnnpack": "off"}))
    table.require(settings={"xnnpack": value})
    with pytest.raises(TableMismatchError, match="xnnpack 'off', but 'on'"):
        table.require(settings={"xnnpack": True})


@given(st.permutations([measured(CONV, 1.0), measured(POOL, 2.0), crashed(SKIP)]))
def test_the_digest_is_that_of_the_content_in_any_order(entries: list[Measurement | Failure]) -> None:
    table = table_of(crashed(CONV), measured(CONV, 9.0), *entries)
    assert table.digest() == table_of(measured(CONV, 1.0), measured(POOL, 2.0), crashed(SKIP)).digest()


def test_the_digest_changes_with_whatever_is_in_the_table() -> None:
    tables = [
        table_of(),
        table_of(measured(CONV, 1.0)),
        table_of(measured(CONV, 1.0 + 1e-15)),
        table_of(measured(POOL, 1.0)),
        table_of(crashed(CONV)),
        table_of(crashed(CONV, reason="")),
        table_of(Measurement(CONV, (1.0,), {"rounds": 3})),
        LatencyTable.in_memory(replace(HEADER, threads=2)),
    ]
    assert len({table.digest() for table in tables}) == len(tables)


def test_the_frame_has_a_row_for_every_entry() -> None:
    table = table_of(measured(CONV, *(i * 1e-3 for i in range(1, 12))), crashed(POOL))
    conv, pool = table.to_frame().to_dict("records")
    assert list(conv) == [
        "kind",
        "spec",
        "latency_ms",
        "low_ms",
        "high_ms",
        "median_ms",
        "n",
        "status",
        "reason",
    ]
    assert (conv["kind"], conv["spec"], conv["n"], conv["status"]) == ("conv", str(CONV), 11, "measured")
    assert (conv["latency_ms"], conv["median_ms"]) == pytest.approx((2.0, 6.0))
    assert conv["low_ms"] <= conv["latency_ms"] <= conv["high_ms"]
    assert (pool["spec"], pool["n"], pool["status"], pool["reason"]) == (str(POOL), 0, "crashed", "SIGSEGV")
    assert pool["latency_ms"] != pool["latency_ms"]
    assert table_of().to_frame().empty


def test_a_table_in_memory_can_be_sent_to_another_process() -> None:
    table = table_of(measured(CONV), crashed(POOL))
    assert pickle.loads(pickle.dumps(table)).digest() == table.digest()  # noqa: S301


@pytest.mark.parametrize("name", ["spec", "samples_s", "conditions"])
@pytest.mark.parametrize("value", [None, True, 1, -1.0, "1e-3", [], [None], {"load": None}])
def test_a_measurement_with_a_poisoned_field_is_refused(tmp_path: Path, name: str, value: object) -> None:
    refuses(
        file_of(tmp_path / "a.jsonl", HEADER_RECORD, FAILURE_RECORD, CONV_RECORD | {name: value}), "line 3"
    )


@pytest.mark.parametrize(
    "sample", ["-0.001", "0.0", "1", "true", '"0.001"', "1e999", "1e30", "1e-10", "null", "[0.1]"]
)
def test_a_poisoned_sample_is_refused(tmp_path: Path, sample: str) -> None:
    path = file_of(tmp_path / "a.jsonl", HEADER_RECORD)
    append_raw(path, f'{{"spec":"{CONV}","samples_s":[0.001,{sample}],"conditions":{{}}}}'.encode())
    refuses(path, "line 2")


def test_an_infinite_condition_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.jsonl", HEADER_RECORD)
    append_raw(path, f'{{"spec":"{CONV}","samples_s":[0.001],"conditions":{{"load":1e999}}}}'.encode())
    refuses(path, "line 2")


@pytest.mark.parametrize(
    "record",
    [
        {**FAILURE_RECORD, "status": "unlucky"},
        {**FAILURE_RECORD, "status": None},
        {**FAILURE_RECORD, "reason": 11},
        {**FAILURE_RECORD, "spec": "max_pool"},
        {**FAILURE_RECORD, "samples_s": [1e-3]},
        {**CONV_RECORD, "spec": "conv[01x3;float32]"},
        {**CONV_RECORD, "latency_ms": 0.1},
        {**CONV_RECORD, "status": "measured"},
        {"spec": str(CONV)},
        {},
        HEADER_RECORD,
    ],
)
def test_a_record_that_is_no_entry_is_refused(tmp_path: Path, record: Fields) -> None:
    refuses(file_of(tmp_path / "a.jsonl", HEADER_RECORD, record), "line 2")


@pytest.mark.parametrize("name", list(HEADER_RECORD))
@pytest.mark.parametrize("value", [None, True, 0, 0.5, [], {"a": None}])
def test_a_header_with_a_poisoned_field_is_refused(tmp_path: Path, name: str, value: object) -> None:
    refuses(file_of(tmp_path / "a.jsonl", HEADER_RECORD | {name: value}, CONV_RECORD), "line 1")


@pytest.mark.parametrize("name", list(HEADER_RECORD["device"]))
@pytest.mark.parametrize("value", [None, True, 0.5, [], {"a": None}])
def test_a_header_with_a_poisoned_device_is_refused(tmp_path: Path, name: str, value: object) -> None:
    device = HEADER_RECORD["device"] | {name: value}
    refuses(file_of(tmp_path / "a.jsonl", HEADER_RECORD | {"device": device}, CONV_RECORD), "line 1")


@pytest.mark.parametrize(
    "record",
    [
        {**HEADER_RECORD, "schema": 0},
        {**HEADER_RECORD, "runtime": ""},
        {**HEADER_RECORD, "threads": 0},
        {**HEADER_RECORD, "settings": {"opset": 17.0}},
        {**HEADER_RECORD, "notes": ""},
        {**HEADER_RECORD, "executes": "half"},
        {**HEADER_RECORD, "executes": None},
        {**HEADER_RECORD, "keyed_by": "operations"},
        {name: value for name, value in HEADER_RECORD.items() if name != "settings"},
        CONV_RECORD,
    ],
)
def test_a_first_record_that_is_no_header_is_refused(tmp_path: Path, record: Fields) -> None:
    refuses(file_of(tmp_path / "a.jsonl", record, CONV_RECORD), "line 1")


def test_a_table_of_a_newer_version_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.jsonl", {**HEADER_RECORD, "schema": 4, "weather": "fine"}, {"any": "thing"})
    with pytest.raises(TableError, match=r"a\.jsonl has schema 4, but 3 is read; upgrade cars-hw") as caught:
        LatencyTable.open(path)
    assert not isinstance(caught.value, DamagedFileError)


@pytest.mark.parametrize(
    "change", [{"runtime": ""}, {"runtime_version": ""}, {"threads": 0}, {"settings": {"cold": True}}]
)
def test_a_header_that_says_nothing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TableError, match="table"):
        replace(HEADER, **change)


def append_raw(path: Path, payload: bytes) -> None:
    """Append a record that ``Journal`` would not write, with a checksum that holds."""
    with path.open("ab") as file:
        file.write(b"%d %08x %b\n" % (len(payload), zlib.crc32(payload), payload))


def refuses(path: Path, where: str) -> None:
    """Both ways of opening ``path`` blame ``where``, change nothing and keep no lock."""
    content = path.read_bytes()
    for _ in range(2):
        with pytest.raises(DamagedFileError, match=f"damaged at {where}: ") as caught:
            LatencyTable.open_for_writing(path, HEADER)
        assert "\n" not in str(caught.value)
    with pytest.raises(DamagedFileError, match=f"damaged at {where}: "):
        LatencyTable.open(path)
    assert path.read_bytes() == content


def test_a_path_that_the_system_refuses_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)  # pathlib's exists raises for it, as below a folder of somebody else
    for use in (LatencyTable.open, lambda path: LatencyTable.open_for_writing(path, HEADER)):
        with pytest.raises(TableError, match="File name too long"):
            use(path)


_CONDITIONS: Conditions = {
    "inner_calls": 16,
    "rounds": 30,
    "precision_reached": True,
    "started": "2026-01-01T00:00:00+00:00",
    "load_before": 0.5,
    "load_after": 1.5,
    "governor": "performance",
    "affinity": "1",
    "threads": 1,
}


def test_an_entry_of_a_large_table_takes_less_than_its_line(tmp_path: Path) -> None:
    """200 000 of them are to take less than 300 MB, with Python and numpy: see benchmarks/table_size.py."""
    n, path = 3000, tmp_path / "t.jsonl"
    rng = np.random.default_rng(0)
    with LatencyTable.create(path, HEADER) as table:
        specs = [OpSpec.of("sep_conv", (1, 8, 32, 1 + i), kernel=3, out=i) for i in range(n)]
        table.add(*(Measurement(spec, tuple(rng.uniform(1e-4, 2e-4, 30)), _CONDITIONS) for spec in specs))
    LatencyTable.open(path)  # what is made once is no entry's
    tracemalloc.start()
    opened = LatencyTable.open(path)
    size_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size_bytes / n < path.stat().st_size / n < 1000
    assert opened.measurements == table.measurements
    assert [opened[spec].conditions for spec in specs[:3]] == [_CONDITIONS] * 3


@pytest.mark.slow
def test_a_table_of_200_000_entries_opens_in_six_times_json_and_300_mb() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "table_size.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_conditions_keep_their_types_and_order() -> None:
    conditions: Conditions = {"b": True, "a": 1, "c": 1.0, "d": "1"}
    table = LatencyTable.in_memory(HEADER)
    table.add(Measurement(CONV, (1e-3, 2e-3), conditions))
    assert list(map(repr, table[CONV].conditions.items())) == list(map(repr, conditions.items()))
    assert table[CONV].samples_s == (1e-3, 2e-3)
