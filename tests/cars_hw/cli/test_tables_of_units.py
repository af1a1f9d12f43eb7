"""The command line on tables of units: what it says of them, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cars_hw.testing._tables import write_table, write_unit_table
from cars_hw.testing._tabular import TinySpace
from latency_tables import ExecutedGraph, LatencyTable
from tests.fakes.command_line import run
from tests.fakes.forty_networks import FortyNetworks

_SPACE = "tests.fakes.forty_networks"
_FAKE = (f"--space={_SPACE}", "--device=fake", "--runtime=fake")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_unit_table(Path("units.jsonl"), FortyNetworks())
    return tmp_path


def test_show_says_where_the_time_of_the_networks_goes(folder: Path) -> None:
    shown = run("table", "show", "units.jsonl", "--by=operation")
    assert shown.status == 0
    assert "% of a network" in shown.out
    told = json.loads(run("table", "show", "units.jsonl", "--by=operation", "--json").out)["by_operation"]
    table = LatencyTable.open("units.jsonl")
    measured_s = [table[network].latency_s for network in table.executed]
    assert sum(one["share"] for one in told) == pytest.approx(1.0)
    assert sum(one["latency_s"] for one in told) == pytest.approx(sum(measured_s) / 16, rel=0.02)
    nodes = sum(len(graph.nodes) for graph in table.executed.values())
    assert sum(one["executed"] for one in told if one["unit_class"] != "call") == pytest.approx(nodes / 16)


def test_the_entries_of_a_table_of_operations_are_its_operations_already(tmp_path: Path) -> None:
    path = write_table(tmp_path / "o.jsonl", TinySpace())
    assert run("table", "show", str(path), "--by=operation").out == run("table", "show", str(path)).out


def test_profile_says_when_a_new_table_is_of_operations_and_why(folder: Path) -> None:
    hidden = (f"--space={_SPACE}", "--device=tests.fakes.sleeping", "--runtime=tests.fakes.slow_runtime")
    said = run("profile", *hidden, "--table=hidden.jsonl", "--spread-s=0", "--precision=0.5").err
    assert (
        "hidden.jsonl: by operations, since tests.fakes.slow_runtime does not show what it executes" in said
    )
    assert LatencyTable.open("hidden.jsonl").header.keyed_by == "operations"
    again = run("profile", *_FAKE, "--table=units.jsonl", "--spread-s=0").err
    assert "by operations" not in again
    assert "units.jsonl: nothing is missing" in again


def test_what_a_table_cannot_predict_here_is_measured_and_said(folder: Path) -> None:
    table = LatencyTable.open("units.jsonl")
    elsewhere = replace(table.header, device=replace(table.header.device, model="another"))
    with LatencyTable.create("other.jsonl", elsewhere) as other:
        other.add(*table.measurements.values())
        for network, graph in table.executed.items():
            other.add_executed(network, ExecutedGraph(graph.nodes[:-1]))
    words = (*_FAKE, "--table=other.jsonl", "--allow-changed=device")
    told = json.loads(run("bench", "--architecture=0.0.0", *words, "--json").out)
    assert told["measured_ms"] > 0
    assert told["predicted_ms"] is None
    assert "fake does not execute 16 of its 16 calibration networks here" in told["trust"]


def test_a_new_table_is_of_operations_where_that_is_asked_for(folder: Path) -> None:
    quick = ("--spread-s=0", "--precision=0.5", "--by-operations")
    said = run("profile", *_FAKE, "--table=o.jsonl", *quick).err
    assert "by operations, corrected by random whole networks, which fronts do not resemble" in said
    assert LatencyTable.open("o.jsonl").header.keyed_by == "operations"
    refused = run("profile", *_FAKE, "--table=units.jsonl", *quick)
    assert refused.status == 1
    assert "units.jsonl is made of units; name another file" in refused.err


def test_a_table_of_networks_alone_takes_none_of_a_front(folder: Path) -> None:
    refused = run("profile", *_FAKE, "--table=n.jsonl", "--networks-only=10", "--networks-of=units.jsonl")
    assert refused.status == 2
    assert "--networks-only makes a table of other networks" in refused.err
    assert not Path("n.jsonl").exists()
