"""Size protection: the merge order on fronts made by hand, and its stages against their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw.errors import SelectionError
from cars_hw.evolution import size_protection
from cars_hw.evolution.domination import Costs, fronts

#: Error and size. By (error, size): {0, 1, 2}, {3, 4}, {5}. By (error, -size): {0, 3}, {1, 4, 5}, {2}.
HAND_MADE = np.array(
    [
        [0.10, 9.0],  # 0: the most accurate, and large
        [0.20, 4.0],  # 1
        [0.40, 1.0],  # 2: the smallest
        [0.15, 9.5],  # 3: accurate, and the largest: worse than 0 in both costs
        [0.30, 5.0],  # 4
        [0.50, 6.0],  # 5
    ]
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def chosen(costs: Costs, n: int, seed: int = 0) -> list[int]:
    return [int(i) for i in size_protection.select(costs, n, rng=rng(seed))]


def test_the_fronts_made_by_hand_are_those_in_the_comments() -> None:
    assert [front.tolist() for front in fronts(HAND_MADE)] == [[0, 1, 2], [3, 4], [5]]
    assert [front.tolist() for front in fronts(HAND_MADE * [1, -1])] == [[0, 3], [1, 4, 5], [2]]


def test_the_first_stage_is_the_first_front_and_the_accurate_and_large() -> None:
    """NSGA-II and III would take 0, 1, 2 and then one of 3 and 4."""
    assert chosen(HAND_MADE, 4) == [0, 1, 2, 3]


def test_the_stage_that_overflows_is_cut_at_random_among_those_not_taken_yet() -> None:
    """Stage 2 is {3, 4} and {1, 4, 5}; of it, 4 and 5 are new, and one place is left."""
    drawn = {tuple(chosen(HAND_MADE, 5, seed)) for seed in range(40)}
    assert drawn == {(0, 1, 2, 3, 4), (0, 1, 2, 3, 5)}


def test_a_stage_fits_by_its_new_members_alone() -> None:
    """The released code counts members taken before, here 4 + 4 > 6, and then draws two of two."""
    assert chosen(HAND_MADE, 6) == [0, 1, 2, 3, 4, 5]


def test_the_first_stage_is_cut_too() -> None:
    drawn = {tuple(chosen(HAND_MADE, 2, seed)) for seed in range(60)}
    assert {member for pair in drawn for member in pair} == {0, 1, 2, 3}


def test_every_cost_protects_its_own_large_end() -> None:
    """Network 0 is the slowest and not the largest: only latency among the costs protects it."""
    costs = np.array([[0.35, 5.0, 9.0], [0.10, 5.0, 1.0], [0.30, 5.0, 0.5], [0.32, 5.0, 1.0]])
    assert chosen(costs[:, :2], 3) == [1, 2, 3]
    assert chosen(costs, 3) == [0, 1, 2]


def test_a_cost_or_error_of_zero_is_ranked() -> None:
    """The released code divides by both."""
    assert chosen(np.array([[0.0, 0.0], [1.0, 3.0], [0.5, 5.0]]), 2) == [0, 2]


def test_the_error_alone_is_ranked_by() -> None:
    assert chosen(np.array([[0.3], [0.1], [0.2]]), 2) == [1, 2]


def test_the_feasible_come_first() -> None:
    survivors = size_protection.select(HAND_MADE, 2, rng=rng(), violations=[1, 0, 1, 1, 1, 0])
    assert survivors.tolist() == [1, 5]


def test_a_draw_follows_from_the_generator() -> None:
    assert chosen(HAND_MADE, 5, 3) == chosen(HAND_MADE, 5, 3)


@pytest.mark.parametrize("cost", [np.nan, np.inf])
def test_a_cost_that_is_no_number_is_refused(cost: float) -> None:
    with pytest.raises(SelectionError):
        chosen(np.array([[0.1, 1.0], [0.2, cost]]), 1)


@given(st.integers(0, 2**32), st.integers(1, 24), st.integers(2, 4), st.booleans(), st.data())
def test_survivors_are_whole_stages_and_a_part_of_the_next(
    seed: int, n: int, m: int, has_ties: bool, data: st.DataObject
) -> None:
    numbers = rng(seed)
    costs = numbers.integers(0, 4, (n, m)).astype(float) if has_ties else numbers.random((n, m))
    n_survivors = data.draw(st.integers(1, n))
    stacks = [
        [set(front.tolist()) for front in fronts(np.column_stack([costs[:, 0], sign * costs[:, k]]))]
        for k in range(1, m)
        for sign in (1, -1)
    ]
    survivors = set(chosen(costs, n_survivors, seed))

    assert len(survivors) == n_survivors
    taken: set[int] = set()
    for k in range(max(map(len, stacks))):
        stage = set().union(*(stack[k] for stack in stacks if k < len(stack))) - taken
        if len(taken) + len(stage) > n_survivors:
            assert taken <= survivors <= taken | stage
            return
        taken |= stage
    assert survivors == taken == set(range(n))


@given(st.integers(0, 2**32), st.integers(1, 24), st.integers(2, 4), st.booleans(), st.data())
def test_survivors_do_not_depend_on_units_shifts_or_the_order_of_the_other_costs(
    seed: int, n: int, m: int, has_ties: bool, data: st.DataObject
) -> None:
    """With one seed, the draw from the stage that overflows is the same too."""
    numbers = rng(seed)
    costs = numbers.integers(0, 4, (n, m)).astype(float) if has_ties else numbers.random((n, m))
    n_survivors = data.draw(st.integers(1, n))
    scales = 10.0 ** np.array(data.draw(st.lists(st.floats(-6, 6), min_size=m, max_size=m)))
    shifts = np.array(data.draw(st.lists(st.floats(-100, 100), min_size=m, max_size=m)))
    order = [0, *data.draw(st.permutations(range(1, m)))]

    otherwise = chosen(((costs + shifts) * scales)[:, order], n_survivors, seed)

    assert otherwise == chosen(costs, n_survivors, seed)
