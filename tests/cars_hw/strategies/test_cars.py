"""CARS on learning curves: what is trained, what is asked, and who survives."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError, SelectionError
from cars_hw.evolution import nsga3, size_protection
from cars_hw.networks.architecture import Architecture
from cars_hw.strategies._strategy import Draw, SearchFacts
from cars_hw.strategies.cars import Cars
from cars_hw.testing._tabular import CurveTrainer, TinySpace, evaluate, play
from devices.foundation.errors import ConfigError


def cars(space: TinySpace | None = None, **settings: Any) -> Cars:
    return Cars(space or TinySpace(), np.random.default_rng(0), **({"population_size": 12} | settings))


def test_the_first_round_keeps_all_that_it_asked_for() -> None:
    strategy, trainer = cars(), CurveTrainer()
    play(strategy, trainer)
    assert len(strategy.population) == 12
    assert all(member.previous_error is None for member in strategy.population)


def test_later_rounds_ask_for_the_members_again_and_as_many_offspring() -> None:
    strategy, trainer = cars(), CurveTrainer()
    play(strategy, trainer)
    members = [member.architecture for member in strategy.population]
    asked = strategy.ask()
    assert list(asked[:12]) == members
    assert len(asked) == len(set(asked)) == 24


def foreign_groups(settings: dict[str, Any], *, is_screened: bool) -> list[int]:
    """Return how many groups each of 400 offspring has from none of 12 members."""
    space = TinySpace((9,) * 12, tuple((i, i + 6) for i in range(6)))
    strategy, drawn = cars(space, **settings), list[Architecture]()

    def screen(draw: Draw, n: int) -> list[Architecture]:
        drawn.extend(draw(400))
        return drawn[:n]

    strategy.begin(SearchFacts(screen=screen if is_screened else None))
    rng = np.random.default_rng(1)
    members = [space.sample(rng) for _ in range(12)]
    strategy.tell([Candidate(member, (float(i), float(-i))) for i, member in enumerate(members)])
    for _ in range(0 if is_screened else 40):
        drawn.extend(strategy.ask()[12:])
    if is_screened:
        strategy.ask()
    known = [{tuple(member[i] for i in group) for member in members} for group in space.groups]
    return [
        sum(tuple(child[i] for i in group) not in had for group, had in zip(space.groups, known, strict=True))
        for child in drawn
    ]


_PAPER = {"crossover_share": 0.25, "mutated_groups": "half"}


def test_offspring_that_are_all_evaluated_differ_from_members_in_one_group_at_most() -> None:
    foreign = foreign_groups({}, is_screened=False)
    assert len(foreign) == 480
    assert max(foreign) == 1
    assert foreign.count(1) / 480 == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize(
    ("settings", "is_screened"),
    [(_PAPER, False), ({}, True), (_PAPER | {"pool": "own"}, True)],
    ids=["the paper's shares", "a pool by default", "a pool of a run stored before"],
)
def test_by_the_papers_shares_half_of_the_offspring_are_random(
    settings: dict[str, Any], is_screened: bool
) -> None:
    foreign = foreign_groups(settings, is_screened=is_screened)
    assert len(foreign) >= 400
    # A random group is a member's with probability 12 / 81: 0.78 of random ones have five or six of nobody,
    # and 0.05 of the mutants, half of whose groups are random.
    assert sum(n >= 5 for n in foreign) / len(foreign) == pytest.approx(0.5 * 0.78 + 0.25 * 0.05, abs=0.08)


def test_a_pool_by_own_shares_is_as_near_to_the_members_as_what_is_evaluated() -> None:
    assert max(foreign_groups({"pool": "own"}, is_screened=True)) == 1


@pytest.mark.parametrize(("ratio", "n_offspring"), [(0.0, 0), (0.5, 6), (2.0, 24)])
def test_an_offspring_ratio_other_than_one_works(ratio: float, n_offspring: int) -> None:
    """The released code of CARS ignores the ratio in one place, and crashes."""
    strategy, trainer = cars(offspring_ratio=ratio), CurveTrainer()
    play(strategy, trainer, 2)
    assert len(strategy.ask()) == 12 + n_offspring
    assert len(strategy.population) == 12


def test_a_selection_keeps_the_population_size_with_the_costs_of_today() -> None:
    strategy, trainer = cars(), CurveTrainer()
    play(strategy, trainer, 3)
    assert len(strategy.population) == 12
    for member in strategy.population:
        assert member.costs[0] == 1.0 - trainer.accuracy(member.architecture)
        assert member.previous_error == 1.0 - trainer.accuracy(member.architecture, "previous")


def test_warm_up_and_training_honour_members_per_step() -> None:
    """The released code of CARS warms up on one path whatever the number is."""
    strategy, trainer = cars(members_per_step=3, trained="members"), CurveTrainer()
    play(strategy, trainer, 1, steps=40)
    warm_up = list(trainer.stepped)
    play(strategy, trainer, 1, steps=40)
    trained = trainer.stepped[40:]

    assert all(len(set(paths)) == 3 for paths in trainer.stepped)
    assert len({path for paths in warm_up for path in paths}) > 50  # of 144, in 120 draws
    assert len({path for paths in trained for path in paths}) == 12


def test_each_member_is_as_likely_to_be_trained_where_members_are() -> None:
    strategy, trainer = cars(trained="members"), CurveTrainer()
    play(strategy, trainer)
    drawn = [strategy.to_train()[0] for _ in range(6000)]
    shares = [drawn.count(member.architecture) / 6000 for member in strategy.population]
    assert shares == pytest.approx([1 / 12] * 12, abs=0.015)


def test_by_default_the_whole_space_goes_on_being_trained() -> None:
    strategy, trainer = cars(members_per_step=3), CurveTrainer()
    play(strategy, trainer, 1, steps=40)
    play(strategy, trainer, 1, steps=40)
    assert len({path for paths in trainer.stepped[40:] for path in paths}) > 50


def test_before_there_are_members_random_paths_are_trained() -> None:
    assert len(set(cars(members_per_step=4, trained="members").to_train())) == 4


def test_more_members_per_step_than_there_are_trains_them_all() -> None:
    strategy, trainer = cars(TinySpace((2, 2), ((0,), (1,))), members_per_step=8), CurveTrainer()
    play(strategy, trainer, 2)
    assert sorted(strategy.to_train()) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("choices", [(1,), (2, 2), (3, 4)])
def test_a_space_smaller_than_the_population_is_kept_whole(choices: tuple[int, ...]) -> None:
    """The released code of CARS draws offspring for ever."""
    groups = tuple((decision,) for decision in range(len(choices)))
    strategy, trainer = cars(TinySpace(choices, groups)), CurveTrainer()
    play(strategy, trainer, 4)
    assert len(strategy.population) == strategy.space.size()
    assert len(strategy.ask()) == strategy.space.size()


def test_a_population_of_one_evolves() -> None:
    strategy, trainer = cars(population_size=1), CurveTrainer()
    play(strategy, trainer, 5, generations=4)
    assert len(strategy.population) == 1
    assert len(strategy.ask()) == 2


def test_a_large_network_that_learns_fast_outlives_a_dominated_one() -> None:
    small, middle, large = (0, 0, 0, 0), (1, 0, 0, 0), (2, 0, 0, 0)
    strategy = cars(population_size=2)
    strategy.tell(
        [
            Candidate(small, (0.1448, 1.0, 1.0), 0.1547),
            Candidate(middle, (0.1543, 2.0, 2.0), 0.1641),
            Candidate(large, (0.6262, 3.0, 3.0), 0.6457),
        ]
    )
    assert [member.architecture for member in strategy.population] == [small, large]


def test_constraints_come_before_costs() -> None:
    strategy = cars(population_size=2, violation=lambda costs: max(0.0, costs[1] - 2.0))
    rows = [
        ((0, 0, 0, 0), 0.1, 9.0),
        ((1, 0, 0, 0), 0.9, 2.0),
        ((2, 0, 0, 0), 0.2, 3.0),
        ((3, 0, 0, 0), 0.3, 4.0),
    ]
    strategy.tell([Candidate(architecture, (error, cost), error) for architecture, error, cost in rows])
    assert [member.architecture for member in strategy.population] == [(1, 0, 0, 0), (2, 0, 0, 0)]
    assert [member.architecture for member in strategy.front()] == [(1, 0, 0, 0)]


def test_one_architecture_told_twice_is_one_member() -> None:
    strategy = cars()
    strategy.tell([Candidate((0, 0, 0, 0), (cost, 1.0)) for cost in (0.5, 0.4)])
    assert strategy.population == (Candidate((0, 0, 0, 0), (0.4, 1.0)),)


def test_a_choice_without_the_previous_errors_is_refused() -> None:
    strategy, trainer = cars(), CurveTrainer()
    play(strategy, trainer)
    evaluated = [Candidate(found.architecture, found.costs) for found in evaluate(strategy, trainer)]
    with pytest.raises(SelectionError, match="previous error"):
        strategy.tell(evaluated)


@pytest.mark.parametrize(
    "settings",
    [
        {"population_size": 0},
        {"members_per_step": 0},
        {"members_per_step": 13},
        {"offspring_ratio": -1.0},
        {"offspring_ratio": float("nan")},
        {"mutation_share": -0.1},
        {"mutation_share": 0.6, "crossover_share": 0.6},
        {"population_size": 2.5},
        {"population_size": True},
        {"population_size": "12"},
        {"members_per_step": 1.5},
        {"offspring_ratio": "1"},
        {"crossover_share": False},
        {"mutation_share": [0.1]},
        {"mutated_groups": "two"},
        {"pool": "none"},
    ],
    ids=str,
)
def test_settings_out_of_range_or_of_another_type_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^cars: {next(iter(settings))} "):
        cars(**settings)


def test_the_released_selection_needs_no_previous_error() -> None:
    strategy, trainer = cars(selection="size_protection"), CurveTrainer()
    play(strategy, trainer, 4)
    assert len(strategy.population) == 12
    assert trainer.ledger.previous_evaluations == 0
    assert all(member.previous_error is None for member in strategy.population)


def test_the_released_selection_keeps_what_its_function_chooses() -> None:
    strategy, trainer = cars(selection="size_protection"), CurveTrainer()
    play(strategy, trainer)
    evaluated = evaluate(strategy, trainer)
    rng = np.random.default_rng(0)
    rng.bit_generator.state = strategy.rng.bit_generator.state
    survivors = size_protection.select([member.costs for member in evaluated], 12, rng=rng)
    strategy.tell(evaluated)
    assert strategy.population == tuple(evaluated[i] for i in survivors)


def test_a_run_with_the_released_selection_is_restored_with_its_draws(tmp_path: Path) -> None:
    strategy, trainer = cars(selection="size_protection"), CurveTrainer()
    play(strategy, trainer, 2, folder=tmp_path)
    twin, twin_trainer = cars(selection="size_protection"), CurveTrainer()
    play(twin, twin_trainer, 0, folder=tmp_path)
    play(strategy, trainer, 2)
    play(twin, twin_trainer, 2)
    assert twin.state() == strategy.state()


def test_an_unknown_selection_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        ConfigError, match="selection is 'nsga2'; it should be 'pnsga3', 'size_protection' or 'nsga3'"
    ):
        cars(selection="nsga2")


@pytest.mark.parametrize("fair", [{"warm_up_paths": "fair"}, {"trained": "fair"}], ids=str)
def test_each_fair_step_trains_every_option_of_every_decision(fair: dict[str, Any]) -> None:
    strategy, trainer = cars(**fair), CurveTrainer()
    play(strategy, trainer, 2, steps=20)
    stepped = trainer.stepped[:20] if "warm_up_paths" in fair else trainer.stepped[20:]
    assert len(stepped) == 20
    for paths in stepped:
        assert [set(column) for column in zip(*paths, strict=True)] == [set(range(n)) for n in (4, 3, 4, 3)]
    others = trainer.stepped[20:] if "warm_up_paths" in fair else trainer.stepped[:20]
    assert {len(paths) for paths in others} == {1}


def test_generations_that_train_random_paths_train_more_than_the_members() -> None:
    strategy, trainer = cars(trained="random", members_per_step=2), CurveTrainer()
    play(strategy, trainer, 2, steps=40)
    assert {len(paths) for paths in trainer.stepped} == {2}
    assert len({path for paths in trainer.stepped[40:] for path in paths}) > 12


def test_selection_without_speeds_keeps_what_nsga3_chooses_and_needs_no_previous_error() -> None:
    strategy, trainer = cars(selection="nsga3"), CurveTrainer()
    play(strategy, trainer)
    evaluated = evaluate(strategy, trainer)
    strategy.tell(evaluated)
    survivors = nsga3.select([member.costs for member in evaluated], 12)
    assert strategy.population == tuple(evaluated[i] for i in survivors)
    assert trainer.ledger.previous_evaluations == 0


def noisy(rng: np.random.Generator, space: TinySpace, n: int = 40) -> list[Candidate]:
    """Return candidates whose true errors fall with their second cost, as measured with noise."""
    architectures = [(a, b, c, d) for a in range(4) for b in range(3) for c in range(4) for d in range(3)]
    chosen = [architectures[i] for i in rng.permutation(len(architectures))[:n]]
    return [
        Candidate(one, (0.5 - 0.03 * sum(one) + 0.03 * float(rng.standard_normal()), float(sum(one))))
        for one in chosen
    ]


def test_modelled_errors_are_nearer_to_the_truth_and_members_keep_the_measured_ones() -> None:
    space = TinySpace()
    candidates = noisy(np.random.default_rng(0), space)
    true = np.array([0.5 - 0.03 * sum(one.architecture) for one in candidates])
    strategy = cars(errors="modelled", population_size=40)
    modelled = strategy.estimated(candidates, {})
    strategy.tell(modelled)
    costs, _ = strategy.ranking(modelled)
    measured = np.array([one.costs[0] for one in candidates])
    assert np.abs(costs[:, 0] - true).mean() < 0.6 * np.abs(measured - true).mean()
    assert strategy.population == tuple(modelled)
    assert {one.costs for one in strategy.front()} <= {one.costs for one in candidates}


def test_modelled_errors_are_restored_to_the_bit_and_others_are_refused() -> None:
    candidates = noisy(np.random.default_rng(1), TinySpace())
    strategy, twin = cars(errors="modelled", selection="nsga3"), cars(errors="modelled", selection="nsga3")
    strategy.tell(strategy.estimated(candidates, {}))
    twin.restore(strategy.state())
    assert twin.front() == strategy.front()
    assert twin.state() == strategy.state()
    with pytest.raises(CheckpointError, match="2 modelled errors cannot be restored for 12 members"):
        twin.restore({**strategy.state(), "modelled": [0.1, 0.2]})
    with pytest.raises(CheckpointError, match="modelled errors cannot be restored"):
        twin.restore({**strategy.state(), "modelled": "none"})


def test_modelled_errors_of_earlier_versions_are_those_of_the_members() -> None:
    strategy, twin = cars(errors="modelled", selection="nsga3"), cars(errors="modelled", selection="nsga3")
    strategy.tell(strategy.estimated(noisy(np.random.default_rng(1), TinySpace()), {}))
    estimates = [one.estimate for one in strategy.population]
    without = tuple(replace(one, estimate=None) for one in strategy.population)
    twin.population = without
    twin.restore({**twin.state(), "modelled": [estimate for estimate in estimates if estimate is not None]})
    assert [one.estimate for one in twin.population] == estimates


def test_where_losses_are_told_what_survives_goes_by_losses_and_sizes() -> None:
    space, rng = TinySpace(), np.random.default_rng(2)
    candidates = noisy(rng, space)
    losses = {one.architecture: float(rng.uniform()) for one in candidates}
    strategy = cars(population_size=40)
    told = strategy.estimated(candidates, losses)
    sizes = [space.live_parameters(one.architecture) for one in candidates]
    random = np.random.default_rng(0)
    usual = [space.live_parameters(space.sample(random)) for _ in range(200)]
    larger = [np.mean([(own < other) + 0.5 * (own == other) for other in usual]) for own in sizes]
    expected = 0.2 * (rankdata(list(losses.values())) - 1) / 39 + 0.8 * np.array(larger)
    assert [one.estimate for one in told] == pytest.approx(expected.tolist())
    assert [one.costs for one in told] == [one.costs for one in candidates]
    strategy.tell(told)
    errors, *_ = strategy.ranking(strategy.population)[0].T
    assert errors.tolist() == [one.estimate for one in told]


@pytest.mark.parametrize("told", [0, 39])
def test_where_a_loss_is_not_told_measured_errors_decide(told: int) -> None:
    candidates = noisy(np.random.default_rng(2), TinySpace())
    losses = {one.architecture: 1.0 for one in candidates[:told]}
    assert cars().estimated(candidates, losses) == candidates
    everyone = {one.architecture: 1.0 for one in candidates}
    assert cars(errors="measured").estimated(candidates, everyone) == candidates
