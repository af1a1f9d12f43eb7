"""What every objective promises."""

import math
from pathlib import Path

import numpy as np
import pytest

from cars_hw import objectives, strategies
from cars_hw.latency.model import latency_model
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Ingredients, Objective, Parameters
from cars_hw.search import Schedule, Search
from cars_hw.testing._tables import write_table
from cars_hw.testing._tabular import CurveTrainer, TinySpace
from latency_tables import LatencyTable


class ObjectiveContract:
    """Tests of an objective, on a tiny space whose accuracies are curves and whose latencies are made up.

        class TestMyCost(ObjectiveContract):
            name = "my_lab.energy_mj"

    Attributes:
        name: The plug-in's.
    """

    name: str

    def ingredients(self, folder: Path) -> Ingredients:
        """Return what a search has for the objective to be made of; files may lie in ``folder``."""
        space, trainer = TinySpace(), CurveTrainer()
        trainer.step([space.sample(np.random.default_rng(0))])
        table = LatencyTable.open(write_table(folder / "table.jsonl", space))
        return Ingredients(space, trainer, {"": latency_model(space, table)})

    @pytest.fixture
    def made_of(self, tmp_path: Path) -> Ingredients:
        """What the objective is made of, for one test."""
        return self.ingredients(tmp_path)

    @pytest.fixture
    def objective(self, made_of: Ingredients) -> Objective:
        """The objective, for one test."""
        return objectives.load(self.name, made_of)

    def test_it_has_a_name_of_one_word_and_shows_it(self, objective: Objective) -> None:
        assert objective.name
        assert not set(objective.name) & set(" ,;=\n")
        assert objective.name in repr(objective)

    def test_its_name_does_not_depend_on_what_it_is_made_of(self, objective: Objective) -> None:
        assert objective.name == objectives.find(self.name)[0].name

    def test_costs_are_finite_numbers(self, objective: Objective, made_of: Ingredients) -> None:
        costs = [objective(member) for member in _members(made_of)]
        assert all(type(cost) is float and math.isfinite(cost) for cost in costs)

    def test_an_architecture_costs_the_same_each_time_and_for_each_of_its_kind(
        self, objective: Objective, made_of: Ingredients
    ) -> None:
        members = _members(made_of)
        twin = objectives.load(self.name, made_of)
        costs = [objective(member) for member in members]
        assert costs == [objective(member) for member in members]
        assert costs[::-1] == [twin(member) for member in reversed(members)]

    def test_what_a_limit_is_held_against_is_a_number_no_smaller_than_the_cost(
        self, objective: Objective, made_of: Ingredients
    ) -> None:
        for member in _members(made_of):
            cost = objective(member)
            bound = objective.bound(member, cost)
            assert math.isfinite(bound)
            assert bound >= cost
            assert bound == objective.bound(member, cost)
            assert bound == cost or objective.bound_text

    def test_a_search_minimises_it(self, objective: Objective, made_of: Ingredients) -> None:
        space, trainer = made_of.space, made_of.trainer
        rng = np.random.default_rng(0)
        strategy = strategies.load("random_search", space, rng, population_size=6)
        costs = {cost.name: cost for cost in (Error(trainer), Parameters(space), objective)}
        search = Search(trainer, strategy, list(costs.values()), Schedule(1, 1, 1))
        *_, last = search.run()
        place = last.objectives.index(objective.name)
        found = [member.costs[place] for member in last.population]
        assert min(found) in [member.costs[place] for member in last.front]


def _members(made_of: Ingredients, n: int = 12) -> list[Architecture]:
    rng = np.random.default_rng(1)
    return [made_of.space.sample(rng) for _ in range(n)]
