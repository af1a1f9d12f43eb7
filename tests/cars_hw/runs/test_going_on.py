"""``search --resume`` with something changed, or nothing left to do; and what an extended search is."""

import itertools
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import cars_hw
from cars_hw.cli import app
from cars_hw.cli._commands import explained
from cars_hw.errors import CheckpointError, InfeasibleError
from cars_hw.runs import Run
from cars_hw.saving.record import Generation
from cars_hw.search import Search
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from devices.foundation import CarsHwError

_GOLDEN = Path(__file__).parents[2] / "golden" / "before-the-moves"
_RESUME = ("search", "--run", "run", "--resume")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    return tmp_path


def _copied(strategy: str, name: str = "run") -> Run:
    """Return a run by ``strategy`` that is complete up to generation 1 of 3."""
    shutil.copytree(_GOLDEN / strategy, name)
    return Run.open(name)


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def _outcome(generation: Generation) -> tuple[object, ...]:
    return generation.index, generation.population, generation.front


def _weights(search: Search) -> SuperNetTrainer:
    assert isinstance(search.trainer, SuperNetTrainer)
    return search.trainer


@pytest.mark.parametrize(
    "strategy", ["random_search", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cars", "evnas"))]
)
def test_an_extended_search_is_the_original_up_to_its_end_and_holds_the_final_rate_after_it(
    strategy: str,
) -> None:
    straight = cars_hw.open_search(_copied(strategy, "straight"))
    expected = [_outcome(generation) for generation in straight.run()]
    extended = cars_hw.open_search(cars_hw.amended(_copied(strategy, "run"), {"search": {"generations": 4}}))
    rounds = extended.run()
    assert [_outcome(generation) for generation in itertools.islice(rounds, 2)] == expected
    assert extended.strategy.state() == straight.strategy.state()
    ours, theirs = _weights(extended).state().arrays, _weights(straight).state().arrays
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert _weights(extended).learning_rate == _weights(extended).plan.final_learning_rate
    assert [generation.index for generation in rounds] == [4]

    again = cars_hw.open_search(cars_hw.amended(Run.open("run"), {"search": {"generations": 5}}))
    assert _weights(again).learning_rate == _weights(again).plan.final_learning_rate
    assert [generation.index for generation in again.run()] == [5]


def test_an_extended_search_says_so_in_json_on_the_page_and_in_the_cards() -> None:
    _copied("random_search")
    done = _invoke(*_RESUME, "--generations", "4", "--json")
    assert "amendment 1, after generation 1: search.generations: 3 -> 4" in done.stderr
    [said] = [found for found in json.loads(done.stdout)["warnings"] if found["kind"] == "extended"]
    assert "was planned for 3 generations and extended to 4: from generation 4 on" in said["text"]
    assert said["text"] in _invoke(*_RESUME).stderr.replace("\n", " ")
    _invoke("report", "run")
    assert said["text"] in Path("run/report.html").read_text()
    _invoke("export", "run", "--pick", "fastest")
    card = json.loads(Path("run/export/fastest.json").read_bytes())
    assert said in card["warnings"]


def test_a_search_that_was_extended_but_ended_before_its_plan_is_the_original() -> None:
    run = cars_hw.amended(_copied("random_search"), {"search": {"generations": 4}})
    warnings = cars_hw.report_json(run)["warnings"]
    assert isinstance(warnings, list)
    assert "extended" not in str(warnings)


def test_a_finished_search_shows_its_front_and_names_the_command_that_extends_it() -> None:
    _copied("random_search")
    _invoke(*_RESUME)
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    done = _invoke(*_RESUME)
    assert done.exit_code == 0
    assert "front after generation 3" in done.stdout
    found = re.search(
        r"is finished: all 3 generations are done; to extend it, run `cars-hw ([^`]+)`", done.stderr
    )
    assert found
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before
    assert "after generation 6" in _invoke(*shlex.split(found[1])).output


@pytest.mark.slow
def test_a_finished_search_that_cannot_be_extended_says_so() -> None:
    _copied("g_evonas")
    _invoke(*_RESUME)
    assert "g_evonas plans by their number" in _invoke(*_RESUME).stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        (["--generations", "2"], "search.generations = 3", "2"),
        (["--seed", "4"], "search.seed = 0", "4"),
        (["--strategy", "evnas"], "strategy.name = 'random_search'", "'evnas'"),
        (["--set", "training.momentum=0.5"], "training.momentum = 0.9", "0.5"),
        (["--config", "other.toml"], "search.warm_up_epochs = 0.5", "7.0"),
    ],
)
def test_an_option_that_cannot_change_is_refused_with_both_values(
    options: list[str], before: str, after: str
) -> None:
    Path("other.toml").write_text("[search]\nwarm_up_epochs = 7\n")
    run = _copied("random_search")
    with pytest.raises(CheckpointError, match=rf"{re.escape(before)}, and {after} is asked for"):
        _invoke(*_RESUME, *options)
    assert not (run.path / "amendments").exists()


def test_limits_change_by_options_and_none_takes_them_away() -> None:
    _copied("random_search")
    with pytest.raises(InfeasibleError) as refused:
        _invoke(*_RESUME, "--max-latency-ms", "1e-5")
    assert explained(refused.value).endswith("--allow-infeasible")
    _invoke(*_RESUME, "--max-latency-ms", "3", "--set", "limits.parameters=5000")
    assert Run.open("run").config.all_limits() == {"latency_ms": 3.0, "parameters": 5000.0}
    _invoke(*_RESUME, "--max-latency-ms", "none", "--set", "limits.parameters=none")
    run = Run.open("run")
    assert run.config.all_limits() == {}
    assert [len(amendment.changes) for amendment in run.amendments] == [2, 2]


def test_a_table_moves_by_an_option_and_a_missing_one_is_one_line() -> None:
    _copied("random_search")
    with pytest.raises(CarsHwError, match=r"gone\.jsonl") as refused:
        _invoke(*_RESUME, "--table", "gone.jsonl")
    assert len(str(refused.value).splitlines()) == 1
    Path("table.jsonl").rename("moved.jsonl")
    assert _invoke(*_RESUME, "--table", "moved.jsonl").exit_code == 0
    assert Run.open("run").config.latency.table == "moved.jsonl"
