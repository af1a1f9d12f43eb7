"""Tables of whole networks alone, measured on a device or taken from a list."""

from pathlib import Path

import pytest
from pydantic import JsonValue

from cars_hw import Imported, SearchConfig, import_networks, networks_forecast, profile, profile_networks
from cars_hw.assembly import make_space
from cars_hw.latency.model import latency_model, trust
from cars_hw.latency.networks_only import chosen_networks, measured_networks
from cars_hw.networks.architecture import to_text
from cars_hw.results.tables import validate
from cars_hw.testing._tables import write_table
from latency_tables import LatencyTable, TableError, TableMismatchError
from profilers import Progress, Quality

_QUICK = Quality(spread_s=0.0, precision=0.2)


class _StoppedError(Exception):
    pass


@pytest.fixture
def config(tmp_path: Path) -> SearchConfig:
    """On the fake device, the smallest networks of NAS-Bench-201."""
    space: dict[str, JsonValue] = {
        "name": "nasbench201",
        "deploy": "search",
        "channels": 2,
        "cells": 1,
        "image_size": 4,
    }
    latency = {"device": "fake", "runtime": "fake", "table": str(tmp_path / "table.jsonl")}
    values: dict[str, JsonValue] = {f"space.{name}": value for name, value in space.items()}
    return SearchConfig.load(None, {**values, **{f"latency.{name}": text for name, text in latency.items()}})


def _table(config: SearchConfig) -> LatencyTable:
    return LatencyTable.open(config.latency.table)


def test_networks_are_measured_and_nothing_else(config: SearchConfig) -> None:
    assert networks_forecast(config, 10).networks == 10
    filled, space = profile_networks(config, 10, quality=_QUICK), make_space(config)
    table = _table(config)
    assert (len(filled.entries), filled.were_there, len(table)) == (10, 0, 10)
    assert table.header.keyed_by == "networks"
    assert {spec.kind for spec in table.measurements} == {"network"}
    assert set(measured_networks(space, table)) == set(chosen_networks(space, 10))
    assert latency_model(space, table).predict(chosen_networks(space, 10)[0]).latency_s > 0
    assert networks_forecast(config, 10).networks == 0


def test_the_same_command_again_measures_nothing_and_a_larger_number_adds(config: SearchConfig) -> None:
    profile_networks(config, 10, quality=_QUICK)
    first = set(_table(config).measurements)
    assert profile_networks(config, 10, quality=_QUICK).entries == []
    assert len(profile_networks(config, 13, quality=_QUICK).entries) == 3
    assert first < set(_table(config).measurements)
    assert len(measured_networks(make_space(config), _table(config))) == 13


def test_what_was_measured_when_it_ended_says_which_network_it_is_of(config: SearchConfig) -> None:
    def stop(progress: Progress) -> None:
        if progress.done >= 4:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        profile_networks(config, 10, quality=_QUICK, on_progress=stop)
    space, table = make_space(config), _table(config)
    assert len(measured_networks(space, table)) == len(table) >= 4
    profile_networks(config, 10, quality=_QUICK)
    assert set(measured_networks(space, _table(config))) == set(chosen_networks(space, 10))


def test_tables_of_operations_and_of_networks_do_not_mix(config: SearchConfig, tmp_path: Path) -> None:
    profile_networks(config, 10, quality=_QUICK)
    with pytest.raises(TableError, match="made of whole networks alone; go on with --networks-only"):
        profile(config, quality=_QUICK)
    other = write_table(tmp_path / "other.jsonl", make_space(config), kind="fake", runtime="fake")
    before = other.read_bytes()
    by_operations = config.model_copy(
        update={"latency": config.latency.model_copy(update={"table": str(other)})}
    )
    with pytest.raises(TableMismatchError):
        profile_networks(by_operations, 10, quality=_QUICK)
    assert other.read_bytes() == before


def test_a_table_of_networks_is_validated_like_any_other(config: SearchConfig) -> None:
    profile_networks(config, 10, quality=_QUICK)
    report = validate(config, quality=_QUICK)
    assert report is not None
    table, space = _table(config), make_space(config)
    assert trust(table, space).is_validated
    assert len(measured_networks(space, table)) == 10  # those that judge are not learnt from


def _list(config: SearchConfig, path: Path, n: int) -> Path:
    chosen = chosen_networks(make_space(config), 20)[:n]
    lines = [f"{to_text(one)},{1 + 0.1 * i:.1f}" for i, one in enumerate(chosen)]
    path.write_text("\n".join(["architecture,latency_ms", *lines, "0.0.0.0.0.0,0.01"]) + "\n")
    return path


def test_a_list_of_networks_becomes_a_table(config: SearchConfig, tmp_path: Path) -> None:
    found = import_networks(_list(config, tmp_path / "list.csv", 20), config, model="Somebody's phone")
    assert found == Imported(networks=20, disconnected=1)
    table, space = _table(config), make_space(config)
    assert (table.header.device.model, table.header.keyed_by) == ("Somebody's phone", "networks")
    assert len(measured_networks(space, table)) == 20
    assert latency_model(space, table).predict(chosen_networks(space, 10)[0]).latency_s > 0


def test_a_list_that_is_too_short_or_a_table_that_exists_changes_nothing(
    config: SearchConfig, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match="9 different connected networks"):
        import_networks(_list(config, tmp_path / "list.csv", 9), config, model="x")
    assert not Path(config.latency.table).exists()
    Path(config.latency.table).write_text("mine")
    with pytest.raises(TableError, match="exists; name a new table"):
        import_networks(_list(config, tmp_path / "list.csv", 10), config, model="x")
    assert Path(config.latency.table).read_text() == "mine"
