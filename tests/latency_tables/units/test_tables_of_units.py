"""Tables that are keyed by units: their own schema, executed graphs, and nothing mixed."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devices import DeviceInfo
from latency_tables import (
    CALL_OVERHEAD,
    IMAGE,
    DamagedFileError,
    ExecutedGraph,
    ExecutedNode,
    LatencyTable,
    Measurement,
    OpSpec,
    SpecError,
    TableError,
    TableHeader,
    TableMismatchError,
    Unit,
    repair_table,
)
from latency_tables.journal import Journal, read_lines
from latency_tables.lines import Fields

DEVICE = DeviceInfo("cpu", "Xeon", "x86_64", "Linux 6.1", cores=2, serial_hash="abc")
BY_OPERATIONS = TableHeader(DEVICE, "onnxruntime", "1.22.0", threads=1)
BY_UNITS = replace(BY_OPERATIONS, keyed_by="units")

_SHAPE = (1, 8, 4, 4)
CONV = Unit("Conv", (_SHAPE,), _SHAPE, ((8, 8, 3, 3), (8,)), {"group": 1}).spec()
ADD = Unit("Add", (_SHAPE, _SHAPE), _SHAPE).spec()
NETWORK, OTHER = OpSpec.of("network", _SHAPE, hash="a1"), OpSpec.of("network", _SHAPE, hash="b2")
GRAPH = ExecutedGraph((ExecutedNode(CONV, (IMAGE,)), ExecutedNode(CONV, (0,)), ExecutedNode(ADD, (1, 0))))
GRAPH_RECORD: dict[str, Any] = {
    "network": str(NETWORK),
    "units": [str(CONV), str(ADD)],
    "nodes": [[0, -1], [0, 0], [1, 1, 0]],
}


def measured(spec: OpSpec) -> Measurement:
    return Measurement(spec, (1e-3, 2e-3))


def filled(table: LatencyTable) -> LatencyTable:
    table.add(*map(measured, (CALL_OVERHEAD, CONV, ADD, NETWORK)))
    table.add_executed(NETWORK, GRAPH)
    return table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with LatencyTable.create(tmp_path / "a.jsonl", BY_UNITS) as table:
        filled(table)
    return tmp_path / "a.jsonl"


def test_a_table_of_units_reads_back_as_it_was_written(path: Path) -> None:
    header, *_, last = [fields for _, fields in read_lines(path)]
    assert (header["schema"], header["keyed_by"]) == (3, "units")
    assert last == GRAPH_RECORD
    table = LatencyTable.open(path)
    assert table.header == BY_UNITS
    assert dict(table.executed) == {NETWORK: GRAPH}
    assert table.digest() == filled(LatencyTable.in_memory(BY_UNITS)).digest()
    assert "4 measured, 0 failed; by units, 1 executed graphs; cpu" in repr(table)


def test_a_later_graph_takes_the_place_of_an_earlier_one(path: Path) -> None:
    short = ExecutedGraph(GRAPH.nodes[:1])
    with LatencyTable.open_for_writing(path, BY_UNITS) as table:
        table.add_executed(NETWORK, short)
    assert dict(LatencyTable.open(path).executed) == {NETWORK: short}


def test_a_header_of_operations_is_written_as_before_there_were_units(tmp_path: Path) -> None:
    LatencyTable.create(tmp_path / "a.jsonl", BY_OPERATIONS).close()
    [(_, fields)] = read_lines(tmp_path / "a.jsonl")
    assert fields["schema"] == 1
    assert "keyed_by" not in fields
    assert "keyed_by" not in BY_OPERATIONS.facts()


@pytest.mark.parametrize(("first", "second"), [(BY_OPERATIONS, BY_UNITS), (BY_UNITS, BY_OPERATIONS)])
def test_operations_and_units_are_never_mixed(
    tmp_path: Path, first: TableHeader, second: TableHeader
) -> None:
    path = tmp_path / "a.jsonl"
    LatencyTable.create(path, first).close()
    content = path.read_bytes()
    told = f"keyed by {first.keyed_by}, but {second.keyed_by} are asked for.*in another file"
    with pytest.raises(TableMismatchError, match=told) as refused:
        LatencyTable.open_for_writing(path, second)
    assert (refused.value.field, refused.value.words) == ("keyed_by", ())
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == content


def test_a_table_of_operations_keeps_no_executed_graph(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with LatencyTable.create(path, BY_OPERATIONS) as table:
        content = path.read_bytes()
        with pytest.raises(TableError, match="keyed by operations"):
            table.add_executed(NETWORK, GRAPH)
    assert path.read_bytes() == content
    with Journal.open(path) as journal:
        journal.append(GRAPH_RECORD)
    with pytest.raises(DamagedFileError, match=r"line 2: .*keyed by operations"):
        LatencyTable.open(path)


@pytest.mark.parametrize(
    ("network", "unit"), [(NETWORK, OpSpec("skip", _SHAPE)), (CONV, CONV), (NETWORK, NETWORK)]
)
def test_a_graph_of_other_keys_is_not_written(path: Path, network: OpSpec, unit: OpSpec) -> None:
    content = path.read_bytes()
    with LatencyTable.open_for_writing(path, BY_UNITS) as table, pytest.raises(SpecError, match="unit"):
        table.add_executed(network, ExecutedGraph((ExecutedNode(unit, (IMAGE,)),)))
    assert path.read_bytes() == content


def test_an_entry_whose_key_does_not_spell_out_its_unit_is_neither_written_nor_read(path: Path) -> None:
    content, odd = path.read_bytes(), OpSpec("unit.Relu", _SHAPE)
    with LatencyTable.open_for_writing(path, BY_UNITS) as table:
        with pytest.raises(SpecError, match="not the key"):
            table.add(measured(CONV), measured(odd))
        assert odd not in table
    assert path.read_bytes() == content
    with Journal.open(path) as journal:
        journal.append({"spec": str(odd), "samples_s": [1e-3], "conditions": {}})
    with pytest.raises(DamagedFileError, match=r"line 7: .*not the key"):
        LatencyTable.open(path)


_ODD: dict[str, list[object]] = {
    "network": [None, 1, "network", str(CONV), "network[01x3;float32]"],
    "units": [
        *(None, [], "x", [None, None], [str(CONV)], [str(CONV), str(CONV)]),
        *(
            [str(CONV), str(ADD), str(ADD)],
            [str(CONV), "skip[1x8;float32]"],
            [str(CONV), "unit.Add[1;float32]"],
        ),
        *([str(CONV), str(ADD), str(Unit("Relu", (_SHAPE,), _SHAPE).spec())],),
    ],
    "nodes": [
        *(None, [], {}, [[]], [0], [[0.0, -1]], [[0, True]], [["0", -1]], [[0, None]], [[0, -1, []]]),
        *([[0, -1], [2, 0]], [[0, -1], [-1, 0]], [[0, 0], [1, 0]], [[0, -1], [1, 1]], [[0, -2], [1, 0]]),
        *([[1, -1], [0, 0]], [[0, -1]], [[0, 10**30], [1, 0]]),
    ],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in _ODD.items() for value in values], ids=str
)
def test_a_poisoned_executed_graph_is_refused(path: Path, name: str, value: object) -> None:
    with Journal.open(path) as journal:
        journal.append(GRAPH_RECORD | {name: value})
    content = path.read_bytes()
    with pytest.raises(DamagedFileError, match="damaged at line 7: ") as refused:
        LatencyTable.open(path)
    assert len(str(refused.value)) < 2000
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields | {"nodes": [[0, -1]] * 70_000},
        lambda fields: fields | {"units": [str(CONV)] * 70_000},
        lambda fields: fields | {"weather": "fine"},
        lambda fields: {name: value for name, value in fields.items() if name != "units"},
        lambda fields: fields | {"spec": str(CONV)},
    ],
)
def test_a_graph_beyond_the_bounds_or_of_other_fields_is_refused(
    path: Path, change: Callable[[Fields], Fields]
) -> None:
    with Journal.open(path) as journal:
        journal.append(change(GRAPH_RECORD))
    with pytest.raises(DamagedFileError, match="line 7"):
        LatencyTable.open(path)


@pytest.mark.parametrize("keyed_by", [None, 1, "operations", "layers", ["units"]])
def test_a_header_of_the_third_schema_is_keyed_by_units_or_refused(tmp_path: Path, keyed_by: object) -> None:
    LatencyTable.create(tmp_path / "a.jsonl", BY_UNITS).close()
    [(_, fields)] = read_lines(tmp_path / "a.jsonl")
    Journal.create(tmp_path / "b.jsonl", {**fields, "keyed_by": keyed_by}).close()
    with pytest.raises(DamagedFileError, match="line 1"):
        LatencyTable.open(tmp_path / "b.jsonl")
    Journal.create(tmp_path / "c.jsonl", {**fields, "schema": 2}).close()
    with pytest.raises(DamagedFileError, match="line 1"):
        LatencyTable.open(tmp_path / "c.jsonl")


def test_a_word_that_is_no_kind_of_key_is_refused() -> None:
    with pytest.raises(TableError, match="keyed_by is 'layers'"):
        replace(BY_UNITS, keyed_by="layers")  # type: ignore[arg-type]


def test_the_digest_changes_with_an_executed_graph_and_not_with_those_of_other_networks() -> None:
    tables = [LatencyTable.in_memory(header) for header in (BY_OPERATIONS, BY_UNITS, BY_UNITS, BY_UNITS)]
    for table in tables:
        table.add(measured(NETWORK))
    tables[2].add_executed(NETWORK, GRAPH)
    tables[3].add_executed(NETWORK, ExecutedGraph(GRAPH.nodes[:2]))
    assert len({table.digest() for table in tables}) == 4
    before = tables[2].digest([NETWORK, CONV])
    assert before == tables[2].digest()
    tables[2].add_executed(OTHER, GRAPH)
    assert tables[2].digest([NETWORK, CONV]) == before != tables[2].digest()


def test_a_saved_copy_holds_the_graphs_too(path: Path, tmp_path: Path) -> None:
    table = LatencyTable.open(path)
    table.save(tmp_path / "copy.jsonl")
    assert LatencyTable.open(tmp_path / "copy.jsonl").digest() == table.digest()
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "copy.jsonl"]


def test_a_flip_in_a_graph_is_named_and_costs_a_repair_that_graph_alone(path: Path) -> None:
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for i in range(start, len(whole) - 1, 7):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(DamagedFileError, match="line 6"):
            LatencyTable.open(path)
        done = repair_table(path, write=True)
        assert [lost.number for lost in done.lost] == [6]
        assert path.read_bytes() == whole[:start]
        assert done.old is not None
        done.old.unlink()
    assert not LatencyTable.open(path).executed


def test_a_frame_of_units_says_each_as_people_read_it(path: Path) -> None:
    frame = LatencyTable.open(path).to_frame()
    assert list(frame.columns)[-1] == "unit"
    assert list(frame["unit"][1:3]) == [
        "Conv 1x8x4x4 -> 1x8x4x4, weights 8x8x3x3 8",
        "Add 1x8x4x4 1x8x4x4 -> 1x8x4x4",
    ]
    assert list(frame["spec"]) == list(map(str, (CALL_OVERHEAD, CONV, ADD, NETWORK)))
    assert "unit" not in LatencyTable.in_memory(BY_OPERATIONS).to_frame().columns


def test_a_record_is_small(path: Path) -> None:
    nodes = tuple(ExecutedNode(CONV, (position - 1,)) for position in range(1000))
    with LatencyTable.open_for_writing(path, BY_UNITS) as table:
        table.add_executed(OTHER, ExecutedGraph(nodes))
    *_, (_, fields) = read_lines(path)
    assert len(json.dumps(fields)) < 12_000
