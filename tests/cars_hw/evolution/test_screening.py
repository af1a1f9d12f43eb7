"""Screening: what it chooses, what it forgets, and that it resumes."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError, SelectionError
from cars_hw.evolution.error_model import ranks_of
from cars_hw.evolution.screening import Screen
from cars_hw.networks.architecture import Architecture

EVERYTHING: list[Architecture] = [(a, b, c) for a in range(5) for b in range(5) for c in range(5)]


def size(architecture: Architecture) -> float:
    return float(sum(architecture))


def error(architecture: Architecture) -> float:
    return 0.5 - 0.06 * architecture[0] - 0.01 * architecture[1] + 0.02 * architecture[2]


def evaluated(architectures: list[Architecture]) -> list[Candidate]:
    return [Candidate(found, (error(found), size(found))) for found in architectures]


def screen(**settings: bool | float) -> Screen:
    def within(costs: tuple[float, ...]) -> float:
        return 0.0

    return Screen([size], violation=within, **settings)  # type: ignore[arg-type]


def some(n: int, seed: int = 0) -> list[Architecture]:
    return [EVERYTHING[i] for i in np.random.default_rng(seed).permutation(len(EVERYTHING))[:n]]


def test_before_anything_was_learnt_it_takes_what_is_drawn_first() -> None:
    asked: list[int] = []

    def draw(n: int) -> list[Architecture]:
        asked.append(n)
        return EVERYTHING[:n]

    assert screen()(draw, 7) == EVERYTHING[:7]
    assert asked == [7]


def test_what_it_chooses_is_better_than_chance() -> None:
    chooser = screen()
    chooser.learn(evaluated(some(40)))
    chosen = chooser(lambda n: EVERYTHING[:n], 10)
    assert len(set(chosen)) == 10
    # How much worse each is than the best of no larger size; the ends of the front are few.
    excess = [error(f) - min(error(g) for g in EVERYTHING if size(g) <= size(f)) for f in chosen]
    usual = [error(f) - min(error(g) for g in EVERYTHING if size(g) <= size(f)) for f in EVERYTHING]
    assert np.mean(excess[:5]) < 0.1 * np.mean(usual)
    assert np.mean(excess) < np.mean(usual)


def test_where_errors_stand_still_nothing_is_chosen_twice() -> None:
    chooser = screen(remembers=True)
    known = some(60)
    chooser.learn(evaluated(known))
    assert not set(chooser(lambda n: EVERYTHING[:n], 20)) & set(known)


def test_where_errors_move_a_round_forgets_the_one_before() -> None:
    moved, fresh = screen(), screen()
    moved.learn([Candidate(found, (0.9 - error(found), size(found))) for found in some(40, seed=1)])
    for chooser in (moved, fresh):
        chooser.learn(evaluated(some(40)))
    assert moved(lambda n: EVERYTHING[:n], 10) == fresh(lambda n: EVERYTHING[:n], 10)


def test_a_unit_or_shift_of_a_known_cost_changes_nothing() -> None:
    def choose(scale: float, shift: float) -> set[Architecture]:
        chooser = Screen([lambda found: scale * size(found) + shift], violation=lambda _: 0.0)
        chooser.learn([Candidate(f, (error(f), scale * size(f) + shift)) for f in some(40)])
        return set(chooser(lambda n: EVERYTHING[:n], 10))

    assert choose(2.0**20, 0.0) == choose(2.0**-20, 0.0) == choose(1.0, 64.0) == choose(1.0, 0.0)


def test_what_violates_a_limit_comes_last() -> None:
    chooser = Screen([size], violation=lambda costs: max(0.0, costs[1] - 4.0))
    chooser.learn(evaluated(some(40)))
    n_within = sum(size(found) <= 4.0 for found in EVERYTHING)
    assert all(size(found) <= 4.0 for found in chooser(lambda n: EVERYTHING[:n], n_within - 5))
    more = chooser(lambda n: EVERYTHING[:n], n_within + 3)
    assert [size(found) for found in more if size(found) > 4.0] == [5.0] * 3


def test_by_limits_alone_what_is_drawn_first_is_taken_whatever_its_error() -> None:
    def within(costs: tuple[float, ...]) -> float:
        return max(0.0, costs[0] - 0.3) + max(0.0, costs[1] - 4.0)

    chooser = Screen([size], violation=within, optimism=None)
    chooser.learn([replace(one, costs=(1.0, one.costs[1])) for one in evaluated(some(40))])
    pool = some(100, seed=3)
    small = [found for found in pool if size(found) <= 4.0]
    assert chooser(lambda _: pool, len(small) - 3) == small[:-3]
    more = chooser(lambda _: pool, len(small) + 2)
    assert more == small + [found for found in pool if size(found) == 5.0][:2]


def test_estimates_stand_for_errors_and_limits_are_held_against_errors() -> None:
    def estimate(architecture: Architecture) -> float:
        return 1.0 - error(architecture)  # the other way round

    def chosen(limit: float) -> list[Architecture]:
        chooser = Screen([size], violation=lambda costs: max(0.0, costs[0] - limit))
        chooser.learn([replace(one, estimate=estimate(one.architecture)) for one in evaluated(some(60))])
        return chooser(lambda n: EVERYTHING[:n], 12)

    usual = np.mean([estimate(one) for one in EVERYTHING])
    assert np.mean([estimate(one) for one in chosen(9.0)]) < usual - 0.03
    within = float(np.median([error(one) for one in EVERYTHING]))
    assert np.mean([error(one) <= within for one in chosen(within)]) > 0.8
    assert np.mean([error(one) <= within for one in chosen(9.0)]) < 0.6


def test_a_restored_screen_chooses_what_the_saved_one_would() -> None:
    saved, restored = screen(remembers=True), screen(remembers=True)
    saved.learn(evaluated(some(40)))
    restored.restore(json.loads(json.dumps(saved.state(), allow_nan=False)))
    assert restored(lambda n: EVERYTHING[:n], 9) == saved(lambda n: EVERYTHING[:n], 9)


def test_the_known_costs_of_the_latest_pools_alone_are_remembered() -> None:
    asked: list[Architecture] = []

    def cost(architecture: Architecture) -> float:
        asked.append(architecture)
        return size(architecture)

    chooser = Screen([cost], violation=lambda _: 0.0, pool_size=20)
    chooser.learn(evaluated(some(30)))
    first: list[Architecture] = [(4, i, 0) for i in range(20)]
    pools = [first, first, *([(5 + i, j, 0) for j in range(20)] for i in range(8)), first]
    n_asked = []
    for pool in pools:
        asked.clear()
        chooser(lambda _, pool=pool: pool, 3)  # type: ignore[misc]
        n_asked.append(len(asked))
    assert n_asked == [20, 0, *[20] * 8, 20]


def test_equal_costs_have_the_average_of_their_ranks() -> None:
    costs = np.random.default_rng(0).integers(0, 9, (40, 3)).astype(np.float64)
    assert np.array_equal(ranks_of(costs), (rankdata(costs, axis=0) - 1.0) / 39.0)


@pytest.mark.parametrize("state", [None, 3, [{"architecture": [0]}], [[0, 1]]])
def test_a_damaged_state_is_refused(state: object) -> None:
    with pytest.raises(CheckpointError, match="cannot be restored"):
        screen().restore(state)  # type: ignore[arg-type]


def test_a_known_cost_that_is_no_number_is_refused() -> None:
    chooser = Screen([lambda _: math.nan], violation=lambda _: 0.0)
    chooser.learn(evaluated(some(10)))
    with pytest.raises(SelectionError):
        chooser(lambda n: EVERYTHING[:n], 3)
