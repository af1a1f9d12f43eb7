"""Tables of units: what they hold of a space, how they are filled, and what is predicted from them."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cars_hw import spaces
from cars_hw.config import SearchConfig
from cars_hw.errors import UncountedError
from cars_hw.latency.candidates import drawn, network_key, uncertain
from cars_hw.latency.contents import TableContents, UnitContents, contents_of
from cars_hw.latency.counting import NetworkCounts
from cars_hw.latency.filling import UnitFilling, kind_of, why_by_operations
from cars_hw.latency.model import latency_model, predicted_networks, trust
from cars_hw.latency.prediction import OperationPredictor, UnitPredictor
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Node
from cars_hw.objectives import Latency
from cars_hw.results.forecast import profile_forecast
from cars_hw.results.tables import profile, validate
from cars_hw.testing._tables import unit_latency_s, write_table, write_unit_table
from cars_hw.testing._tabular import TinySpace
from latency_tables.errors import MissingEntryError, TableMismatchError
from latency_tables.measurement import Failure, FailureStatus, Measurement
from latency_tables.models.units import NetworkObservation, UnitModel
from latency_tables.prediction import CALL_OVERHEAD
from latency_tables.table import LatencyTable
from latency_tables.units.graph import ExecutedGraph, ExecutedNode
from latency_tables.units.unit import Unit
from profilers.filling import Filled, Setup, keep_executed
from profilers.parts import parts_of
from profilers.plan import Quality
from profilers.runtimes._runtime import Workload
from tests.fakes.forty_networks import FortyNetworks

_SPACE = TinySpace((4, 3, 4))
_FAKE = Setup("fake", "fake")
_NAME = "tests.fakes.forty_networks"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LatencyTable:
    return LatencyTable.open(write_unit_table(tmp_path_factory.mktemp("units") / "t.jsonl", _SPACE))


def contents(table: LatencyTable) -> UnitContents:
    return UnitContents(_SPACE, dict(table.executed))


def everything() -> list[Architecture]:
    return list(itertools.product(*map(range, _SPACE.choices)))


def altered(table: LatencyTable, path: Path) -> LatencyTable:
    """Return the table of a device whose runtime drops the last node of one network."""
    copy = LatencyTable.in_memory(table.header)
    copy.add(*table.measurements.values())
    for network, graph in table.executed.items():
        copy.add_executed(network, graph)
    first = next(iter(table.executed))
    copy.add_executed(first, ExecutedGraph(table.executed[first].nodes[:-1]))
    copy.save(path)
    return LatencyTable.open(path)


def test_a_table_holds_a_call_random_networks_the_least_certain_and_all_of_their_units(
    table: LatencyTable,
) -> None:
    held = contents_of(_SPACE, table)
    assert isinstance(held, UnitContents)
    assert (len(held.random), len(held.widest), held.unchosen, held.unread) == (12, 4, 0, ())
    assert set(table.measurements) == set(held.specs)
    assert held.specs[0] == CALL_OVERHEAD
    assert set(table.executed) == set(held.networks)
    assert set(held.units) == {unit for graph in table.executed.values() for unit in graph.counts}


def test_the_networks_that_are_chosen_have_the_widest_predictions_from_units_and_random_networks(
    table: LatencyTable,
) -> None:
    held, known = contents(table), LatencyTable.in_memory(table.header)
    first = {unit for one in held.random for unit in table.executed[network_key(_SPACE, one)].counts}
    known.add(table[CALL_OVERHEAD], *(table[unit] for unit in first))
    predictor = latency_model(_SPACE, table)
    assert isinstance(predictor, UnitPredictor)
    seen = {one: table[network_key(_SPACE, one)].latency_s for one in held.random}
    model = UnitModel(known, [NetworkObservation(predictor.counts(one), s) for one, s in seen.items()])
    widths = {one: model.relative_deviation(predictor.counts(one)) for one in held.candidates}
    assert set(held.widest) == set(sorted(widths, key=lambda one: -widths[one])[:4])


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("at_once", [1, 5, 23])
def test_a_filling_that_is_stopped_anywhere_ends_at_the_same_table(
    table: LatencyTable, tmp_path: Path, at_once: int
) -> None:
    path = tmp_path / "stopped.jsonl"

    def keep(networks: Sequence[Workload]) -> None:
        known = len(LatencyTable.open(path).executed) if path.exists() else 0
        keep_executed(path, networks[:at_once], _FAKE)
        if len(networks) > at_once:
            assert len(LatencyTable.open(path).executed) == known + at_once
            raise _StoppedError

    def fill(workloads: Sequence[Workload]) -> Filled:
        with LatencyTable.open_for_writing(path, table.header) as opened:
            missing = opened.missing([workload.spec for workload in workloads])
            now = [Measurement(spec, (unit_latency_s(spec, opened),)) for spec in missing[:at_once]]
            opened.add(*now)
            if len(missing) > at_once:
                raise _StoppedError
        return Filled(list(now), resting_s=0.0)

    for _ in range(100):
        try:
            UnitFilling(_SPACE, path, _FAKE, keep, fill).run()
        except _StoppedError:
            continue
        break
    assert LatencyTable.open(path).digest() == table.digest()


def test_a_network_takes_the_units_that_are_executed_and_a_call(table: LatencyTable) -> None:
    predictor, truth = latency_model(_SPACE, table), LatencyTable.in_memory(table.header)
    assert isinstance(predictor, UnitPredictor)
    for architecture in everything():
        key, prediction = network_key(_SPACE, architecture), predictor.predict(architecture)
        nodes = [
            ExecutedNode(unit, ()) for unit, n in predictor.counts(architecture).items() for _ in range(n)
        ]
        truth.add_executed(key, ExecutedGraph(tuple(nodes)))
        assert prediction.latency_s == pytest.approx(unit_latency_s(key, truth), rel=0.03)
        assert prediction.interval_s[0] < prediction.latency_s < prediction.interval_s[1]
        assert Latency(predictor)(architecture) == prediction.latency_s * 1e3


def test_further_measured_networks_correct_what_is_predicted(table: LatencyTable) -> None:
    predictor = latency_model(_SPACE, table)
    assert isinstance(predictor, UnitPredictor)
    other = next(one for one in everything() if network_key(_SPACE, one) not in table.executed)
    before = predictor.predict(other)
    after = predictor.with_networks([(other, 1.05 * before.latency_s)]).predict(other)
    assert before.latency_s < after.latency_s < 1.05 * before.latency_s
    assert predictor.predict(other) == before


class _Asked:
    """Counts every network as one unit, and how often it was asked."""

    def __init__(self) -> None:
        self.of: list[Architecture] = []
        self.space = _SPACE

    def operation(self, node: Node) -> ExecutedGraph:
        raise UncountedError(f"{node.spec}: only networks are counted")

    def graphs(self, architectures: Sequence[Architecture]) -> list[ExecutedGraph]:
        self.of += architectures
        node = ExecutedNode(Unit("Relu", ((1, 2),), (1, 2)).spec(), ())
        return [ExecutedGraph((node,)) for _ in architectures]


def test_counts_are_remembered_of_the_latest_networks_alone() -> None:
    asked = _Asked()
    counts = NetworkCounts(asked)
    assert counts.of((1, 2)) == counts.of((1, 2)) == counts.of_each([(1, 2), (3, 4), (3, 4)])[1]
    assert asked.of == [(1, 2), (3, 4)]
    counts.of_each([(i, 0) for i in range(3000)])
    assert counts.of((1, 2))
    assert asked.of.count((1, 2)) == 2
    counts.of((2999, 0))
    assert asked.of.count((2999, 0)) == 1


def test_where_this_machine_executes_other_units_the_device_itself_is_asked(
    table: LatencyTable, tmp_path: Path
) -> None:
    other = altered(table, tmp_path / "other.jsonl")
    with pytest.raises(
        UncountedError, match=r"fake does not execute 1 of its 16 calibration .*no device was named"
    ):
        latency_model(_SPACE, other)
    elsewhere = Setup("cpu", "fake")
    with pytest.raises(UncountedError, match="its device is not at hand"):
        latency_model(_SPACE, other, elsewhere)
    asked = latency_model(_SPACE, other, _FAKE)
    here = latency_model(_SPACE, table)
    assert isinstance(asked, UnitPredictor)
    assert isinstance(here, UnitPredictor)
    some = [one for one in everything() if network_key(_SPACE, one) not in table.executed][:3]
    assert asked.count_each(some) == [here.counts(one) for one in some]


def test_a_runtime_from_outside_that_a_table_names_is_not_loaded(table: LatencyTable) -> None:
    foreign = LatencyTable.in_memory(replace(table.header, runtime="tests.fakes.no_such_runtime"))
    foreign.add(*table.measurements.values())
    for network, graph in table.executed.items():
        foreign.add_executed(network, graph)
    with pytest.raises(UncountedError, match="unknown runtime that a table names"):
        latency_model(_SPACE, foreign)


def test_what_a_table_still_lacks_is_named(table: LatencyTable, tmp_path: Path) -> None:
    held, partial = contents(table), LatencyTable.in_memory(table.header)
    partial.add(*table.measurements.values())
    for one in held.random:
        partial.add_executed(network_key(_SPACE, one), table.executed[network_key(_SPACE, one)])
    with pytest.raises(MissingEntryError, match="4 of its calibration networks"):
        latency_model(_SPACE, partial)
    without = LatencyTable.in_memory(table.header)
    for network, graph in table.executed.items():
        without.add_executed(network, graph)
    without.add(*(entry for spec, entry in table.measurements.items() if spec != held.units[0]))
    with pytest.raises(MissingEntryError, match=r"unit\.conv_bn.*never measured"):
        latency_model(_SPACE, without)


def test_a_unit_that_failed_is_estimated_and_told(table: LatencyTable, tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    table.save(path)
    unit = contents(table).units[0]
    with LatencyTable.open_for_writing(path, table.header) as opened:
        opened.add(Failure(unit, FailureStatus.UNSUPPORTED, "no such node"))
    model = latency_model(_SPACE, LatencyTable.open(path))
    terms = [term for one in everything() for term in model.predict(one).terms]
    assert {term.spec for term in terms if not term.is_measured} == {unit}


def test_a_table_goes_on_as_what_it_is_and_a_new_one_is_of_units_where_they_are_shown(
    table: LatencyTable, tmp_path: Path
) -> None:
    of_operations = write_table(tmp_path / "o.jsonl", _SPACE)
    new = tmp_path / "new.jsonl"
    hidden = Setup("tests.fakes.sleeping", "tests.fakes.slow_runtime")
    assert kind_of(of_operations, Setup()) == "operations"
    assert kind_of(table.path or new, hidden) == "units"
    assert (kind_of(new, _FAKE), why_by_operations(new, _FAKE)) == ("units", "")
    assert kind_of(new, hidden) == "operations"
    assert "does not show what it executes" in why_by_operations(new, hidden)
    assert isinstance(latency_model(_SPACE, LatencyTable.open(of_operations)), OperationPredictor)
    LatencyTable.create(tmp_path / "f.jsonl", replace(table.header, keyed_by="operations")).close()
    with pytest.raises(TableMismatchError, match="keyed by operations, but units"):
        keep_executed(tmp_path / "f.jsonl", [], _FAKE)


def test_a_validation_holds_for_the_entries_and_graphs_that_predicted(
    table: LatencyTable, tmp_path: Path
) -> None:
    path = tmp_path / "t.jsonl"
    table.save(path)
    chosen = contents(table).validation()
    assert len(chosen) == 20
    assert not set(chosen) & set(contents(table).calibration)
    with LatencyTable.open_for_writing(path, table.header) as opened:
        opened.add(*(Measurement(network_key(_SPACE, one), (4e-5, 5e-5)) for one in chosen))
        opened.add_validation(predicted_networks(_SPACE, opened, chosen))
    assert trust(LatencyTable.open(path), _SPACE).is_validated
    with LatencyTable.open_for_writing(path, table.header) as opened:
        opened.add(Measurement(contents(table).units[0], (2e-5,)))
    assert "validated for other entries" in str(trust(LatencyTable.open(path), _SPACE))


def test_the_candidates_are_connected_distinct_and_of_the_allowed_options() -> None:
    space = spaces.load("nasbench201")
    found = uncertain(space, drawn(space, 12))
    assert len(found) == len(set(found)) == 50
    assert not set(found) & set(drawn(space, 12))
    assert all(space.deployed(one).is_connected for one in found)
    assert {one for one in found if len(set(one)) == 1} == {(i,) * 6 for i in range(1, 5)}
    restricted = space.restrict([(1, 3)] * 6)
    few = uncertain(restricted, ())
    assert {option for one in few for option in one} == {1, 3}


def test_the_candidates_are_of_fewer_operations_than_random_networks() -> None:
    space = spaces.load("darts", deploy="search", cells=3)
    kinds = [
        np.mean([len({node.spec.kind for node in space.deployed(one).nodes}) for one in some])
        for some in (uncertain(space, ()), drawn(space, 50))
    ]
    assert kinds[0] < kinds[1] - 0.5


def _norms(workload: Workload) -> list[torch.Tensor]:
    assert callable(workload.source)
    modules = workload.source().modules()
    return [one.state_dict()["running_mean"] for one in modules if isinstance(one, torch.nn.BatchNorm2d)]


def test_no_two_batch_norms_are_alike_in_networks_of_units_and_all_are_in_those_of_operations(
    table: LatencyTable,
) -> None:
    distinct = _norms(contents(table).network((0, 0, 0)))
    alike = _norms(TableContents(_SPACE).network((0, 0, 0)))
    assert len(distinct) == len(alike) == 3
    assert not any(torch.equal(*pair) for pair in itertools.combinations(distinct, 2))
    assert all(torch.equal(*pair) for pair in itertools.combinations(alike, 2))


def _config(folder: Path, device: str = "fake") -> SearchConfig:
    values = {"device": device, "runtime": "fake", "table": str(folder / "fake.jsonl")}
    return SearchConfig.load(
        None, {"space.name": _NAME, **{f"latency.{name}": value for name, value in values.items()}}
    )


def test_profiling_and_validating_a_device_that_shows_units(tmp_path: Path) -> None:
    config, quick = _config(tmp_path), Quality(spread_s=0.0, precision=0.5)
    before = profile_forecast(config)
    assert str(before).startswith("about ")
    assert (before.operations, before.networks) == (0, 16)
    filled = profile(config, quality=quick)
    table = LatencyTable.open(tmp_path / "fake.jsonl")
    assert table.header.keyed_by == "units"
    assert {entry.spec for entry in filled.entries} == set(table.measurements)
    assert (len(table.executed), filled.were_there, filled.failures) == (16, 0, ())
    assert str(profile_forecast(config)) == "nothing is missing"
    again = profile(config, quality=quick)
    assert (again.entries, again.were_there) == ([], len(table))
    report = validate(config, quality=quick)
    assert report is not None
    assert report.prediction_error.n == 20
    assert report.prediction_error.rmspe_percent < 20


def test_several_devices_share_both_steps_of_one_table(tmp_path: Path) -> None:
    devices = [f"tests.fakes.namesake:{boot}" for boot in (1, 2)]
    config = _config(tmp_path, devices[0])
    filled = profile(config, devices=devices, quality=Quality(spread_s=0.0, precision=0.5))
    table = LatencyTable.open(tmp_path / "fake.jsonl")
    held = contents_of(FortyNetworks(), table)
    assert len(held.calibration) == 16
    assert set(table.measurements) == set(held.specs) == {entry.spec for entry in filled.entries}
    assert parts_of(tmp_path / "fake.jsonl") == []
    assert latency_model(FortyNetworks(), table).predict((0, 0, 0)).latency_s > 0
