"""Runs beside each other, without a page: in Python and by the verb."""

import json
import shutil
from pathlib import Path

import pytest

import cars_hw
from cars_hw.runs import Run
from devices.foundation import ConfigError
from tests.fakes.command_line import run as call

_GOLDEN = Path(__file__).parents[3] / "golden" / "before-the-moves"


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two golden runs of one space and table, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    for name in ("cars", "evnas"):
        shutil.copytree(_GOLDEN / name, name)


def test_the_verb_prints_what_python_returns() -> None:
    found = cars_hw.compare([Run.open("cars"), Run.open("evnas")])
    done = call("compare", "cars", "evnas", "--json")
    assert (done.status, json.loads(done.out)) == (0, json.loads(json.dumps(found.to_json())))


def test_a_row_of_a_run_has_its_last_figures() -> None:
    found = cars_hw.compare([Run.open("cars"), Run.open("evnas")])
    history = Run.open("evnas").record().history
    row = found.runs[1]
    assert row["generation"] == found.generation == 1
    assert row["planned"] == 3
    assert row["evaluations"] == history[-1].ledger["evaluations"]
    assert row["least error"] == pytest.approx(min(one.costs[0] for one in history[-1].front), rel=1e-5)
    assert row["seconds"] == pytest.approx(sum(one.seconds for one in history), rel=1e-5)
    assert row["hypervolume"] == found.page.runs[1].generations[-1].hypervolume


def test_the_joint_front_is_shared_out_among_the_configurations() -> None:
    found = cars_hw.compare([Run.open("cars"), Run.open("evnas")])
    shares = [str(row["of the joint front"]).split(" of ") for row in found.configurations]
    costs = [(i, one.costs) for i, run in enumerate(found.page.runs) for one in run.front]
    best = [
        i
        for i, mine in costs
        if not any(its != mine and all(a <= b for a, b in zip(its, mine, strict=True)) for _, its in costs)
    ]
    assert shares == [[str(best.count(i)), str(len(best))] for i in (0, 1)]


def test_the_terminal_shows_the_settings_that_differ_and_the_reference_point() -> None:
    done = call("compare", "cars", "evnas")
    assert "strategy.name" in done.out
    assert "search.seed" not in done.out
    assert "hypervolume: the share of the box up to error " in done.err


def test_one_run_alone_is_no_comparison() -> None:
    with pytest.raises(ConfigError, match="takes two runs or more"):
        cars_hw.compare([Run.open("cars")])


def test_the_page_of_several_runs_needs_a_name_and_their_json_is_the_pages(tmp_path: Path) -> None:
    refused = call("report", "cars", "evnas")
    assert (refused.status, len(refused.err.splitlines())) == (1, 1)
    assert "say where their page goes" in refused.err
    assert call("report", "cars", "evnas", "--to", "both.html").status == 0
    assert (tmp_path / "both.html").is_file()
    assert not (tmp_path / "cars" / "report.html").exists()
    shown = json.loads(call("report", "cars", "evnas", "--json").out)
    page = cars_hw.page_of([Run.open("cars"), Run.open("evnas")])
    assert shown == {"page": json.loads(json.dumps(page.to_json()))}


def test_the_json_of_one_run_has_its_page_beside_its_earlier_keys() -> None:
    shown = json.loads(call("report", "cars", "--json").out)
    assert [one["architecture"] for one in shown["front"]] == [
        shown["page"]["runs"][0]["members"]["architecture"][one["member"]]
        for one in shown["page"]["runs"][0]["front"]
    ]
    assert not Path("cars", "report.html").exists()


def test_tables_are_written_without_a_page_unless_it_is_named(tmp_path: Path) -> None:
    assert call("report", "cars", "--csv", "tables").status == 0
    assert (tmp_path / "tables" / "front.csv").is_file()
    assert not Path("cars", "report.html").exists()
