"""What a table holds of a space, and the predictor made from it."""

from pathlib import Path

import numpy as np
import pytest

from cars_hw import spaces
from cars_hw.latency.contents import TableContents
from cars_hw.latency.model import latency_model, predicted_networks, trust
from cars_hw.networks.graph import network_spec
from cars_hw.objectives import Latency
from cars_hw.spaces.darts import Darts
from cars_hw.testing._tables import write_table
from cars_hw.testing._tabular import TinySpace
from latency_tables import CALL_OVERHEAD, Extent, LatencyModel
from latency_tables.errors import MissingEntryError
from latency_tables.measurement import Failure, FailureStatus, Measurement
from latency_tables.table import LatencyTable

_SPACE = TinySpace((4, 3, 4))


def test_the_calibration_networks_are_distinct_and_always_the_same() -> None:
    space = Darts(deploy="cifar")
    drawn = TableContents(space).calibration
    assert len(set(drawn)) == len(drawn) == 16
    assert drawn == TableContents(Darts(deploy="imagenet")).calibration


def test_a_space_smaller_than_the_calibration_is_drawn_whole() -> None:
    assert set(TableContents(TinySpace((3, 2), ((0,), (1,)))).calibration) == set(np.ndindex(3, 2))


def test_a_network_with_a_constant_output_calibrates_nothing() -> None:
    space = spaces.load("nasbench201")
    drawn = TableContents(space).calibration
    assert len(set(drawn)) == 16
    rng = np.random.default_rng(20_200_614)
    plain = [space.sample(rng) for _ in range(200)]
    connected = [a for a in dict.fromkeys(plain) if space.graph(a, "deploy").is_connected]
    assert len(connected) < len(set(plain))
    assert drawn == tuple(connected[:16])


def test_operations_that_a_runtime_drops_are_neither_calibrated_nor_charged(tmp_path: Path) -> None:
    space = spaces.load("nasbench201", deploy="search", channels=2, cells=1, image_size=4)
    dead, alive = (3, 0, 0, 3, 0, 0), (0, 0, 0, 3, 0, 0)
    latencies = {}
    extents: tuple[Extent, ...] = ("live", "whole")
    for executes in extents:
        path = write_table(tmp_path / f"{executes}.jsonl", space, executes=executes)
        latency = Latency(latency_model(space, LatencyTable.open(path)))
        latencies[executes] = latency(dead) / latency(alive)
    assert latencies["live"] == 1
    assert latencies["whole"] > 1


def test_a_table_holds_a_call_every_operation_and_the_networks() -> None:
    needed = TableContents(_SPACE).specs
    assert needed[0] == CALL_OVERHEAD
    assert set(_SPACE.all_operations()) <= set(needed)
    networks = {network_spec(_SPACE.graph(a, "deploy")) for a in TableContents(_SPACE).calibration}
    assert networks <= set(needed)
    assert len(needed) == 1 + len(_SPACE.all_operations()) + 16


def test_the_predictor_is_corrected_by_the_measured_networks(tmp_path: Path) -> None:
    table = LatencyTable.open(write_table(tmp_path / "t.jsonl", _SPACE))
    predictor = latency_model(_SPACE, table)
    for architecture in TableContents(_SPACE).calibration:
        graph = _SPACE.graph(architecture, "deploy")
        measured_s = table[network_spec(graph)].latency_s
        plain_s = LatencyModel(table).predict(graph.live.specs()).latency_s
        corrected_s = predictor.predict(architecture).latency_s
        assert abs(corrected_s - measured_s) < 0.6 * abs(plain_s - measured_s)


def test_an_entry_that_was_never_measured_or_failed_is_named(tmp_path: Path) -> None:
    whole = LatencyTable.open(write_table(tmp_path / "t.jsonl", _SPACE))
    lacking = _SPACE.all_operations()[3]
    table = LatencyTable.in_memory(whole.header)
    table.add(*(entry for spec, entry in whole.measurements.items() if spec != lacking))
    with pytest.raises(MissingEntryError, match=r"never measured.*profile the space") as caught:
        latency_model(_SPACE, table)
    assert caught.value.spec == str(lacking)
    table.add(Failure(lacking, FailureStatus.WRONG_OUTPUT, "off by 3"))
    with pytest.raises(MissingEntryError, match="wrong_output: off by 3"):
        latency_model(_SPACE, table)


def test_the_validation_networks_are_distinct_and_unseen_by_the_calibration() -> None:
    space = Darts(deploy="cifar")
    drawn = TableContents(space).validation()
    assert len(set(drawn)) == len(drawn) == 20
    assert not set(drawn) & set(TableContents(space).calibration)
    assert TableContents(space).validation(30)[:20] == drawn


def _validated_table(path: Path) -> LatencyTable:
    with LatencyTable.open_for_writing(write_table(path, _SPACE), LatencyTable.open(path).header) as table:
        chosen = TableContents(_SPACE).validation()
        specs = [network_spec(_SPACE.graph(architecture, "deploy")) for architecture in chosen]
        table.add(*(Measurement(spec, (4e-3, 5e-3 + i * 1e-4)) for i, spec in enumerate(specs)))
        table.add_validation(predicted_networks(_SPACE, table, chosen))
    return LatencyTable.open(path)


def test_a_table_tells_how_far_it_may_be_trusted(tmp_path: Path) -> None:
    unvalidated = LatencyTable.open(write_table(tmp_path / "new.jsonl", _SPACE))
    found = trust(unvalidated, _SPACE)
    assert not found.is_validated
    assert str(found).startswith("never validated against whole networks; it predicts by operations")
    table = _validated_table(tmp_path / "t.jsonl")
    assert trust(table, _SPACE).is_validated
    assert str(trust(table, _SPACE)).startswith("validated on 20 whole networks: RMSPE ")
    assert "constant predictor" in str(trust(table))


def test_a_validation_by_entries_that_were_measured_anew_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    table = _validated_table(path)
    with LatencyTable.open_for_writing(path, table.header) as again:
        again.add(Measurement(_SPACE.all_operations()[0], (2e-5,)))
    again_trust = trust(LatencyTable.open(path), _SPACE)
    assert "validated for other entries" in str(again_trust)
    assert not again_trust.is_validated
