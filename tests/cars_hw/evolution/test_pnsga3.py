"""pNSGA-III: the small model trap, and its stages against their definition."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from cars_hw.errors import SelectionError
from cars_hw.evolution import nsga3, pnsga3
from cars_hw.evolution.domination import Costs, fronts

SMALL, MIDDLE, LARGE = range(3)
#: Final accuracy and time constant, by size.
TRAP = [(0.90, 5.0), (0.89, 5.0), (0.95, 30.0)]


def learning(curves: list[tuple[float, float]], t: float) -> tuple[Costs, NDArray[np.float64]]:
    """Return (error, parameters, latency) at time t, and the gain of accuracy over the last unit of time."""
    now, before = (
        np.array([final * (1.0 - math.exp(-time_ / constant)) for final, constant in curves])
        for time_ in (t, t - 1.0)
    )
    size = np.arange(1.0, len(curves) + 1.0)
    return np.column_stack([1.0 - now, 1e6 * size, 5.0 * size]), now - before


@pytest.mark.parametrize(
    ("t", "survivors"), [(10.0, [SMALL, MIDDLE]), (15.0, [SMALL, LARGE]), (60.0, [SMALL, LARGE])]
)
def test_the_large_network_survives_once_it_learns_fastest(t: float, survivors: list[int]) -> None:
    costs, speeds = learning(TRAP, t)
    assert pnsga3.select(costs, speeds, 2).tolist() == survivors


@pytest.mark.parametrize("t", [10.0, 15.0, 60.0])
def test_nsga3_alone_is_trapped_until_the_accuracies_cross(t: float) -> None:
    assert nsga3.select(learning(TRAP, t)[0], 2).tolist() == [SMALL, MIDDLE]
    assert nsga3.select(learning(TRAP, 90.0)[0], 2).tolist() == [SMALL, LARGE]


@pytest.mark.parametrize(("t", "survivors"), [(15.0, [SMALL, MIDDLE]), (25.0, [SMALL, LARGE])])
def test_a_size_in_between_delays_the_rescue(t: float, survivors: list[int]) -> None:
    """At t = 15 the large one learns faster than the small one already, but not than the one in between."""
    costs, speeds = learning([(0.90, 5.0), (0.92, 15.0), (0.95, 30.0)], t)
    assert speeds[LARGE] > speeds[SMALL]
    assert pnsga3.select(costs, speeds, 2).tolist() == survivors


@pytest.mark.parametrize(("t", "is_protected"), [(15.0, False), (29.0, False), (31.0, True)])
def test_among_all_sizes_a_network_is_protected_from_its_own_time_constant_on(
    t: float, is_protected: bool
) -> None:
    costs, speeds = learning([(0.90, float(constant)) for constant in range(5, 31)], t)
    fastest_for_their_size = fronts(np.column_stack([-speeds, costs[:, 1:]]))[0]
    assert (25 in fastest_for_their_size) is is_protected


@st.composite
def populations(draw: st.DrawFn) -> tuple[Costs, NDArray[np.float64]]:
    """Draw (n, m) costs and (n,) speeds, either in general position or with many ties."""
    n, m = draw(st.integers(1, 24)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    table = rng.random((n, m + 1)) if draw(st.booleans()) else rng.integers(-2, 3, (n, m + 1)).astype(float)
    return table[:, :m], table[:, m]


@given(populations(), st.data())
def test_survivors_are_whole_stages_and_a_part_of_the_next(
    population: tuple[Costs, NDArray[np.float64]], data: st.DataObject
) -> None:
    costs, speeds = population
    n_survivors = data.draw(st.integers(1, len(costs)))
    accurate = [set(front.tolist()) for front in fronts(costs)]
    fast = [set(front.tolist()) for front in fronts(np.column_stack([-speeds, costs[:, 1:]]))]

    survivors = set(pnsga3.select(costs, speeds, n_survivors).tolist())

    assert len(survivors) == n_survivors
    whole: set[int] = set()
    for k in range(max(len(accurate), len(fast))):
        reached = set.union(whole, *accurate[k : k + 1], *fast[k : k + 1])
        if len(reached) >= n_survivors:
            break
        whole = reached
    assert whole <= survivors <= reached


@given(populations(), st.data())
def test_no_survivor_violates_more_than_one_that_did_not(
    population: tuple[Costs, NDArray[np.float64]], data: st.DataObject
) -> None:
    costs, speeds = population
    violation = st.sampled_from([0.0, 0.0, 0.5, 1.0])
    violations = np.array(data.draw(st.lists(violation, min_size=len(costs), max_size=len(costs))))
    n_survivors = data.draw(st.integers(1, len(costs)))

    survivors = pnsga3.select(costs, speeds, n_survivors, violations=violations)

    chosen = np.isin(np.arange(len(costs)), survivors)
    assert chosen.sum() == n_survivors
    assert violations[chosen].max() <= violations[~chosen].min(initial=np.inf)


@given(populations(), st.data())
def test_survivors_do_not_depend_on_units_shifts_or_the_order_of_the_other_costs(
    population: tuple[Costs, NDArray[np.float64]], data: st.DataObject
) -> None:
    costs, speeds = population
    m = costs.shape[1]
    n_survivors = data.draw(st.integers(1, len(costs)))
    scales = 10.0 ** np.array(data.draw(st.lists(st.floats(-6, 6), min_size=m, max_size=m)))
    shifts = np.array(data.draw(st.lists(st.floats(-100, 100), min_size=m, max_size=m)))
    order = [0, *data.draw(st.permutations(range(1, m)))]

    otherwise = pnsga3.select(((costs + shifts) * scales)[:, order], speeds * scales[0], n_survivors)

    assert otherwise.tolist() == pnsga3.select(costs, speeds, n_survivors).tolist()


@given(st.integers(0, 2**32), st.integers(2, 4), st.integers(4, 20))
def test_survivors_do_not_depend_on_the_order_of_candidates(seed: int, m: int, n_survivors: int) -> None:
    rng = np.random.default_rng(seed)
    costs, speeds, order = rng.random((24, m)), rng.normal(size=24), rng.permutation(24)

    survivors = order[pnsga3.select(costs[order], speeds[order], n_survivors)]

    assert sorted(survivors.tolist()) == pnsga3.select(costs, speeds, n_survivors).tolist()


def test_an_accuracy_of_zero_can_be_ranked() -> None:
    """The released code of CARS sorts by 1/accuracy and 1/size."""
    assert pnsga3.select([[1.0, 0.0], [1.0, 1.0], [0.5, 1.0]], [0.0, 0.0, 0.5], 2).tolist() == [0, 2]


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("n_survivors", [1, 3, 9])
@pytest.mark.parametrize("violation", [0.0, 1.0])
def test_a_population_of_equals_is_cut_in_its_order(n: int, n_survivors: int, violation: float) -> None:
    survivors = pnsga3.select(np.ones((n, 3)), np.zeros(n), n_survivors, violations=np.full(n, violation))
    assert survivors.tolist() == list(range(n))[:n_survivors]


@pytest.mark.parametrize("speeds", [[0.1], [0.1, math.nan], [0.1, math.inf], [[0.1], [0.1]]], ids=str)
def test_speeds_that_cannot_be_ranked_are_refused(speeds: ArrayLike) -> None:
    with pytest.raises(SelectionError):
        pnsga3.select([[0.0, 1.0], [1.0, 0.0]], speeds, 1)


def test_a_selection_among_256_takes_far_less_than_a_training_step() -> None:
    rng = np.random.default_rng(0)
    costs = rng.dirichlet([1.0, 1.0, 1.0], 256)
    start_s = time.perf_counter()
    assert len(pnsga3.select(costs, rng.random(256), 128)) == 128
    assert time.perf_counter() - start_s < 2.0
