"""Searches under limits that no network meets: refused, or carried through and said to be that."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import cars_hw
from cars_hw.assembly import make_space
from cars_hw.cli import app
from cars_hw.cli._commands import explained
from cars_hw.config import SearchConfig
from cars_hw.errors import InfeasibleError
from cars_hw.results.model_card import read_card
from cars_hw.testing._tables import write_table
from tests.fakes.configurations import TINIEST

_CONFIG = f"""{TINIEST}
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
    monkeypatch.chdir(_prepared(tmp_path))
    return tmp_path


def _prepared(folder: Path) -> Path:
    """Write a configuration and its table into ``folder``."""
    (folder / "search.toml").write_text(_CONFIG)
    write_table(folder / "table.jsonl", make_space(SearchConfig.load(folder / "search.toml")))
    return folder


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def _search(*arguments: str) -> Result:
    return _invoke("search", "--config", "search.toml", "--run", "run", "--no-measure", *arguments)


def _resumed(*arguments: str) -> Result:
    return _invoke("search", "--run", "run", "--resume", "--no-measure", *arguments)


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


@pytest.mark.slow
def test_a_search_with_a_limit_is_that_without_the_check() -> None:
    """The hunt draws nothing from the generator of the search."""
    config = SearchConfig.load("search.toml", {"limits.parameters": 1e6})
    checked = cars_hw.open_search(cars_hw.Run.create("checked", config))
    unchecked = cars_hw.open_search(cars_hw.Run.create("unchecked", config), allow_infeasible=True)
    assert checked.strategy.state() == unchecked.strategy.state()
    fronts = [[*search.run()][-1].front for search in (checked, unchecked)]
    assert fronts[0] == fronts[1]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A folder with a run whose front violates its limit on latency, and how its search ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(_prepared(tmp_path_factory.mktemp("violating")))
        return Path.cwd(), _search("--max-latency-ms", "0.00001", "--allow-infeasible")


@pytest.fixture
def violating(searched: tuple[Path, Result], folder: Path) -> Path:
    """A copy of that run."""
    copied = shutil.copytree(searched[0] / "run", folder / "run")
    return copied.relative_to(folder)


@pytest.mark.usefixtures("violating")
def test_the_search_says_first_which_limit_its_front_violates_and_by_how_much(
    searched: tuple[Path, Result],
) -> None:
    shown = searched[1].output
    assert re.search(r"warning: no member of the front's \d+ meets latency_ms <= 1e-05: .* times", shown)
    assert shown.index("warning: no member") < shown.index("front after generation")
    said = json.loads(_resumed("--json").stdout)
    assert next(iter(said)) == "warnings"
    assert "limits" in {found["kind"] for found in said["warnings"]}


def test_the_report_says_it_on_top_and_in_json(violating: Path) -> None:
    shown = _invoke("report", str(violating)).output
    assert "warning: no member" in shown
    page = (violating / "report.html").read_text()
    assert page.index("meets latency_ms &lt;= 1e-05") < page.index('id="front"')
    said = json.loads(_invoke("report", str(violating), "--json").stdout)
    assert said["warnings"][0]["kind"] == "limits"


def test_a_violating_member_is_exported_only_where_that_is_allowed_and_its_card_says_so(
    violating: Path,
) -> None:
    arguments = ["export", str(violating), "--pick", "knee", "--pick", "fastest"]
    with pytest.raises(InfeasibleError, match=r"member knee violates .*latency_ms is .* times the limit"):
        _invoke(*arguments)
    assert not (violating / "export").exists()
    said = json.loads(_invoke(*arguments, "--allow-infeasible", "--json").stdout)
    assert said["knee"]["warnings"][0]["kind"] == "limits"
    card = json.loads((violating / "export" / "knee.json").read_bytes())
    assert card["violated_limits"]["latency_ms"]["limit"] == 1e-5
    assert card["violated_limits"]["latency_ms"]["times"] > 1000
    assert card["warnings"][0]["kind"] == "limits"
    assert read_card(violating / "export" / "knee.onnx") is not None


def test_a_front_within_its_limits_is_exported_and_its_card_names_none() -> None:
    found = _search("--set", "limits.parameters=1000000")
    assert found.exit_code == 0, "it learnt something"
    assert "no member" not in found.output
    assert "violates" not in _invoke("export", "run").output
    card = json.loads(Path("run/export/knee.json").read_bytes())
    assert card["violated_limits"] == {}


@pytest.mark.usefixtures("violating")
def test_a_search_without_a_usable_member_exits_with_3_and_says_why(searched: tuple[Path, Result]) -> None:
    for found in (searched[1], _resumed(), _resumed("--json", "--quiet")):
        assert found.exit_code == 3
        assert "cars-hw: no member of the front is usable: no member of the front's" in found.stderr
        assert "next: " not in found.output


def test_weights_that_are_nan_learn_nothing_and_the_search_exits_with_3() -> None:
    found = _search("--set", "training.learning_rate=1e30", "--set", "training.clip_norm=1e30")
    assert found.exit_code == 3
    assert "no better than chance" in found.stderr
