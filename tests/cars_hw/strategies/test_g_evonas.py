"""After G-EvoNAS on learning curves: growth, pruning, and that every schedule ends fully grown."""

import itertools
from typing import Any

import numpy as np
import pytest

from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Parameters
from cars_hw.search import Schedule, Search
from cars_hw.strategies._strategy import SearchFacts
from cars_hw.strategies.g_evonas import GEvonas, absent, stages
from cars_hw.testing._tabular import CurveTrainer, TinySpace, evaluate, play
from devices.foundation.errors import ConfigError

#: Five groups, so four stages: the third has two groups.
SPACE = TinySpace((7,) * 6, ((0,), (1,), (2, 3), (4,), (5,)))


def g_evonas(
    space: TinySpace = SPACE, generations: int | None = 7, seed: int = 0, **settings: Any
) -> GEvonas:
    strategy = GEvonas(
        space, np.random.default_rng(seed), **({"population_size": 8, "elite_size": 3} | settings)
    )
    if generations is not None:
        strategy.begin(SearchFacts(generations))
    return strategy


def present(strategy: GEvonas) -> set[int]:
    """Return the decisions that are grown now."""
    return set(itertools.chain(*stages(SPACE)[: strategy._n_grown(strategy._round)]))


def n_stages(strategy: GEvonas, generations: int) -> list[int]:
    """Return how many stages are grown in each round of a search."""
    return [strategy._n_grown(round_) for round_ in range(generations + 1)]


def test_stages_are_those_of_the_space() -> None:
    assert stages(SPACE) == ((0,), (1,), (2, 3, 4), (5,))


@pytest.mark.parametrize(
    ("generations", "expected"),
    [
        (0, [4]),
        (1, [2, 4]),
        (2, [2, 3, 4]),
        (3, [1, 2, 3, 4]),
        (4, [1, 2, 3, 4, 4]),
        (7, [1, 1, 2, 2, 3, 3, 4, 4]),
    ],
)
def test_rounds_are_divided_evenly_and_the_last_one_is_fully_grown(
    generations: int, expected: list[int]
) -> None:
    assert n_stages(g_evonas(generations=generations), generations) == expected


@pytest.mark.parametrize("generations", [0, 1, 2, 3, 4, 6, 20])
def test_every_schedule_ends_with_a_front_of_fully_grown_networks(generations: int) -> None:
    trainer = CurveTrainer()
    strategy = g_evonas(generations=None)
    search = Search(trainer, strategy, [Error(trainer), Parameters(SPACE)], Schedule(20, 20, generations))
    last = list(search.run())[-1]
    assert last.index == generations
    assert last.front
    assert present(strategy) == set(range(6))
    assert strategy.space.allowed[5] == tuple(range(7))
    assert len({member.architecture[5] for member in last.population}) > 1  # the last stage was searched
    assert trainer.activated[-1][0] == strategy.space.allowed


def test_before_it_grows_a_decision_has_its_absent_option_alone() -> None:
    strategy, trainer = g_evonas(), CurveTrainer()
    seen = []
    for _ in range(8):
        now = present(strategy)
        seen.append(len(now))
        for architecture in strategy.ask():
            assert all(architecture[d] == absent(SPACE)[d] for d in range(6) if d not in now)
        play(strategy, trainer)
    assert seen == sorted(seen)
    assert len(set(seen)) == 4


def test_a_network_competes_with_none_of_another_stage() -> None:
    """What has not grown is cheaper; it would dominate everything that has."""
    strategy, trainer = g_evonas(), CurveTrainer()
    for _ in range(8):
        evaluated = evaluate(strategy, trainer)
        for found in evaluated:
            pairs = zip(found.architecture, strategy.space.allowed, strict=True)
            assert all(option in options for option, options in pairs)
        strategy.tell(evaluated)
        assert set(strategy.population) <= set(evaluated)


def tell_best_two(strategy: GEvonas) -> list[Architecture]:
    """Tell errors of what is asked, and return the two architectures that are best."""
    asked = list(strategy.ask())
    strategy.tell([Candidate(found, (0.1 if found in asked[:2] else 0.9, 1.0)) for found in asked])
    return asked[:2]


def test_the_space_is_pruned_to_what_the_elites_have() -> None:
    strategy = g_evonas(generations=3, elite_size=2)
    best = tell_best_two(strategy)
    assert set(strategy.space.allowed[0]) == {found[0] for found in best}
    for decision in stages(SPACE)[1]:
        assert strategy.space.allowed[decision] == SPACE.allowed[decision]
    for decision in (*stages(SPACE)[2], *stages(SPACE)[3]):
        assert strategy.space.allowed[decision] == (0,)
    assert {found[0] for found in strategy.ask()} <= {found[0] for found in best}


def test_without_pruning_what_was_grown_keeps_all_of_its_options() -> None:
    strategy = g_evonas(generations=3, elite_size=2, pruning=False)
    best = tell_best_two(strategy)
    grown = present(strategy)
    for decision, options in enumerate(strategy.space.allowed):
        assert options == (SPACE.allowed[decision] if decision in grown else (0,))
    assert {found[0] for found in strategy.ask()} <= {found[0] for found in best}, (
        "a stage starts from elites"
    )


def test_a_pruned_option_never_comes_back() -> None:
    strategy, trainer = g_evonas(generations=9), CurveTrainer()
    had = strategy.space.allowed
    pruned: set[tuple[int, int]] = set()
    for _ in range(10):
        play(strategy, trainer, steps=20)
        now = strategy.space.allowed
        assert not {(d, option) for d, options in enumerate(now) for option in options} & pruned
        pruned |= {
            (d, option)
            for d, options in enumerate(had)
            for option in options
            if option not in now[d] and len(options) > 1
        }
        had = now
    assert pruned


def test_a_stage_starts_from_elites_with_random_new_options() -> None:
    strategy = g_evonas(generations=2, elite_size=2, population_size=12)
    best = tell_best_two(strategy)
    started = strategy.ask()
    assert len(started) == len(set(started)) == 12
    newest = set(stages(SPACE)[2])
    for found in started:
        assert any(all(found[d] == elite[d] for d in range(6) if d not in newest) for elite in best)
    assert len({tuple(found[d] for d in newest) for found in started}) > 4


def test_a_stage_first_trains_random_networks_for_a_share_and_then_its_members_in_turn() -> None:
    strategy, trainer = g_evonas(generations=2, warm_up_share=0.25), CurveTrainer()
    play(strategy, trainer, steps=10)
    started = list(strategy.ask())
    trainer.stepped.clear()
    strategy.train(trainer, 40)
    steps = [architecture for (architecture,) in trainer.stepped]
    assert len(set(steps[:10]) - set(started)) > 2
    assert steps[10:] == [started[i % len(started)] for i in range(30)]


def test_later_rounds_of_a_stage_train_members_alone_and_ask_them_again_with_offspring() -> None:
    strategy, trainer = g_evonas(), CurveTrainer()
    play(strategy, trainer)
    members = [member.architecture for member in strategy.population]
    strategy.train(trainer, 16)
    assert [paths[0] for paths in trainer.stepped[-16:]] == [members[i % len(members)] for i in range(16)]
    asked = strategy.ask()
    assert list(asked[: len(members)]) == members
    assert len(asked) == len(set(asked))


def test_the_space_of_a_user_stays_restricted() -> None:
    space = SPACE.restrict([(1, 2), *SPACE.allowed[1:5], (3,)])
    strategy, trainer = GEvonas(space, np.random.default_rng(0), population_size=6), CurveTrainer()
    for _ in range(6):
        for found in strategy.ask():
            assert found[0] in (1, 2)
            assert found[5] == 3
        play(strategy, trainer, generations=5)


def test_new_members_come_through_the_screen() -> None:
    strategy, trainer = g_evonas(), CurveTrainer()
    asked: list[int] = []

    def screen(draw: Any, n: int) -> list[Architecture]:
        asked.append(n)
        drawn: list[Architecture] = draw(n)
        return drawn

    strategy.begin(SearchFacts(7, screen=screen))
    for _ in range(8):
        strategy.tell(evaluate(strategy, trainer))
    assert asked == [8] * 8  # the first draw, then offspring or, three times, the start of a stage


def test_a_restored_search_goes_on_in_its_space() -> None:
    for rounds in range(8):
        strategy, trainer = g_evonas(), CurveTrainer()
        play(strategy, trainer, rounds)
        twin = g_evonas(seed=5)
        twin.restore(strategy.state())
        assert twin.space.allowed == strategy.space.allowed
        assert twin.ask() == strategy.ask()
        assert twin.state() == strategy.state()


@pytest.mark.parametrize(
    "growth",
    [
        None,
        {},
        {"round": "x", "turn": 0, "allowed": [[0]] * 6, "newcomers": []},
        {"round": 0, "turn": 0, "allowed": [[0]], "newcomers": []},
        {"round": 0, "turn": 0, "allowed": [[9]] * 6, "newcomers": []},
        {"round": 0, "turn": 0, "allowed": [[0]] * 6, "newcomers": [[0, 0]]},
    ],
    ids=str,
)
def test_a_damaged_state_is_refused(growth: Any) -> None:
    with pytest.raises(CheckpointError, match="strategy's state cannot be restored"):
        g_evonas().restore(g_evonas().state() | {"growth": growth})


@pytest.mark.parametrize(
    "settings",
    [
        {"population_size": 0},
        {"elite_size": 1.5},
        {"warm_up_share": 1.1},
        {"crossover_share": -0.1},
        {"mutation_rate": "often"},
        {"old_mutation_rate": float("nan")},
    ],
    ids=str,
)
def test_settings_out_of_range_or_of_another_type_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^g_evonas: {next(iter(settings))} "):
        g_evonas(**settings)
