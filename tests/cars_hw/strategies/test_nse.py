"""NSE: rounds, duels, budgets and what the front remembers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Parameters
from cars_hw.search import Schedule, Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import SearchFacts
from cars_hw.strategies.nse import Nse
from cars_hw.testing._tabular import CurveTrainer, TinySpace, evaluate, play
from cars_hw.trainer import OptionGradients
from devices.foundation.errors import ConfigError
from tests.fakes.branches import BranchSpace


class Preferring(CurveTrainer):
    """A trainer whose loss falls, at each layer of a ``BranchSpace``, by what its branches are worth."""

    def __init__(self, space: BranchSpace, worth: Sequence[float]) -> None:
        super().__init__()
        self.space, self.worth = space, worth

    def option_gradients(self, chosen: Architecture, other: Architecture) -> OptionGradients:
        self.ledger.add_option_step(1, 0.0)
        mine, its = [0.0] * len(chosen), [0.0] * len(other)
        for group in self.space.groups:
            for decision in group:
                if chosen[decision] != other[decision]:
                    mine[decision] = -sum(self.worth[o] * chosen[d] for o, d in enumerate(group))
                    its[decision] = -sum(self.worth[o] * other[d] for o, d in enumerate(group))
        return OptionGradients(1.0, tuple(mine), tuple(its))


def nse(space: SearchSpace | None = None, *, seed: int = 0, **settings: Any) -> Nse:
    settings = {"population_size": 12, "operations_per_place": 3, **settings}
    return Nse(space or BranchSpace(operations=6), np.random.default_rng(seed), **settings)


def indicators(strategy: Nse) -> list[float]:
    return [float(indicator) for indicator in remembered(strategy)["indicators"]]


def remembered(strategy: Nse) -> dict[str, Any]:
    """What the strategy saves of its own."""
    own = json.loads(json.dumps(strategy.state()))["nse"]
    assert isinstance(own, dict)
    return own


def competing(strategy: Nse) -> list[list[int]]:
    found: list[list[int]] = remembered(strategy)["sub_space"]["competing"]
    return found


def macs(space: SearchSpace, architecture: Architecture) -> float:
    return float(space.graph(architecture).macs())


def mean_macs(strategy: Nse, space: SearchSpace) -> float:
    return float(np.mean([macs(space, architecture) for architecture in strategy.ask()]))


def test_only_k_operations_of_a_place_compete_and_only_they_are_trained() -> None:
    strategy, trainer = nse(), CurveTrainer()
    assert [len(operations) for operations in competing(strategy)] == [3, 3, 3]
    strategy.train(trainer, 200)
    trained = {d for (architecture,) in trainer.stepped for d, option in enumerate(architecture) if option}
    assert trained == {operation for operations in competing(strategy) for operation in operations}
    assert [options for options in strategy.space.allowed if len(options) == 2] == [(0, 1)] * 9


def test_weight_steps_take_every_admissible_set_alike_whatever_the_indicators_say() -> None:
    space = BranchSpace(layers=2, operations=2)
    strategy, trainer = nse(space), Preferring(space, [9.0, -9.0])
    strategy.train(trainer, 1200)
    assert max(np.abs(indicators(strategy))) > 1
    rows = [architecture for (architecture,) in trainer.stepped]
    needed = [sum(row[:2] == each for row in rows) / len(rows) for each in ((0, 1), (1, 0), (1, 1))]
    free = [sum(row[2:] == each for row in rows) / len(rows) for each in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert needed == pytest.approx([1 / 3] * 3, abs=0.06)
    assert free == pytest.approx([1 / 4] * 4, abs=0.06)


@pytest.mark.parametrize(("interval", "a_steps"), [(1, 12), (2, 6), (5, 2), (13, 0)])
def test_indicators_step_once_in_so_many_weight_steps(interval: int, a_steps: int) -> None:
    strategy, trainer = nse(a_step_interval=interval), CurveTrainer()
    strategy.train(trainer, 12)
    assert (trainer.ledger.steps, trainer.ledger.option_steps) == (12, a_steps)


def test_indicators_learn_which_branches_lower_the_loss() -> None:
    space = BranchSpace(layers=2, operations=3)
    strategy = nse(space, cleaning_threshold=-50.0)
    strategy.train(Preferring(space, [1.0, 0.0, -1.0]), 600)
    for start in (0, 3):
        good, neutral, bad = indicators(strategy)[start : start + 3]
        assert good > neutral + 0.3 > bad + 0.6


def test_indicators_of_alternatives_learn_the_better_option() -> None:
    strategy, trainer = nse(TinySpace(), operations_per_place=4), CurveTrainer()
    strategy.train(trainer, 600)
    learned = np.split(np.array(indicators(strategy)), np.cumsum([4, 3, 4]))
    assert [int(place.argmax()) for place in learned] == [3, 2, 3, 2]


def test_a_loss_that_is_not_finite_moves_no_indicator() -> None:
    class Diverged(CurveTrainer):
        def option_gradients(self, chosen: Architecture, other: Architecture) -> OptionGradients:
            return OptionGradients(float("nan"), (1.0,) * len(chosen), (0.0,) * len(chosen))

    strategy = nse()
    strategy.train(Diverged(), 10)
    assert set(indicators(strategy)) == {0.0}


class Indifferent(CurveTrainer):
    def option_gradients(self, chosen: Architecture, other: Architecture) -> OptionGradients:
        return OptionGradients(1.0, (0.0,) * len(chosen), (0.0,) * len(chosen))


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_the_penalty_moves_the_expected_cost_towards_the_target(factor: float) -> None:
    space = BranchSpace(layers=4, operations=4)
    free = nse(space, operations_per_place=4, population_size=200)
    before = mean_macs(free, space)
    target = factor * before
    strategy = nse(space, operations_per_place=4, target=target, drift=1.0, population_size=200)
    strategy.train(Indifferent(), 800)
    after = mean_macs(strategy, space)
    assert abs(after - target) < 0.6 * abs(before - target)


def test_without_a_target_costs_do_not_matter() -> None:
    strategy = nse()
    strategy.train(Indifferent(), 50)
    assert set(indicators(strategy)) == {0.0}


def test_samples_cost_what_the_target_says_give_or_take_the_drift() -> None:
    space = BranchSpace(operations=6)
    target = float(np.median([macs(space, a) for a in nse(space, operations_per_place=6).ask()]))
    strategy = nse(space, operations_per_place=6, target=target, drift=0.2, population_size=20)
    costs = sorted(macs(space, architecture) for architecture in strategy.ask())
    within = [cost for cost in costs if 0.8 * target <= cost <= 1.2 * target]
    below = [cost for cost in costs if cost < 0.8 * target]
    assert len(within) >= 5
    assert len(within) + len(below) == len(costs)
    assert len(below) <= 1
    assert all(cost >= 0.4 * target for cost in below)


def test_where_no_sample_meets_the_target_the_nearest_are_taken() -> None:
    space = BranchSpace(operations=6)
    strategy = nse(space, target=1.0, population_size=5)
    asked = strategy.ask()
    assert len(asked) == 5
    drawn = nse(space, population_size=200).ask()
    assert max(macs(space, a) for a in asked) <= float(np.median([macs(space, a) for a in drawn]))


def test_networks_below_the_window_shape_the_front_and_stay_out_of_it() -> None:
    space = BranchSpace(layers=1, operations=4)
    costs = {member: macs(space, member) for member in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))}
    below, dominated, fine = costs
    strategy = nse(space, target=costs[fine], drift=0.9, population_size=20)
    assert costs[below] < 0.1 * costs[fine] < costs[dominated]
    strategy.tell(
        [
            Candidate(below, (0.3, costs[below])),
            Candidate(dominated, (0.4, costs[dominated])),
            Candidate(fine, (0.2, costs[fine])),
        ]
    )
    assert [member.architecture for member in strategy.population] == [fine]


def test_where_only_networks_below_the_window_are_on_the_front_they_are_kept() -> None:
    space = BranchSpace(layers=1, operations=4)
    strategy = nse(space, target=1e9)
    strategy.tell([Candidate((1, 0, 0, 0), (0.3, 1.0)), Candidate((0, 1, 0, 0), (0.4, 2.0))])
    assert [member.architecture for member in strategy.population] == [(1, 0, 0, 0)]


def test_of_equal_errors_a_member_of_the_front_survives_a_cheaper_newcomer() -> None:
    space = BranchSpace(layers=1, operations=4)
    strategy = nse(space, operations_per_place=4)
    old, new = (0, 0, 1, 0), (1, 0, 0, 0)
    strategy.tell([Candidate(old, (0.25, 9.0))])
    strategy.tell([Candidate(old, (0.25, 9.0)), Candidate(new, (0.25, 1.0))])
    assert {member.architecture for member in strategy.population} == {old, new}
    stranger = nse(space, operations_per_place=4)
    stranger.tell([Candidate(old, (0.25, 9.0)), Candidate(new, (0.25, 1.0))])
    assert [member.architecture for member in stranger.population] == [new]


def test_a_round_starts_afresh_from_what_the_front_uses() -> None:
    space = BranchSpace(operations=6)
    strategy, trainer = nse(space), Preferring(space, [3.0, 2.0, 1.0, 0.0, -1.0, -2.0])
    strategy.train(trainer, 40)
    assert len(trainer.resets) == 1
    first = competing(strategy)
    assert max(np.abs(indicators(strategy))) > 0
    strategy.tell(evaluate(strategy, trainer))
    assert set(indicators(strategy)) == {0.0}
    for place, (before, now) in enumerate(zip(first, competing(strategy), strict=True)):
        used = {
            d for member in strategy.population for d in space.groups[place] if member.architecture[d] == 1
        }
        assert used <= set(now)
        assert len(now) == max(3, len(used) + 1)
        assert set(now) - used <= set(space.groups[place]) - set(before)
    strategy.train(trainer, 1)
    strategy.train(trainer, 1)
    assert len(trainer.resets) == 2


def test_the_front_of_the_last_round_is_judged_again_beside_samples() -> None:
    strategy, trainer = nse(), CurveTrainer()
    play(strategy, trainer, 2)
    front = [member.architecture for member in strategy.population]
    asked = list(strategy.ask())
    assert asked[: len(front)] == front
    assert len(set(asked)) == len(asked) <= len(front) + 12
    assert all(
        option in options
        for architecture in asked
        for option, options in zip(architecture, strategy.space.allowed, strict=True)
    )


def test_a_round_may_take_several_generations() -> None:
    strategy, trainer = nse(generations_per_round=3), CurveTrainer()
    first = competing(strategy)
    sizes, resets, spaces = [], [], []
    for _ in range(6):
        sizes.append(len(strategy.ask()))
        play(strategy, trainer, generations=20)
        resets.append(len(trainer.resets))
        spaces.append(competing(strategy))
    assert resets == [1, 1, 1, 2, 2, 2]
    assert sizes[:3] == [1, 1, 12]
    assert spaces[0] == spaces[1] == first != spaces[2]
    assert spaces[3] == spaces[4] == spaces[2] != spaces[5]
    assert sizes[3] == sizes[4] < sizes[5]


@pytest.mark.parametrize(
    ("generations_per_round", "generations", "steps_of_rounds"),
    [(1, 2, [7, 5, 5]), (3, 6, [17, 15, 5]), (3, 4, [17, 10]), (50, 2, [17])],
)
def test_weights_start_anew_for_the_steps_of_each_round_the_last_of_which_may_be_shorter(
    generations_per_round: int, generations: int, steps_of_rounds: list[int]
) -> None:
    space, trainer = BranchSpace(), CurveTrainer()
    strategy = nse(space, generations_per_round=generations_per_round)
    schedule = Schedule(7, 5, generations)
    list(Search(trainer, strategy, [Error(trainer), Parameters(space)], schedule).run())
    assert trainer.resets == steps_of_rounds
    assert sum(steps_of_rounds) == trainer.ledger.steps == schedule.total_steps


def test_a_round_that_is_gone_on_with_keeps_its_weights(tmp_path: Path) -> None:
    strategy, trainer = nse(generations_per_round=3), CurveTrainer()
    play(strategy, trainer, 2, generations=5, folder=tmp_path)
    assert trainer.resets == [15]
    twin, twin_trainer = nse(generations_per_round=3, seed=5), CurveTrainer()
    play(twin, twin_trainer, 1, generations=5, folder=tmp_path)
    assert twin_trainer.resets == []
    play(twin, twin_trainer, 1, generations=5)
    assert twin_trainer.resets == [15]


def test_generations_within_a_round_drop_no_member_of_the_front() -> None:
    strategy, trainer = nse(generations_per_round=3), CurveTrainer()
    play(strategy, trainer, 3)
    front = {member.architecture for member in strategy.population}
    strategy.tell([Candidate(a, (1.0 + i, 1.0 + i)) for i, a in enumerate(strategy.ask())])
    assert {member.architecture for member in strategy.population} == front


def test_the_last_generation_of_a_search_ends_a_round() -> None:
    strategy, trainer = nse(generations_per_round=50), CurveTrainer()
    play(strategy, trainer, generations=1)
    assert len(strategy.population) == 1
    assert len(strategy.ask()) == 12


def test_cleaned_operations_leave_the_space_with_the_next_generation() -> None:
    space = BranchSpace(layers=2, operations=3)
    strategy = nse(space, generations_per_round=2, cleaning_threshold=-0.05)
    strategy.train(Preferring(space, [2.0, 1.0, -3.0]), 60)
    strategy.tell(evaluate(strategy, CurveTrainer()))
    assert [2 in place for place in competing(strategy)] == [False, False]
    assert list(strategy.space.allowed) == [
        (0, 1),
        (0, 1),
        (0,),
        *strategy.space.allowed[3:],
    ]
    assert (strategy.space.allowed[5], len(competing(strategy)[0])) == ((0,), 2)


def test_a_budget_may_be_on_any_known_cost() -> None:
    space = BranchSpace(operations=6)
    strategy = nse(space, budget="latency_ms", target=6.0, drift=0.1, operations_per_place=6)
    known_costs = {"latency_ms": lambda architecture: float(sum(architecture))}
    strategy.begin(SearchFacts(known_costs=known_costs))
    strategy.train(Indifferent(), 4)
    assert {sum(architecture) for architecture in strategy.ask()} == {6}


def test_a_budget_on_parameters_needs_no_objective() -> None:
    space = BranchSpace(operations=6)
    strategy = nse(space, budget="parameters", target=500.0, drift=0.5)
    costs = [space.graph(architecture).parameters() for architecture in strategy.ask()]
    assert sum(250 <= cost <= 750 for cost in costs) >= len(costs) - 1


def test_a_budget_on_what_is_not_known_is_refused_by_name() -> None:
    strategy = nse(budget="latency_ms", target=2.0)
    strategy.begin(SearchFacts(known_costs={"macs": lambda architecture: 1.0}))
    with pytest.raises(ConfigError, match=r"'latency_ms'.*known costs are macs"):
        strategy.ask()


@pytest.mark.parametrize("budget", ["macs", "parameters"])
def test_a_target_alone_is_a_complete_budget(budget: str) -> None:
    """The released MAC configurations lack the drift, and fail for want of it."""
    strategy, trainer = nse(budget=budget, target=5000.0), CurveTrainer()
    play(strategy, trainer, 2)
    assert strategy.population


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("population_size", 0),
        ("operations_per_place", 2.5),
        ("generations_per_round", 0),
        ("a_step_interval", "2"),
        ("indicator_rate", -0.1),
        ("cleaning_threshold", 0.0),
        ("cleaning_threshold", float("-inf")),
        ("cleaning_threshold", "low"),
        ("target", 0),
        ("target", float("inf")),
        ("target", "300M"),
        ("drift", 1.5),
        ("penalty", -1),
        ("penalty_power", 0.5),
    ],
)
def test_a_setting_out_of_range_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{setting} is {value!r}"):
        nse(**{setting: value})


@pytest.mark.parametrize(
    "damage",
    [
        None,
        [],
        {"generation": -1},
        {"indicators": [0.0]},
        {"indicators": [float("nan")] * 18},
        {"moments": [-1.0] * 18},
        {"updates": 0.5},
        {"sub_space": None},
        {"sub_space": {"competing": [[0], [1], [2]], "pending": [[], [], []], "survivors": [[], [], []]}},
        {"sub_space": {"competing": [[], [], []], "pending": [[], [], []], "survivors": [[], [], []]}},
        {"needs_reset": "perhaps"},
    ],
    ids=str,
)
def test_a_damaged_memory_is_refused(damage: Any) -> None:
    strategy, trainer = nse(), CurveTrainer()
    play(strategy, trainer, 2)
    own = {**remembered(strategy), **damage} if isinstance(damage, dict) else damage
    with pytest.raises(CheckpointError, match="nse"):
        nse().restore({**strategy.state(), "nse": own})


def test_a_restored_search_is_in_the_same_place_of_the_same_round() -> None:
    strategy, trainer = nse(generations_per_round=2), CurveTrainer()
    play(strategy, trainer, 4)
    strategy.train(trainer, 9)
    twin = nse(generations_per_round=2, seed=5)
    twin.restore(json.loads(json.dumps(strategy.state())))
    assert twin.space.allowed == strategy.space.allowed
    assert twin.ask() == strategy.ask()
