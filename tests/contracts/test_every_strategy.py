"""What every strategy has to do, found by name, on a tiny space and learning curves."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cars_hw import strategies
from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError, SelectionError
from cars_hw.networks.architecture import checked
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import Strategy
from devices.foundation.errors import UnknownNameError
from devices.foundation.plugins import plugin_names
from tests.fakes.tabular import TabularTrainer, TinySpace, evaluate, play

pytestmark = pytest.mark.parametrize("name", plugin_names("cars_hw.strategies"))


def build(name: str, space: SearchSpace | None = None, *, seed: int = 0, **settings: Any) -> Strategy:
    return strategies.load(name, space or TinySpace(), np.random.default_rng(seed), **settings)


def test_it_asks_for_distinct_members_of_its_space(name: str) -> None:
    strategy, trainer = build(name), TabularTrainer()
    for _ in range(4):
        asked = strategy.ask()
        assert asked
        assert len(set(asked)) == len(asked)
        for architecture in asked:
            checked(architecture, strategy.space.choices)
        play(strategy, trainer)


def test_it_trains_members_of_its_space_as_often_as_it_is_told(name: str) -> None:
    strategy, trainer = build(name), TabularTrainer()
    play(strategy, trainer, 4, steps=7)
    assert trainer.ledger.steps == len(trainer.stepped) == 28
    for architectures in trainer.stepped:
        assert architectures
        for architecture in architectures:
            checked(architecture, strategy.space.choices)


def test_it_keeps_what_it_was_told(name: str) -> None:
    strategy, trainer = build(name), TabularTrainer()
    play(strategy, trainer, 2)
    evaluated = evaluate(strategy, trainer)
    strategy.tell(evaluated)
    assert strategy.population
    assert set(strategy.population) <= set(evaluated)


def test_its_front_is_what_no_member_dominates(name: str) -> None:
    strategy, trainer = build(name), TabularTrainer()
    assert strategy.front() == ()
    play(strategy, trainer, 3)
    costs = [member.costs for member in strategy.population]
    assert [member.costs for member in strategy.front()] == sorted(
        mine for mine in costs if not any(dominates(other, mine) for other in costs)
    )


def test_its_front_is_feasible_where_any_member_is(name: str) -> None:
    strategy, trainer = build(name, violation=lambda costs: max(0.0, costs[2] - 6.5)), TabularTrainer()
    play(strategy, trainer, 3)
    assert all(member.costs[2] <= 6.5 for member in strategy.front())


def test_without_a_feasible_member_its_front_violates_least(name: str) -> None:
    strategy, trainer = build(name, violation=lambda costs: 1.0 + costs[2]), TabularTrainer()
    play(strategy, trainer, 3)
    assert strategy.front()
    least = min(member.costs[2] for member in strategy.population)
    assert all(member.costs[2] == least for member in strategy.front())


def test_the_same_seed_makes_the_same_run(name: str) -> None:
    assert run(build(name, seed=3)) == run(build(name, seed=3))
    assert run(build(name, seed=3)) != run(build(name, seed=4))


def test_a_restored_run_begins_like_the_one_it_was_saved_from(name: str) -> None:
    strategy, twin = build(name), build(name, seed=99)
    twin.restore(json.loads(json.dumps(strategy.state(), allow_nan=False)))
    assert run(twin) == run(strategy)


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_restored_run_continues_like_the_one_it_was_saved_from(
    name: str, rounds: int, tmp_path: Path
) -> None:
    strategy, trainer = build(name), TabularTrainer()
    play(strategy, trainer, rounds, generations=5, folder=tmp_path)
    twin, twin_trainer = build(name, seed=99), TabularTrainer()
    play(twin, twin_trainer, 0, generations=5, folder=tmp_path)

    assert twin.population == strategy.population
    play(strategy, trainer, 3, generations=5)
    play(twin, twin_trainer, 3, generations=5)
    assert twin.state() == strategy.state()
    assert twin_trainer.stepped == trainer.stepped[-len(twin_trainer.stepped) :]


@pytest.mark.parametrize(
    "damage",
    [
        {"population": None},
        {"population": [[[0, 0, 0, 0], [0.5], None]]},
        {"population": [{"architecture": [0, 0, 0, 9], "costs": [0.5]}]},
        {"population": [{"architecture": [0, 0], "costs": [0.5]}]},
        {"population": [{"architecture": [0, 0, 0, 0.5], "costs": [0.5]}]},
        {"population": [{"architecture": [0, 0, 0, 0], "costs": ["low"]}]},
        {"population": [{"architecture": [0, 0, 0, 0], "costs": [math.nan]}]},
        {"population": [{"architecture": [0, 0, 0, i], "costs": [0.5] * (i + 1)} for i in range(2)]},
        {"rng": None},
        {"rng": {}},
        {"rng": {"bit_generator": "MT19937"}},
        {
            "rng": {
                "bit_generator": "PCG64",
                "state": {"state": "x", "inc": 1},
                "has_uint32": 0,
                "uinteger": 0,
            }
        },
        {"rng": {"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}, "has_uint32": 0, "uinteger": 0}},
    ],
    ids=str,
)
def test_a_damaged_state_is_refused(name: str, damage: dict[str, Any]) -> None:
    strategy, trainer = build(name), TabularTrainer()
    play(strategy, trainer, 2)
    with pytest.raises(CheckpointError):
        build(name).restore(strategy.state() | damage)


@pytest.mark.parametrize("lost", ["population", "rng"])
def test_a_state_with_a_part_missing_is_refused(name: str, lost: str) -> None:
    state = build(name).state()
    del state[lost]
    with pytest.raises(CheckpointError, match=lost):
        build(name).restore(state)


@pytest.mark.parametrize("cost", [math.nan, math.inf])
@pytest.mark.parametrize("generations", [0, 2])
def test_a_cost_that_is_no_number_is_refused(name: str, cost: float, generations: int) -> None:
    strategy, trainer = build(name), TabularTrainer()
    play(strategy, trainer, generations)
    first, *others = evaluate(strategy, trainer)
    spoilt = Candidate(first.architecture, (cost, *first.costs[1:]), first.previous_error)
    with pytest.raises(SelectionError):
        strategy.tell([*others, spoilt])


def test_nothing_evaluated_is_refused(name: str) -> None:
    with pytest.raises(SelectionError):
        build(name).tell([])


def test_asking_twice_is_asking_anew(name: str) -> None:
    strategy, trainer = build(name), TabularTrainer()
    for _ in range(3):
        assert strategy.ask()
        play(strategy, trainer)


def test_a_space_of_one_architecture_is_searched(name: str) -> None:
    strategy, trainer = build(name, TinySpace((1, 1), ((0,), (1,)))), TabularTrainer()
    play(strategy, trainer, 4)
    assert [member.architecture for member in strategy.front()] == [(0, 0)]


def test_a_setting_that_it_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="colour"):
        build(name, colour="red")


@pytest.mark.parametrize("setting", ["violation", "space", "rng", "population"])
def test_a_name_that_is_no_setting_is_refused_with_those_that_are(name: str, setting: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown setting of {name} '{setting}'") as caught:
        strategies.check(name, {setting: 1})
    assert "population_size" in caught.value.known
    assert not {"violation", "space", "rng"} & set(caught.value.known)


def test_a_setting_named_like_a_positional_argument_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown setting of {name} 'rng'"):
        build(name, rng=0)


def run(strategy: Strategy) -> list[object]:
    trainer = TabularTrainer()
    play(strategy, trainer, 4)
    return [trainer.stepped, strategy.state()]


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
