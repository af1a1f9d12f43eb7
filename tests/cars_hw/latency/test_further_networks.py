"""Networks that a table is given beside those that it chooses: of a front, or a list."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from cars_hw.config import SearchConfig
from cars_hw.errors import DataError
from cars_hw.latency.candidates import network_key
from cars_hw.latency.contents import UnitContents, contents_of
from cars_hw.latency.filling import lacking_networks
from cars_hw.latency.measured_list import read_architectures
from cars_hw.latency.model import latency_model, trust
from cars_hw.latency.networks_only import marked
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.results.forecast import profile_forecast
from cars_hw.results.tables import profile
from cars_hw.testing._tables import write_table
from latency_tables.measurement import Measurement
from latency_tables.table import LatencyTable
from profilers.plan import Quality
from tests.fakes.forty_networks import FortyNetworks

_QUICK = Quality(spread_s=0.0, precision=0.5)
_SPACE = FortyNetworks()
_EVERYTHING = tuple(itertools.product(*map(range, _SPACE.choices)))


def configuration(folder: Path, runtime: str = "fake") -> SearchConfig:
    values = {"device": "fake", "runtime": runtime, "table": str(folder / "t.jsonl")}
    return SearchConfig.load(
        None,
        {
            "space.name": "tests.fakes.forty_networks",
            **{f"latency.{name}": value for name, value in values.items()},
        },
    )


def others(table: LatencyTable, n: int) -> list[Architecture]:
    """Return networks that do not calibrate a table."""
    known = contents_of(_SPACE, table).calibration
    return [one for one in _EVERYTHING if one not in known][:n]


@pytest.mark.parametrize("runtime", ["fake", "tests.fakes.hidden_units"])
def test_further_networks_calibrate_a_table_of_units_and_one_of_operations(
    tmp_path: Path, runtime: str
) -> None:
    config = configuration(tmp_path, runtime)
    profile(config, quality=_QUICK)
    before = LatencyTable.open(tmp_path / "t.jsonl")
    held = contents_of(_SPACE, before).calibration
    wanted = [held[0], *others(before, 3)]
    assert profile_forecast(config, further=wanted).networks == 3
    profile(config, quality=_QUICK, further=wanted)
    after = LatencyTable.open(tmp_path / "t.jsonl")
    contents = contents_of(_SPACE, after)
    assert contents.calibration == (*held, *wanted[1:])
    assert set(after.measurements) == set(contents.specs)
    assert str(profile_forecast(config)) == "nothing is missing"
    assert profile(config, quality=_QUICK, further=wanted).entries == []
    assert LatencyTable.open(tmp_path / "t.jsonl").digest() == after.digest()
    assert not set(contents.validation()) & set(wanted)
    assert len(contents.validation()) == 20


def test_a_new_table_gets_its_least_certain_networks_beside_further_ones(tmp_path: Path) -> None:
    first = configuration(tmp_path / "first")
    (tmp_path / "first").mkdir()
    profile(first, quality=_QUICK)
    chosen = contents_of(_SPACE, LatencyTable.open(tmp_path / "first" / "t.jsonl"))
    assert isinstance(chosen, UnitContents)
    profile(configuration(tmp_path), quality=_QUICK, further=chosen.widest)
    table = LatencyTable.open(tmp_path / "t.jsonl")
    contents = contents_of(_SPACE, table)
    assert isinstance(contents, UnitContents)
    assert contents.further == chosen.widest
    assert len(contents.widest) == 4
    assert not set(contents.widest) & set(chosen.widest)
    assert latency_model(_SPACE, table).predict((0, 0, 0)).latency_s > 0


def given(table: LatencyTable, architecture: Architecture, latency_s: float) -> LatencyTable:
    """Return ``table`` with a further network."""
    copy = LatencyTable.in_memory(table.header)
    entry = Measurement(network_key(_SPACE, architecture), (latency_s,))
    copy.add(*table.measurements.values(), marked(entry, architecture))
    return copy


def test_a_further_network_corrects_predictions_by_operations(tmp_path: Path) -> None:
    table = LatencyTable.open(write_table(tmp_path / "t.jsonl", _SPACE))
    [one] = others(table, 1)
    before_s = latency_model(_SPACE, table).predict(one).latency_s
    after_s = latency_model(_SPACE, given(table, one, 1.1 * before_s)).predict(one).latency_s
    assert before_s < after_s < 1.1 * before_s


def test_a_table_says_by_what_it_predicts(tmp_path: Path) -> None:
    table = LatencyTable.open(write_table(tmp_path / "t.jsonl", _SPACE))
    assert "by operations, corrected by random whole networks, which fronts" in str(trust(table))
    more = given(table, others(table, 1)[0], 1e-4)
    assert "random whole networks and 1 that were chosen, as those of a front" in str(trust(more))
    units = LatencyTable.in_memory(replace(table.header, keyed_by="units"))
    assert str(trust(units)) == "it holds no latency"
    units.add(*table.measurements.values())
    assert "by what its runtime executes, corrected by 0 whole networks" in str(trust(units))


def test_only_connected_networks_that_a_table_lacks_are_added(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.jsonl", _SPACE)
    table = LatencyTable.open(path)
    held, [new] = contents_of(_SPACE, table).calibration, others(table, 1)
    assert lacking_networks(_SPACE, path, [held[0], new, new]) == (new,)


def test_a_list_of_architectures_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(map(to_text, _EVERYTHING[:3])) + "\n\n" + to_text(_EVERYTHING[0]))
    assert read_architectures(path, _SPACE) == _EVERYTHING[:3]
    path.write_text("0.0.0\n9.9.9\n")
    with pytest.raises(DataError, match="line 2"):
        read_architectures(path, _SPACE)
    with pytest.raises(DataError, match="cannot read"):
        read_architectures(tmp_path / "nowhere", _SPACE)
