"""What every strategy has to do, on a tiny space and learning curves."""

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cars_hw import strategies
from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError, SelectionError
from cars_hw.ledger import Json
from cars_hw.networks.architecture import checked
from cars_hw.objectives import Error, Objective, Parameters
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.saving.record import Generation
from cars_hw.search import Schedule, Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import Strategy, Violation, unconstrained
from cars_hw.testing._tabular import (
    CurveTrainer,
    FirstOption,
    Killed,
    KillingClock,
    TinySpace,
    evaluate,
    play,
)
from devices.foundation import UnknownNameError


class StrategyContract:
    """Tests of a search algorithm.

        class TestMyStrategy(StrategyContract):
            name = "my_lab.my_strategy"

    Attributes:
        name: The plug-in's.
        small: Settings of a small population, for the tests that run many rounds.
    """

    name: str
    small: ClassVar[Mapping[str, object]] = {}

    def strategy(
        self,
        space: SearchSpace | None = None,
        *,
        seed: int = 0,
        violation: Violation = unconstrained,
        **settings: object,
    ) -> Strategy:
        """Return the strategy on ``space``, or on a tiny one; here, with its default settings."""
        rng = np.random.default_rng(seed)
        return strategies.load(self.name, space or TinySpace(), rng, violation=violation, **settings)

    def test_it_asks_for_distinct_members_of_its_space(self) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        for _ in range(4):
            asked = strategy.ask()
            assert asked
            assert len(set(asked)) == len(asked)
            for architecture in asked:
                checked(architecture, strategy.space.choices)
            play(strategy, trainer)

    def test_it_trains_members_of_its_space_as_often_as_it_is_told(self) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        play(strategy, trainer, 4, steps=7)
        assert trainer.ledger.steps == len(trainer.stepped) == 28
        for architectures in trainer.stepped:
            assert architectures
            for architecture in architectures:
                checked(architecture, strategy.space.choices)

    def test_its_estimates_leave_costs_as_they_were_measured(self) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        play(strategy, trainer, 2)
        evaluated = evaluate(strategy, trainer)
        losses = {one.architecture: 3.0 * one.costs[0] for one in evaluated}
        estimated = strategy.estimated(evaluated, losses)
        assert [replace(one, estimate=None) for one in estimated] == evaluated
        strategy.tell(estimated)
        assert set(strategy.population) <= set(estimated)

    def test_it_keeps_what_it_was_told(self) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        play(strategy, trainer, 2)
        evaluated = evaluate(strategy, trainer)
        strategy.tell(evaluated)
        assert strategy.population
        assert set(strategy.population) <= set(evaluated)

    def test_a_longer_search_begins_as_a_shorter_one_unless_it_declares_that_it_plans_by_rounds(self) -> None:
        begun = []
        for generations in (3, 9):
            strategy, trainer = self.strategy(), CurveTrainer()
            play(strategy, trainer, 4, generations=generations)
            begun.append([trainer.stepped, strategy.state()])
        assert begun[0] == begun[1] or strategy.plans_by_rounds

    def test_by_another_table_all_its_members_have_the_costs_of_that(self) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        play(strategy, trainer, 2)
        before = strategy.population
        parameters, latency_ms = strategy.facts.known_costs.values()
        costs = {"parameters": parameters, "latency_ms": lambda member: 10.0 + latency_ms(member)}
        strategy.facts = replace(strategy.facts, known_costs=costs)
        strategy.renew_known_costs()
        assert [member.costs for member in strategy.population] == [
            (*member.costs[:2], 10.0 + member.costs[2]) for member in before
        ]
        evaluated = [
            Candidate(one.architecture, (*one.costs[:2], 10.0 + one.costs[2]), one.previous_error)
            for one in evaluate(strategy, trainer)
        ]
        strategy.tell(evaluated)
        assert all(member.costs[2] >= 10.0 for member in strategy.population)

    def test_its_front_is_what_no_member_dominates(self) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        assert strategy.front() == ()
        play(strategy, trainer, 3)
        costs = [member.costs for member in strategy.population]
        assert [member.costs for member in strategy.front()] == sorted(
            mine for mine in costs if not any(_dominates(other, mine) for other in costs)
        )

    def test_its_front_is_feasible_where_any_member_is(self) -> None:
        strategy, trainer = self.strategy(violation=lambda costs: max(0.0, costs[2] - 6.5)), CurveTrainer()
        play(strategy, trainer, 3)
        assert all(member.costs[2] <= 6.5 for member in strategy.front())

    def test_without_a_feasible_member_its_front_violates_least(self) -> None:
        strategy, trainer = self.strategy(violation=lambda costs: 1.0 + costs[2]), CurveTrainer()
        play(strategy, trainer, 3)
        assert strategy.front()
        least = min(member.costs[2] for member in strategy.population)
        assert all(member.costs[2] == least for member in strategy.front())

    def test_the_same_seed_makes_the_same_run(self) -> None:
        assert _run(self.strategy(seed=3)) == _run(self.strategy(seed=3))
        assert _run(self.strategy(seed=3)) != _run(self.strategy(seed=4))

    def test_a_restored_run_begins_like_the_one_it_was_saved_from(self) -> None:
        strategy, twin = self.strategy(), self.strategy(seed=99)
        twin.restore(json.loads(json.dumps(strategy.state(), allow_nan=False)))
        assert _run(twin) == _run(strategy)

    @pytest.mark.parametrize("rounds", [1, 3])
    def test_a_restored_run_continues_like_the_one_it_was_saved_from(
        self, rounds: int, tmp_path: Path
    ) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        play(strategy, trainer, rounds, generations=5, folder=tmp_path)
        twin, twin_trainer = self.strategy(seed=99), CurveTrainer()
        play(twin, twin_trainer, 0, generations=5, folder=tmp_path)

        assert twin.population == strategy.population
        play(strategy, trainer, 3, generations=5)
        play(twin, twin_trainer, 3, generations=5)
        assert twin.state() == strategy.state()
        assert twin_trainer.stepped == trainer.stepped[-len(twin_trainer.stepped) :]

    @pytest.mark.parametrize("safe_point", [1, 4, 8, 21, 34])
    def test_a_run_killed_inside_a_generation_ends_like_one_that_was_not(
        self, safe_point: int, tmp_path: Path
    ) -> None:
        self.check_killed_at(safe_point, tmp_path)

    def check_killed_at(self, safe_point: int, folder: Path) -> bool:
        """Check that a search killed after it was saved there goes on as another did; tell if it was."""
        straight = _short_search(self._small(3), None)
        killed = _short_search(self._small(3), folder, KillingClock(safe_point))
        resumed = _short_search(self._small(99), folder)
        expected = [_round(generation) for generation in straight.run()]
        with suppress(Killed):
            list(killed.run())
        assert resumed.resume()
        was_killed = len(resumed.history) < len(expected)
        list(resumed.run())
        assert [_round(generation) for generation in resumed.history] == expected
        assert resumed.strategy.state() == straight.strategy.state()
        assert resumed.trainer.state() == straight.trainer.state()
        return was_killed

    def _small(self, seed: int) -> Strategy:
        return self.strategy(None, seed=seed, violation=unconstrained, **self.small)

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
            {
                "rng": {
                    "bit_generator": "PCG64",
                    "state": {"state": -1, "inc": 1},
                    "has_uint32": 0,
                    "uinteger": 0,
                }
            },
        ],
        ids=str,
    )
    def test_a_damaged_state_is_refused(self, damage: dict[str, Json]) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        play(strategy, trainer, 2)
        with pytest.raises(CheckpointError):
            self.strategy().restore(strategy.state() | damage)

    @pytest.mark.parametrize("lost", ["population", "rng"])
    def test_a_state_with_a_part_missing_is_refused(self, lost: str) -> None:
        state = self.strategy().state()
        del state[lost]
        with pytest.raises(CheckpointError, match=lost):
            self.strategy().restore(state)

    @pytest.mark.parametrize("cost", [math.nan, math.inf])
    @pytest.mark.parametrize("generations", [0, 2])
    def test_a_cost_that_is_no_number_is_refused(self, cost: float, generations: int) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        play(strategy, trainer, generations)
        first, *others = evaluate(strategy, trainer)
        spoilt = Candidate(first.architecture, (cost, *first.costs[1:]), first.previous_error)
        with pytest.raises(SelectionError):
            strategy.tell([*others, spoilt])

    def test_nothing_evaluated_is_refused(self) -> None:
        with pytest.raises(SelectionError):
            self.strategy().tell([])

    def test_asking_twice_is_asking_anew(self) -> None:
        strategy, trainer = self.strategy(), CurveTrainer()
        for _ in range(3):
            assert strategy.ask()
            play(strategy, trainer)

    def test_a_space_of_one_architecture_is_searched(self) -> None:
        strategy, trainer = self.strategy(TinySpace((1, 1), ((0,), (1,)))), CurveTrainer()
        play(strategy, trainer, 4)
        assert [member.architecture for member in strategy.front()] == [(0, 0)]

    def test_a_setting_that_it_does_not_take_is_refused(self) -> None:
        with pytest.raises(UnknownNameError, match="colour"):
            self.strategy(colour="red")

    @pytest.mark.parametrize("setting", ["violation", "space", "rng", "population"])
    def test_a_name_that_is_no_setting_is_refused_with_those_that_are(self, setting: str) -> None:
        with pytest.raises(
            UnknownNameError, match=f"unknown setting of {re.escape(self.name)} '{setting}'"
        ) as caught:
            strategies.check(self.name, {setting: 1})
        assert setting not in caught.value.known
        assert not {"violation", "space", "rng"} & set(caught.value.known)

    def test_a_setting_named_like_a_positional_argument_is_refused(self) -> None:
        with pytest.raises(UnknownNameError, match=f"unknown setting of {re.escape(self.name)} 'rng'"):
            self.strategy(rng=0)


def _short_search(
    strategy: Strategy, folder: Path | None, clock: Callable[[], float] = time.monotonic
) -> Search:
    trainer = CurveTrainer()
    costs: list[Objective] = [Error(trainer), Parameters(strategy.space), FirstOption()]
    checkpoints = CheckpointFolder(folder) if folder else None
    schedule = Schedule(warm_up_steps=3, steps=3, generations=3)
    return Search(trainer, strategy, costs, schedule, checkpoints=checkpoints, clock=clock)


def _round(generation: Generation) -> tuple[object, ...]:
    return generation.population, generation.front, generation.ledger


def _run(strategy: Strategy) -> list[object]:
    trainer = CurveTrainer()
    play(strategy, trainer, 4)
    return [trainer.stepped, strategy.state()]


def _dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
