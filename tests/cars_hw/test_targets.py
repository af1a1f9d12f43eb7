"""Several targets and limits: one objective each, one value at a time, and the single target as before."""

from pathlib import Path

import pytest
from pydantic import JsonValue
from typer.testing import CliRunner

from cars_hw.assembly import make_objectives, make_search, make_space, make_trainer, table_trust
from cars_hw.cli import app
from cars_hw.config import SearchConfig, parse_override
from cars_hw.runs import Run
from cars_hw.testing._tables import write_table
from devices.foundation import ConfigError, UnknownNameError
from tests.fakes.configurations import TINIEST

_TARGETS = f"""{TINIEST}
[targets.pixel]
table = "pixel.jsonl"
runtime = "onnxruntime"
[targets.board]
table = "board.jsonl"
threads = 2
max_latency_ms = 20
[search]
objectives = ["error", "latency_ms", "peak_memory_bytes"]
warm_up_epochs = 0.05
epochs_per_generation = 0.05
generations = 1
[strategy]
population_size = 4
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.toml"
    path.write_text(_TARGETS)
    space = make_space(SearchConfig.load(path))
    write_table(tmp_path / "pixel.jsonl", space)
    write_table(tmp_path / "board.jsonl", space, threads=2)
    return path


def _load(path: Path, *overrides: str) -> SearchConfig:
    return SearchConfig.load(path, dict(map(parse_override, overrides)))


def test_each_of_several_targets_is_an_objective_of_its_own_name(config: Path) -> None:
    loaded = _load(config)
    names = ("error", "latency_ms.pixel", "latency_ms.board", "peak_memory_bytes")
    assert loaded.objective_names() == names
    run = Run.create(Path("run"), loaded)
    search = make_search(run, make_trainer(loaded, make_space(loaded)))
    assert tuple(objective.name for objective in search.objectives) == names
    *_, last = search.run()
    assert last.objectives == names
    assert all(len(member.costs) == 4 for member in last.front)
    assert "pixel.jsonl" in table_trust(loaded)
    assert "board.jsonl" in table_trust(loaded)
    again = make_search(Run.open(Path("run")), make_trainer(loaded, make_space(loaded)))
    assert again.resume()


def test_one_of_several_can_be_minimised_alone(config: Path) -> None:
    loaded = _load(config, 'search.objectives=["error", "latency_ms.board"]')
    assert loaded.objective_names() == ("error", "latency_ms.board")
    assert list(loaded.searched_targets()) == ["latency_ms.board"]


def test_the_only_target_keeps_the_plain_name_and_the_old_section_is_read(config: Path) -> None:
    alone = SearchConfig.load(None, {"targets.pixel.table": "pixel.jsonl"})
    assert alone.objective_names() == ("error", "parameters", "latency_ms")
    assert (
        SearchConfig.load(None, {"latency.table": "pixel.jsonl"}).objective_names() == alone.objective_names()
    )


def test_a_value_of_one_target_is_set_by_its_key(config: Path) -> None:
    loaded = _load(config, "targets.pixel.max_latency_ms=5")
    assert loaded.all_limits() == {"latency_ms.pixel": 5, "latency_ms.board": 20}
    assert loaded.for_target("board").latency.threads == 2


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (("latency.table=x",), "leave one out"),
        (("targets.pixel.thread=3",), r"did you mean 'targets\.pixel\.threads'"),
        (("limits.macs=3",), "limits.macs = 3 needs macs among search.objectives"),
        (("limits.peak_memory_bytes=0",), "limits.peak_memory_bytes"),
        (('search.objectives=["error", "peak_memory_bytes"]',), "max_latency_ms = 20 needs latency_ms.board"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(config: Path, overrides: tuple[str, ...], text: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=text):
        _load(config, *overrides)


def test_measuring_wants_one_target_and_says_which_there_are(config: Path) -> None:
    with pytest.raises(ConfigError, match="there are 2 targets; name one: pixel, board"):
        _load(config).for_target()
    with pytest.raises(UnknownNameError, match="did you mean 'pixel'"):
        _load(config).for_target("pixl")


def test_limits_of_every_kind_make_architectures_infeasible(config: Path) -> None:
    loaded = _load(config, "limits.peak_memory_bytes=1", "targets.board.max_latency_ms=0.0001")
    trainer = make_trainer(loaded, make_space(loaded))
    search = make_search(Run.create(Path("run"), loaded), trainer)
    costs = (0.5, 1.0, 0.0001, 3.0)
    assert search.strategy.violation(costs) == pytest.approx(2.0)
    assert search.strategy.violation((0.5, 1.0, 0.0002, 3.0)) == pytest.approx(3.0)
    assert search.strategy.violation((0.5, 1.0, 0.0001, 1.0)) == 0


def test_objectives_come_in_the_order_of_the_configuration(config: Path) -> None:
    loaded = SearchConfig.load(None, {"search.objectives": ["error", "macs", "parameters"]})
    trainer = make_trainer(_load(config), make_space(_load(config)))
    found = make_objectives(loaded, trainer.space, trainer, {})
    assert [objective.name for objective in found] == ["error", "macs", "parameters"]


def test_the_only_target_may_be_named_in_its_objective() -> None:
    objectives: list[JsonValue] = ["error", "latency_ms.pixel"]
    alone = SearchConfig.load(None, {"targets.pixel.table": "p.jsonl", "search.objectives": objectives})
    assert alone.objective_names() == ("error", "latency_ms")
    assert alone.outside_names() == ()


def test_a_latency_has_one_limit(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"limits\.latency_ms is not taken.*max_latency_ms"):
        SearchConfig.load(None, {"limits.latency_ms": 3.0})


@pytest.mark.parametrize("verb", ["profile", "table validate"])
def test_a_mistyped_target_is_refused_and_measures_nothing(verb: str, config: Path) -> None:
    arguments = [*verb.split(), "--config", str(config), "--target", "pixle", "--threads", "1"]
    with pytest.raises(UnknownNameError, match="unknown target 'pixle'; did you mean 'pixel'"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert not Path("latency.jsonl").exists()


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("pixle=5", "unknown target 'pixle'"),
        ("5", "there are 2 targets; name one: pixel, board"),
        ("pixel=fast", "neither a number nor TARGET=NUMBER"),
    ],
)
def test_a_limit_names_a_target_that_there_is(limit: str, text: str, config: Path) -> None:
    arguments = ["search", "--config", str(config), "--run", "run", "--max-latency-ms", limit]
    with pytest.raises((ConfigError, UnknownNameError), match=text):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert not Path("run").exists()


def test_options_of_one_target_mean_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = "[search]\nwarm_up_epochs = 0.05\ngenerations = 0\n[strategy]\npopulation_size = 2\n"
    Path("one.toml").write_text(f"{TINIEST}{short}[targets.pixel]\nmeasured_elsewhere = true\n")
    write_table(Path("t.jsonl"), make_space(SearchConfig.load("one.toml")))
    options = ["--max-latency-ms", "5", "--table", "t.jsonl", "--allow-infeasible"]
    CliRunner().invoke(
        app, ["search", "--config", "one.toml", "--run", "run", *options], catch_exceptions=False
    )
    stored = SearchConfig.load_stored(Path("run/config.toml"))
    assert (stored.targets["pixel"].max_latency_ms, stored.targets["pixel"].table) == (5, "t.jsonl")
