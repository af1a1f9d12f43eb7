"""The final front is measured: shown so by every verb, sorted by it, and held against the limits."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import cars_hw
from cars_hw.assembly import make_space
from cars_hw.latency.contents import TableContents, contents_of, network_workload
from cars_hw.networks.architecture import from_text, to_text
from cars_hw.results.measured import as_measured, measure_front
from cars_hw.results.model_card import card_content
from cars_hw.results.report import report_json
from cars_hw.results.run_warnings import warnings_of_run
from cars_hw.runs import Run
from latency_tables import LatencyTable, Measurement
from profilers import LoweredModel, Quality, Workload
from tests.fakes import changing_speed
from tests.fakes.changing_speed import ChangingSpeed, usual_s
from tests.fakes.command_line import Done, run
from tests.fakes.configurations import TINIEST

_AT_ONCE = Quality(spread_s=0)
_ALLOWED = f"--allow-plugin={changing_speed.__name__}"
_CONFIG = f"""{TINIEST}
[search]
objectives = ["error", "parameters", "latency_ms"]
warm_up_epochs = 0.05
epochs_per_generation = 0.05
generations = 0
[strategy]
population_size = 8
[latency]
device = "fake"
runtime = "{changing_speed.__name__}"
table = "table.jsonl"
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A folder with a run whose front was measured by ``search``, and what that printed."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "search.toml").write_text(_CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        cars_hw.profile(cars_hw.SearchConfig.load("search.toml"), quality=_AT_ONCE)
        return folder, run("search", "--config=search.toml", "--run=run", "--json")


@pytest.fixture
def opened(searched: tuple[Path, Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run in a folder of its own, which is the current one."""
    shutil.copytree(searched[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Run.open("run", allow_plugins=[changing_speed.__name__])


def _usual_ms(opened: Run, architecture: tuple[int, ...]) -> float:
    return usual_s(network_workload(make_space(opened.config), architecture).spec) * 1e3


def test_a_search_measures_its_final_front_and_shows_predicted_beside_measured(
    searched: tuple[Path, Done], opened: Run
) -> None:
    front = json.loads(searched[1].out)["front"]
    predicted = {member.architecture: member.costs[2] for member in opened.front()}
    assert len(front) == len(predicted) > 1
    choices = make_space(opened.config).choices
    for member in front:
        architecture = from_text(member["architecture"], choices)
        found = member["measured"]["latency_ms"]
        assert member["latency_ms"] == found["measured_ms"] == pytest.approx(_usual_ms(opened, architecture))
        assert found["predicted_ms"] == predicted[architecture]
        low, high = found["measured_interval_ms"]
        assert low <= found["measured_ms"] <= high
        assert found["anchor_ratio"] == pytest.approx(1.0)
    costs = [(member["error"], member["parameters"], member["latency_ms"]) for member in front]
    assert costs == sorted(costs)


def test_a_finished_search_that_was_measured_measures_nothing_more(
    opened: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (opened.path / "measurements.jsonl").read_bytes()
    monkeypatch.setattr(ChangingSpeed, "loaded", [])
    done = run("search", "--run=run", "--resume", _ALLOWED)
    assert "latency_ms measured (95 %)" in done.out
    assert "networks of table.jsonl were as fast (+/- 0.0%)" in done.err
    assert (opened.path / "measurements.jsonl").read_bytes() == before
    assert ChangingSpeed.loaded == []


def test_what_is_lacking_of_an_interrupted_measuring_is_measured_by_the_next(
    opened: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened.measurements(make_space(opened.config))
    [session] = file.read()
    file.path.unlink()
    some = dict(list(session.networks.items())[:1])
    file.append(replace(session, networks=some))
    partly = as_measured(opened, opened.record())
    assert [len(partly.latencies_of(member)) for member in partly.front].count(1) == 1
    assert "not measured" in str([partly.cells(member) for member in partly.front])
    monkeypatch.setattr(ChangingSpeed, "loaded", [])
    whole = measure_front(opened, quality=_AT_ONCE)
    assert all(whole.latencies_of(member) for member in whole.front)
    [known] = some
    spec = network_workload(make_space(opened.config), known).spec
    assert str(spec) not in ChangingSpeed.loaded


def test_the_page_its_json_and_the_cards_show_what_was_measured(opened: Run) -> None:
    measured = as_measured(opened, opened.record())
    shown = report_json(opened)
    [data] = cars_hw.page_of([opened]).runs
    for one, member in zip(data.front, measured.front, strict=True):
        latency = one.latencies["latency_ms"]
        assert latency.measured == one.costs[2] == pytest.approx(member.costs[2], rel=1e-5)
        assert latency.predicted == pytest.approx(measured.predicted_of(member)["latency_ms"], rel=1e-5)
    assert "latency, ms, measured" in cars_hw.report(opened).read_text()
    assert str(shown["front"]).count("measured_interval_ms") == len(measured.front)
    fastest = min(measured.front, key=lambda member: member.costs[2])
    options = cars_hw.FileOptions(with_fp16=True)
    export, halved = cars_hw.export(opened, ["fastest"], options=options).values()
    assert export.to_json()["measured"] == measured.measured_json(fastest)
    assert "measured" not in halved.to_json()  # nobody measured that file
    card = json.loads(export.path.with_suffix(".json").read_bytes())
    assert from_text(card["architecture"], make_space(opened.config).choices) == fastest.architecture
    assert card["measured_of_the_deployed_network"]["latency_ms"]["measured_ms"] == fastest.costs[2]
    on = card["measured_of_the_deployed_network"]["latency_ms"]["measured_on"]
    assert (on["device"], on["threads"], on["delegate"]) == ("fake", 1, "cpu")
    assert on["hardware"] == LatencyTable.open("table.jsonl").header.device.model
    predicted = measured.predicted_of(fastest)["latency_ms"]
    assert card["costs_of_the_deployed_network"]["latency_ms"] == predicted != fastest.costs[2]


def test_a_limit_that_only_the_measured_front_violates_is_the_first_warning_and_refuses_an_export(
    opened: Run,
) -> None:
    measured = as_measured(opened, opened.record())
    for member in measured.front:
        assert member.limited[2] == measured.latencies_of(member)["latency_ms"].bound_at(0.9) * 1e3
    slowest = max(member.costs[2] for member in measured.front)
    limited = cars_hw.amended(opened, {"latency": {"max_latency_ms": slowest * 0.999}}, allow_infeasible=True)
    warnings = [one for one in warnings_of_run(limited, limited.record()) if one.kind != "amended"]
    assert warnings[0].kind == "limits"
    assert "as measured: at the nearest" in warnings[0].text
    number = str([member.costs[2] for member in measured.front].index(slowest))
    with pytest.raises(cars_hw.InfeasibleError, match="latency_ms is"):
        cars_hw.export(limited, [number])


def test_a_front_that_cannot_be_measured_today_is_shown_as_predicted_with_the_reason(
    opened: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (opened.path / "measurements.jsonl").unlink()
    monkeypatch.setattr(ChangingSpeed, "factor", 1.5)
    done = run("search", "--run=run", "--resume", _ALLOWED)
    assert done.status in (0, 3)
    assert "the front was not measured: 4 networks of table.jsonl are 50% slower" in done.err
    assert f"to try again, run `cars-hw search --run=run --resume {_ALLOWED}`" in done.err
    assert "measured (95 %)" not in done.out
    assert not (opened.path / "measurements.jsonl").exists()


def test_no_measure_leaves_the_front_as_it_was_predicted(opened: Run) -> None:
    (opened.path / "measurements.jsonl").unlink()
    done = run("search", "--run=run", "--resume", "--no-measure", "--json", _ALLOWED)
    assert all("measured" not in member for member in json.loads(done.out)["front"])
    assert not (opened.path / "measurements.jsonl").exists()


@pytest.mark.parametrize("budget", ["-3s", "nan", "inf", "soon", "1e9h"])
def test_a_budget_that_is_no_time_is_one_line_and_leaves_nothing(opened: Run, budget: str) -> None:
    done = run("search", "--config=search.toml", "--run=new", f"--measure-budget={budget}")
    assert done.status == 1
    assert done.err.splitlines() == [
        f"cars-hw: --measure-budget '{budget}' is no time; the form is 90s, 30m, 2h or seconds"
    ]
    assert not Path("new").exists()


def test_a_budget_without_a_device_is_one_line_and_leaves_nothing(opened: Run) -> None:
    elsewhere = "--set=latency.allow_changed=['device']"
    done = run("search", "--config=search.toml", "--run=new", "--measure-budget=10m", elsewhere)
    assert done.status == 1
    assert "can be spent on nothing" in done.err
    assert not Path("new").exists()


def test_networks_of_a_front_go_from_one_end_to_the_other_into_the_table(opened: Run) -> None:
    front = [member.architecture for member in sorted(opened.front(), key=lambda member: member.costs)]
    assert cars_hw.front_networks(opened, opened.config, n=2) == (front[0], front[-1])
    assert cars_hw.front_networks(opened, opened.config, n=100) == tuple(front)
    other = cars_hw.SearchConfig.load("search.toml", {"space.cells": 2})
    with pytest.raises(cars_hw.ConfigError, match="run searches another space than"):
        cars_hw.front_networks(opened, other)
    table, space = cars_hw.LatencyTable.open("table.jsonl"), make_space(opened.config)
    wanted = set(cars_hw.front_networks(opened, opened.config)) - set(contents_of(space, table).calibration)
    asked = ("profile", "--config=search.toml", "--spread-s=0", _ALLOWED)
    said = run(*asked, "--networks-of=run").err
    assert wanted
    assert f"{len(wanted)} that were chosen, as those of a front" in said
    assert wanted < set(contents_of(space, cars_hw.LatencyTable.open("table.jsonl")).calibration)
    Path("list.txt").write_text("\n".join(map(to_text, wanted)))
    assert "nothing is missing" in run(*asked, "--networks-of=list.txt").err


def test_a_budget_with_a_table_of_other_conditions_is_one_line_and_leaves_nothing(opened: Run) -> None:
    words = ("--measure-budget=10m", "--set=latency.threads=2")
    done = run("search", "--config=search.toml", "--run=new", *words)
    assert (done.status, done.out) == (1, "")
    [line] = done.err.splitlines()
    assert "the table was measured with threads '1', but '2' is asked for" in line
    assert not Path("new").exists()


def test_files_whose_cards_name_tables_of_different_kinds_have_anchors_of_their_own(
    opened: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = make_space(opened.config)
    units = LatencyTable.open("table.jsonl")
    operations = LatencyTable.in_memory(replace(units.header, keyed_by="operations"))
    specs = TableContents(space).specs
    operations.add(*(Measurement(spec, (1.1 * usual_s(spec),) * 3) for spec in specs))
    operations.save(Path("operations.jsonl"))
    [export] = cars_hw.export(opened, ["fastest"]).values()
    card = json.loads(export.path.with_suffix(".json").read_bytes())
    card["latency"] |= {"table": "operations.jsonl", "sha256": operations.digest(specs)}
    other = export.path.with_name("other.onnx")
    shutil.copy(export.path, other)
    other.with_suffix(".json").write_bytes(card_content(card))
    monkeypatch.setattr(ChangingSpeed, "prepared", [])
    config = opened.config.with_latency(table="")
    allowed = [changing_speed.__name__]
    benches = cars_hw.bench(
        [export.path, other], config, has_table=False, allow_plugins=allowed, quality=_AT_ONCE
    )
    assert [bench.table for bench in benches] == ["table.jsonl", "operations.jsonl"]
    ratios = [bench.speed.ratio for bench in benches if bench.speed is not None]
    assert ratios == pytest.approx([1.0, 1 / 1.1])
    anchors = [one for one in ChangingSpeed.prepared if one.spec.kind == "reference"]
    assert len(anchors) == 8
    assert [_are_alike(one) for one in anchors] == [False] * 4 + [True] * 4


def _are_alike(network: Workload) -> bool:
    """Tell whether all batch norms of a network that have one size are equal."""
    assert not isinstance(network.source, (Path, LoweredModel))
    norms: dict[int, set[str]] = {}
    for module in network.source().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            norms.setdefault(module.num_features, set()).add(str(module.running_var))
    return all(len(found) == 1 for found in norms.values())
