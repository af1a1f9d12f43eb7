"""The greedy choice by hypervolume against computing every hypervolume anew."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cars_hw.errors import SelectionError
from cars_hw.evolution import domination, improvement
from cars_hw.evolution.indicators import hypervolume


def random_costs(seed: int, n: int, m: int) -> domination.Costs:
    costs = np.random.default_rng(seed).random((n, m))
    costs[:, 0] *= 0.5  # no error far above the others, which would be capped
    costs[0] = (0.0, *[0.95] * (m - 1))  # neither end of the front is left to chance
    costs[1] = (0.45, *[0.05] * (m - 1))
    return costs


def naive(archive: domination.Costs, candidates: domination.Costs, n: int) -> float:
    """Return the hypervolume of archive and a greedy choice, by computing each one anew."""
    front = archive[domination.fronts(archive)[0]]
    low, high = front.min(axis=0), front.max(axis=0)
    known = ((front - low) / (high - low)).tolist()
    hoped = ((candidates - low) / (high - low)).tolist()
    reference = [1.1] * archive.shape[1]
    for _ in range(n):
        best = max(range(len(hoped)), key=lambda i: hypervolume([*known, hoped[i]], reference))
        known.append(hoped.pop(best))
    return hypervolume(known, reference)


def chosen_volume(archive: domination.Costs, candidates: domination.Costs, n: int) -> float:
    front = archive[domination.fronts(archive)[0]]
    low, high = front.min(axis=0), front.max(axis=0)
    both = np.concatenate([front, candidates[improvement.choose(archive, candidates, n)]])
    return hypervolume((both - low) / (high - low), [1.1] * archive.shape[1])


@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_it_adds_as_much_as_the_naive_greedy_choice(seed: int, m: int) -> None:
    archive, candidates = random_costs(seed, 12, m), random_costs(seed + 100, 30, m)
    assert chosen_volume(archive, candidates, 6) == pytest.approx(naive(archive, candidates, 6), rel=1e-9)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    exponents=st.lists(st.integers(-6, 6), min_size=3, max_size=3),
    shifts=st.lists(st.integers(-3, 3), min_size=3, max_size=3),
)
def test_the_choice_depends_on_no_unit_and_no_shift(
    seed: int, exponents: list[int], shifts: list[int]
) -> None:
    archive, candidates = random_costs(seed, 10, 3), random_costs(seed + 1, 40, 3)
    unit = 2.0 ** np.array(exponents)  # exact in floating point, as is a shift by multiples of the unit
    known, hoped = (costs * unit + np.array(shifts) * unit for costs in (archive, candidates))
    assert set(improvement.choose(known, hoped, 8)) == set(improvement.choose(archive, candidates, 8))


def test_the_choice_does_not_depend_on_the_order_of_the_known_costs() -> None:
    archive, candidates = random_costs(3, 10, 3), random_costs(4, 40, 3)
    order = [0, 2, 1]
    swapped = improvement.choose(archive[:, order], candidates[:, order], 8)
    assert list(swapped) == list(improvement.choose(archive, candidates, 8))


def test_all_are_chosen_where_there_are_no_more() -> None:
    assert sorted(improvement.choose(random_costs(0, 5, 2), random_costs(1, 3, 2), 9)) == [0, 1, 2]


@pytest.mark.parametrize("cost", [math.nan, math.inf])
def test_costs_that_are_no_numbers_are_refused(cost: float) -> None:
    with pytest.raises(SelectionError):
        improvement.choose([[0.1, 0.2]], [[0.1, cost]], 1)
