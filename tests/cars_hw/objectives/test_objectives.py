"""Objectives by their names, and limits on them."""

from pathlib import Path

import pytest

from cars_hw import objectives
from cars_hw.config import LatencySection
from cars_hw.latency.model import latency_model
from cars_hw.latency.prediction import Predictor
from cars_hw.objectives import Ingredients, Latency, Limits
from cars_hw.testing._tables import write_table
from cars_hw.testing._tabular import CurveTrainer, TinySpace
from devices.foundation import ConfigError, UnknownNameError
from latency_tables import LatencyTable

_SPACE = TinySpace()
_MEMBER = (1, 0, 2, 1)


@pytest.fixture
def model(tmp_path: Path) -> Predictor:
    return latency_model(_SPACE, LatencyTable.open(write_table(tmp_path / "t.jsonl", _SPACE)))


def ingredients(**models: Predictor) -> Ingredients:
    return Ingredients(_SPACE, CurveTrainer(), models)


@pytest.mark.parametrize("name", objectives.names())
def test_an_objective_is_named_after_its_file_and_is_a_number(name: str, model: Predictor) -> None:
    objective = objectives.load(name, Ingredients(_SPACE, CurveTrainer(), {"": model}))
    assert objective.name == name
    assert objective(_MEMBER) == objective(_MEMBER) > 0
    assert repr(name) in repr(objective)


def test_each_objective_has_a_word_of_its_own_that_picks_the_least_of_it() -> None:
    picks = objectives.picks()
    assert picks == {
        "most-accurate": "error",
        "fastest": "latency_ms",
        "least-macs": "macs",
        "smallest": "parameters",
        "least-memory": "peak_memory_bytes",
    }
    assert set(picks.values()) == set(objectives.names())


def test_latency_is_named_after_its_target_where_one_is_named(model: Predictor) -> None:
    found = ingredients(pixel=model, watch=model)
    latency = objectives.load("latency_ms.pixel", found)
    assert latency.name == "latency_ms.pixel"
    assert latency(_MEMBER) == Latency(model)(_MEMBER)


def test_a_limit_on_a_latency_is_held_against_the_upper_end_of_its_interval(model: Predictor) -> None:
    prediction = model.predict(_MEMBER)
    for level, bound_s in ((0.9, prediction.interval_at(0.9)[1]), (0.0, prediction.latency_s)):
        latency = Latency(model, limit_level=level)
        assert latency.bound(_MEMBER, latency(_MEMBER)) == pytest.approx(bound_s * 1e3)
        found = Ingredients(_SPACE, CurveTrainer(), {"pixel": model}, limit_levels={"pixel": level})
        made = objectives.load("latency_ms", found)
        assert made.bound(_MEMBER, made(_MEMBER)) == latency.bound(_MEMBER, latency(_MEMBER))
    assert Latency(model).bound(_MEMBER, 0.0) > Latency(model)(_MEMBER)
    with pytest.raises(ConfigError, match="limit_level is nan"):
        Latency(model, limit_level=float("nan"))


def test_the_level_of_configurations_is_that_of_objectives() -> None:
    assert LatencySection().limit_level == objectives.LIMIT_LEVEL == 0.9


def test_the_only_target_needs_no_name(model: Predictor) -> None:
    assert objectives.load("latency_ms", ingredients(pixel=model)).name == "latency_ms"


def test_a_latency_of_no_target_or_of_any_is_refused(model: Predictor) -> None:
    with pytest.raises(ConfigError, match="needs one latency table; the search has 0"):
        objectives.load("latency_ms", ingredients())
    with pytest.raises(ConfigError, match=r"the search has 2, latency_ms\.pixel, latency_ms\.watch"):
        objectives.load("latency_ms", ingredients(pixel=model, watch=model))
    with pytest.raises(UnknownNameError, match="unknown latency target 'pixle'; did you mean 'pixel'"):
        objectives.load("latency_ms.pixle", ingredients(pixel=model, watch=model))


@pytest.mark.parametrize("name", ["parameter", "parameters.pixel", "no_such.module", "../error", ""])
def test_a_name_that_is_no_objective_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError):
        objectives.find(name)


def test_an_arithmetic_objective_from_outside_is_one_file_that_counts() -> None:
    nodes = objectives.load("tests.fakes.nodes_n", ingredients())
    assert (nodes.name, nodes(_MEMBER)) == ("tests.fakes.nodes_n", 4.0)


def test_a_violation_is_the_sum_of_the_relative_excesses() -> None:
    names = ["error", "parameters", "latency_ms"]
    one = Limits(names, {"latency_ms": 4.0})
    assert [one((0.1, 9.0, ms)) for ms in (3.0, 4.0, 5.0, 12.0)] == [0.0, 0.0, 0.25, 2.0]
    two = Limits(names, {"latency_ms": 4.0, "parameters": 10.0})
    assert two((0.1, 15.0, 5.0)) == 0.75
    assert two((0.1, 5.0, 5.0)) == 0.25
    assert Limits(names, {})((1.0, 1e9, 1e9)) == 0.0


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"macs": 1.0}, r"macs has a limit, but the search does not minimise it \(its costs: error\)"),
        ({"error": 0.0}, "the limit of error is 0.0; a limit is positive"),
        ({"error": float("nan")}, "the limit of error is nan"),
    ],
)
def test_a_limit_on_nothing_is_refused(limits: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Limits(["error"], limits)
