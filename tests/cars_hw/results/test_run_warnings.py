"""Warnings of a run: each from the figures that mean it, and from no others."""

from pathlib import Path

import pytest

from cars_hw.assembly import make_space
from cars_hw.candidate import Candidate, Front
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import TableContents
from cars_hw.ledger import Json
from cars_hw.results.run_warnings import excesses, has_usable_member, warnings_of
from cars_hw.saving.record import Generation
from cars_hw.testing._tables import write_table
from cars_hw.weights.training_plan import TrainingPlan
from devices import connect
from latency_tables import LatencyTable, Measurement, TableHeader
from tests.fakes.configurations import TINY


def _config(**limits: float) -> SearchConfig:
    """A search for error, parameters and MACs, which needs no table."""
    return SearchConfig.load(
        None,
        {
            "search.objectives": ["error", "parameters", "macs"],
            **{f"limits.{name}": most for name, most in limits.items()},
        },
    )


def _generation(*costs: tuple[float, float, float], **ledger: Json) -> Generation:
    members = Front(Candidate((i,), cost) for i, cost in enumerate(costs))
    return Generation(3, members, members, ("error", "parameters", "macs"), {"steps": 9, **ledger}, 1.0)


def test_a_run_that_is_as_good_as_it_looks_has_no_warning() -> None:
    config, generation = _config(parameters=100), _generation((0.2, 100, 5), (0.3, 50, 4))
    assert warnings_of(config, generation) == []
    assert has_usable_member(config, generation)


@pytest.mark.parametrize(
    ("costs", "text", "is_usable"),
    [
        ([(0.2, 300, 5), (0.3, 200, 4)], "no member of the front's 2 meets parameters <= 100", False),
        ([(0.2, 300, 5), (0.3, 100, 4)], "only 1 of the front's 2 meets parameters <= 100", True),
    ],
)
def test_a_violated_limit_is_named_with_the_factor_of_the_nearest(
    costs: list[tuple[float, float, float]], text: str, is_usable: bool
) -> None:
    config, generation = _config(parameters=100), _generation(*costs)
    [found] = warnings_of(config, generation)
    assert found.kind == "limits"
    assert text in found.text
    assert f"{min(c[1] for c in costs if c[1] > 100) / 100:g} times the limit of 100" in found.text
    assert has_usable_member(config, generation) is is_usable


def test_each_violated_limit_is_a_warning_of_its_own() -> None:
    config, generation = _config(parameters=100, macs=1), _generation((0.2, 300, 5))
    assert [found.kind for found in warnings_of(config, generation)] == ["limits", "limits"]
    assert excesses(config, generation, generation.front[0]) == {"parameters": 3.0, "macs": 5.0}


@pytest.mark.parametrize(("error", "is_usable"), [(0.89, True), (0.9, False), (1.0, False)])
def test_an_error_is_worth_something_below_that_of_guessing_alone(error: float, is_usable: bool) -> None:
    config, generation = _config(), _generation((error, 300, 5))
    assert has_usable_member(config, generation) is is_usable
    assert ["chance"] * (not is_usable) == [found.kind for found in warnings_of(config, generation)]


def test_where_some_are_no_better_than_chance_and_the_others_violate_a_limit_none_is_usable() -> None:
    config, generation = _config(parameters=100), _generation((0.2, 300, 5), (0.95, 50, 4))
    assert not has_usable_member(config, generation)


def test_skipped_steps_are_counted() -> None:
    [found] = warnings_of(_config(), _generation((0.2, 3, 5), skipped_steps=3))
    assert (found.kind, "3 of 12 training steps" in found.text) == ("skipped_steps", True)


@pytest.mark.parametrize(("skipped", "warns"), [(16, False), (40, True)])
def test_steps_that_the_scale_of_float16_costs_are_no_reason_to_warn(skipped: int, warns: bool) -> None:
    config = _config().model_copy(update={"training": TrainingPlan(precision="float16")})
    found = warnings_of(config, _generation((0.2, 3, 5), skipped_steps=skipped))
    assert [one.kind for one in found] == (["skipped_steps"] if warns else [])


@pytest.mark.parametrize(
    ("loss", "least_loss", "has_diverged"),
    [
        (2.3, 2.2, False),
        (0.4, 0.1, False),
        (3.4, 2.4, False),
        (3.5, 3.4, True),
        (240.0, 130.0, True),
        (1.6, 0.4, True),  # far above what it was
        (240.0, 0.0, False),  # too few steps to know
    ],
)
def test_a_training_loss_far_above_guessing_or_above_what_it_was_has_diverged(
    loss: float, least_loss: float, has_diverged: bool
) -> None:
    found = warnings_of(_config(), _generation((0.2, 3, 5), loss=loss, least_loss=least_loss))
    assert [one.kind for one in found] == ["diverged"] * has_diverged
    assert all(f"is {loss:.4g}" in one.text and "2.303 by guessing" in one.text for one in found)


@pytest.mark.parametrize("is_reached", [True, False])
def test_a_table_that_was_never_validated_or_missed_its_precision_is_named(
    is_reached: bool, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(TINY)
    config = SearchConfig.load(tmp_path / "config.toml", {"latency.table": str(tmp_path / "table.jsonl")})
    header = TableHeader(connect("cpu").info(), "onnxruntime", "0", 1)
    specs = TableContents(make_space(config)).specs
    with LatencyTable.create(tmp_path / "table.jsonl", header) as table:
        table.add(*(Measurement(spec, (1e-3,), {"precision_reached": is_reached}) for spec in specs))
    kinds = [found.kind for found in warnings_of(config, _generation((0.2, 3, 5)))]
    assert kinds == (["table"] if is_reached else ["table", "precision"])


def test_a_table_of_an_earlier_version_that_says_nothing_of_precision_is_not_blamed(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(TINY)
    config = SearchConfig.load(tmp_path / "config.toml", {"latency.table": str(tmp_path / "table.jsonl")})
    write_table(tmp_path / "table.jsonl", make_space(config))
    assert [found.kind for found in warnings_of(config, _generation((0.2, 3, 5)))] == ["table"]
