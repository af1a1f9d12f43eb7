"""Parts of tables of units: what was read of networks is not lost when they become one table."""

from dataclasses import replace
from pathlib import Path

from devices import DeviceInfo
from latency_tables import (
    IMAGE,
    ExecutedGraph,
    ExecutedNode,
    LatencyTable,
    Measurement,
    OpSpec,
    TableHeader,
    Unit,
)
from profilers.parts import merge, part_path, parts_of

_SHAPE = (1, 8, 4, 4)
_HEADER = TableHeader(
    DeviceInfo("android", "Pixel", "Tensor", "Android 13", cores=8, serial_hash="a1"),
    "tflite",
    "2.3",
    threads=1,
    keyed_by="units",
)


def test_executed_graphs_of_all_parts_are_in_the_merged_table(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    graphs: dict[OpSpec, ExecutedGraph] = {}
    for serial, operator in (("a1", "Relu"), ("b2", "Tanh")):
        unit = Unit(operator, (_SHAPE,), _SHAPE).spec()
        network = OpSpec.of("network", _SHAPE, hash=serial)
        graphs[network] = ExecutedGraph((ExecutedNode(unit, (IMAGE,)),))
        header = replace(_HEADER, device=replace(_HEADER.device, serial_hash=serial))
        with LatencyTable.create(part_path(path, serial), header) as part:
            part.add(Measurement(unit, (1e-3,)))
            part.add_executed(network, graphs[network])
    merge(path, [])
    assert dict(LatencyTable.open(path).executed) == graphs
    assert parts_of(path) == []
