"""EvNAS on learning curves: chromosomes, elites, tournaments, and the defects of its released code."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError, SelectionError
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces.darts import Darts
from cars_hw.strategies._strategy import SearchFacts
from cars_hw.strategies.evnas import Chromosome, Evnas, decode
from cars_hw.testing._tabular import CurveTrainer, TinySpace, evaluate, play
from devices.foundation.errors import ConfigError

WIDE = TinySpace((9,) * 8, tuple((d,) for d in range(8)))


def evnas(space: TinySpace = WIDE, seed: int = 0, **settings: Any) -> Evnas:
    return Evnas(space, np.random.default_rng(seed), **({"population_size": 12} | settings))


def chromosomes(strategy: Evnas) -> tuple[Chromosome, ...]:
    rows: Any = strategy.state()["chromosomes"]
    return tuple(tuple(tuple(row) for row in chromosome) for chromosome in rows)


def told(strategy: Evnas, errors: dict[Architecture, float]) -> None:
    strategy.tell([Candidate(architecture, (error, 1.0)) for architecture, error in errors.items()])


def by_order(strategy: Evnas) -> dict[Architecture, float]:
    """Return errors that rise in the order of what is asked."""
    return {architecture: 0.01 * i for i, architecture in enumerate(strategy.ask())}


def test_scores_are_uniform_in_the_score_rows_of_the_space() -> None:
    strategy = Evnas(Darts(), np.random.default_rng(1))
    found = chromosomes(strategy)
    assert len(found) == 50
    assert all(tuple(map(len, chromosome)) == (8,) * 28 for chromosome in found)
    scores = np.array(found).ravel()
    assert 0 <= scores.min() < 0.001
    assert 0.999 < scores.max() < 1
    assert scores.mean() == pytest.approx(0.5, abs=0.01)
    assert strategy.ask() == [decode(strategy.space, chromosome) for chromosome in found]


def test_it_trains_and_judges_on_soft_paths_or_on_decoded_networks_alone() -> None:
    for paths, is_soft in (("soft", True), ("hard", False)):
        trainer = CurveTrainer()
        play(evnas(paths=paths), trainer)
        assert [soft_path for _, soft_path in trainer.activated] == [is_soft] * len(trainer.activated)


def test_members_are_trained_round_robin_and_each_generation_anew_from_the_first() -> None:
    strategy, trainer = evnas(), CurveTrainer()
    for round_ in range(3):
        asked = list(strategy.ask())
        play(strategy, trainer, steps=30)
        steps = [architecture for (architecture,) in trainer.stepped[30 * round_ :]]
        assert steps == [asked[i % 12] for i in range(30)]


def test_the_whole_population_is_evaluated_in_each_generation() -> None:
    strategy, trainer = evnas(), CurveTrainer()
    for generation in range(1, 4):
        play(strategy, trainer)
        assert trainer.ledger.evaluations == 12 * generation


def test_the_classic_elite_is_the_single_best_and_survives_as_it_is() -> None:
    """The released code keeps the elite by reference, so that a mutation could change it."""
    strategy = evnas(selection="classic", mutation_rate=1.0)
    before = chromosomes(strategy)
    errors = by_order(strategy)
    best = list(errors)[7]
    told(strategy, errors | {best: -1.0})
    after = chromosomes(strategy)
    assert after[0] == before[7]
    assert strategy.ask()[0] == best
    assert set(after[1:]).isdisjoint(before)
    told(strategy, dict.fromkeys(strategy.ask(), 0.5) | {best: 0.1})
    assert chromosomes(strategy)[0] == before[7]


def test_children_take_half_of_their_rows_from_either_parent() -> None:
    strategy = evnas(population_size=200, mutation_rate=0.0, selection="classic", tournament_size=1)
    rows_of = [set(chromosome) for chromosome in chromosomes(strategy)]
    told(strategy, by_order(strategy))
    shares = []
    for child in chromosomes(strategy)[1:]:
        parents = [sum(row in rows for row in child) for rows in rows_of]
        given = sorted((n for n in parents if n), reverse=True)
        assert sum(given) == 8
        assert len(given) <= 2
        shares.append(given[0] if len(given) == 1 else max(given))
    counts = Counter(shares)
    assert counts[8] <= 10  # 2 of 256 children take all rows from one parent
    assert counts[4] + counts[5] > 100  # 182 of 256 take four or five from one of them


def test_a_tenth_of_the_rows_is_drawn_anew() -> None:
    strategy = evnas(population_size=200, selection="classic")
    rows = {row for chromosome in chromosomes(strategy) for row in chromosome}
    told(strategy, by_order(strategy))
    fresh = [row not in rows for chromosome in chromosomes(strategy)[1:] for row in chromosome]
    assert np.mean(fresh) == pytest.approx(0.1, abs=0.02)


def test_both_parents_are_different() -> None:
    """In the released code, both tournaments may return the same parent."""
    strategy = evnas(
        population_size=6, crossover_rate=0.5, mutation_rate=0.0, tournament_size=6, selection="classic"
    )
    first, second, *_ = chromosomes(strategy)
    told(strategy, by_order(strategy))
    # With tournaments of everybody, the parents are always the best and the second best.
    for child in chromosomes(strategy)[1:]:
        assert {*child} <= {*first, *second}
        assert child not in (first, second)


def test_a_tournament_prefers_the_better() -> None:
    strategy = evnas(population_size=100, mutation_rate=0.0, crossover_rate=0.0, selection="classic")
    ranks = {chromosome: rank for rank, chromosome in enumerate(chromosomes(strategy))}
    wins = [strategy._winner(range(100), list(ranks.values())) for _ in range(500)]
    # The best of ten of a hundred, drawn without replacement, has rank (100 - 10) / (10 + 1) on average.
    assert np.mean(wins) == pytest.approx(90 / 11, abs=1.2)
    assert max(wins) <= 90


@pytest.mark.parametrize(("selection", "is_elite"), [("classic", False), ("nsga3", True)])
def test_the_classic_form_goes_by_the_error_alone(selection: str, is_elite: bool) -> None:
    strategy = evnas(selection=selection, mutation_rate=1.0)
    first, second, *others = strategy.ask()
    before = chromosomes(strategy)
    costs = {first: (0.1, 9.0), second: (0.2, 1.0)} | dict.fromkeys(others, (0.5, 9.5))
    strategy.tell([Candidate(architecture, cost) for architecture, cost in costs.items()])
    after = chromosomes(strategy)
    assert before[0] in after
    assert (before[1] in after) == is_elite


def test_the_multi_objective_form_keeps_a_slow_and_a_fast_elite() -> None:
    strategy = evnas()
    asked = strategy.ask()
    front = asked[3], asked[5], asked[8]
    costs = dict(zip(front, ((0.1, 9.0), (0.2, 4.0), (0.4, 1.0)), strict=True))
    told_costs = dict.fromkeys(asked, (0.6, 9.5)) | costs
    strategy.tell([Candidate(architecture, cost) for architecture, cost in told_costs.items()])
    assert set(front) <= set(strategy.ask()[:6])
    assert {member.architecture for member in strategy.front()} == set(front)


@pytest.mark.parametrize("selection", ["classic", "nsga3"])
def test_limits_come_before_errors(selection: str) -> None:
    strategy = evnas(selection=selection, violation=lambda costs: max(0.0, costs[1] - 5.0), mutation_rate=1.0)
    asked = strategy.ask()
    costs = dict.fromkeys(asked, (0.1, 9.0)) | {asked[4]: (0.9, 4.0)}
    strategy.tell([Candidate(architecture, cost) for architecture, cost in costs.items()])
    assert asked[4] in strategy.ask()
    assert [member.architecture for member in strategy.front()] == [asked[4]]


@pytest.mark.parametrize("selection", ["classic", "nsga3"])
def test_generations_lower_the_error(selection: str) -> None:
    strategy, trainer = evnas(population_size=20, selection=selection), CurveTrainer()
    play(strategy, trainer, steps=400, generations=12)
    first = min(member.costs[0] for member in strategy.population)
    play(strategy, trainer, 12, steps=400)
    assert min(member.costs[0] for member in strategy.population) < first - 0.15


def test_no_two_members_decode_to_the_same_network() -> None:
    strategy, trainer = evnas(TinySpace((2, 3), ((0,), (1,))), population_size=10), CurveTrainer()
    for _ in range(4):
        asked = strategy.ask()
        assert 1 <= len(asked) == len(set(asked)) <= 6
        play(strategy, trainer)


def test_new_members_come_through_the_screen() -> None:
    strategy = evnas(selection="classic")
    wanted: list[int] = []

    def screen(draw: Any, n: int) -> list[Architecture]:
        wanted.append(n)
        drawn: list[Architecture] = draw(5 * n)
        assert len(drawn) == len(set(drawn)) == 5 * n
        return sorted(drawn)[:n]

    strategy.begin(SearchFacts(screen=screen))
    told(strategy, by_order(strategy))
    assert wanted == [11]
    best, *new = strategy.ask()
    assert new == sorted(new)
    assert [decode(WIDE, chromosome) for chromosome in chromosomes(strategy)] == [best, *new]


def test_what_was_not_asked_for_is_refused() -> None:
    strategy, trainer = evnas(TinySpace()), CurveTrainer()
    evaluated = evaluate(strategy, trainer)
    missing = next(
        architecture
        for architecture in itertools.product(*strategy.space.allowed)
        if architecture not in strategy.ask()
    )
    with pytest.raises(SelectionError, match="not in the population"):
        strategy.tell([*evaluated, Candidate(missing, evaluated[0].costs)])


@pytest.mark.parametrize(
    "damage",
    [
        {"chromosomes": None},
        {"chromosomes": []},
        {"chromosomes": [[[0.5]]]},
        {"chromosomes": [[["x"] * 9] * 8]},
        {"turn": "first"},
        {"turn": None},
    ],
    ids=str,
)
def test_a_damaged_state_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="strategy's state cannot be restored"):
        evnas().restore(evnas().state() | damage)


@pytest.mark.parametrize(
    "settings",
    [
        {"population_size": 0},
        {"tournament_size": 0},
        {"tournament_size": 2.5},
        {"crossover_rate": 1.1},
        {"mutation_rate": float("nan")},
        {"selection": "best"},
        {"selection": 3},
    ],
    ids=str,
)
def test_settings_out_of_range_or_of_another_type_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^evnas: {next(iter(settings))} "):
        evnas(**settings)
