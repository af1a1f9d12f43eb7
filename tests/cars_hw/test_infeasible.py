"""Searches under limits that no network meets: refused, or carried through and said to be that."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import cars_hw
from cars_hw.assembly import make_space
from cars_hw.cli import app
from cars_hw.cli._commands import explained
from cars_hw.config import SearchConfig
from cars_hw.errors import InfeasibleError
from cars_hw.testing._tables import write_table
from tests.fakes.configurations import TINY

_CONFIG = f"""{TINY}
[search]
objectives = ["error", "parameters", "latency_ms"]
warm_up_epochs = 0.3
epochs_per_generation = 0.05
generations = 0
[strategy]
population_size = 4
[latency]
table = "table.jsonl"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("search.toml").write_text(_CONFIG)
    write_table(tmp_path / "table.jsonl", make_space(SearchConfig.load("search.toml")))
    return tmp_path


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def _search(*arguments: str) -> Result:
    return _invoke("search", "--config", "search.toml", "--run", "run", *arguments)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--max-latency-ms", "0.00001"], r"latency_ms <= 1e-05: the smallest found is \d+\.\d+, "),
        (["--set", "limits.parameters=1"], r"parameters <= 1: the smallest found is \d+, "),
        (
            ["--max-latency-ms", "1e-5", "--set", "limits.parameters=1"],
            "raise the limit of parameters to .* and",
        ),
    ],
)
def test_a_limit_that_nobody_meets_is_refused_before_there_is_a_folder(options: list[str], text: str) -> None:
    with pytest.raises(InfeasibleError, match=text) as refused:
        _search(*options)
    assert not Path("run").exists()
    assert explained(refused.value).endswith("without a feasible network: --allow-infeasible")
    assert "\n" not in explained(refused.value)


def test_python_refuses_it_too_unless_told_otherwise() -> None:
    config = SearchConfig.load("search.toml", {"limits.parameters": 1.0})
    run = cars_hw.Run.create("run", config)
    with pytest.raises(InfeasibleError, match="parameters <= 1"):
        cars_hw.open_search(run)
    search = cars_hw.open_search(run, allow_infeasible=True)
    *_, last = search.run()
    assert all(search.strategy.violation(member.costs) > 0 for member in last.front)
    assert cars_hw.open_search(run).history, "what began is gone on with"


def test_a_search_with_a_limit_is_that_without_the_check() -> None:
    """The hunt draws nothing from the generator of the search."""
    config = SearchConfig.load("search.toml", {"limits.parameters": 1e6})
    checked = cars_hw.open_search(cars_hw.Run.create("checked", config))
    unchecked = cars_hw.open_search(cars_hw.Run.create("unchecked", config), allow_infeasible=True)
    assert checked.strategy.state() == unchecked.strategy.state()
    fronts = [[*search.run()][-1].front for search in (checked, unchecked)]
    assert fronts[0] == fronts[1]
