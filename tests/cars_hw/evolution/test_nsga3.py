"""NSGA-III: hand-worked cuts, pymoo as a reference, and independence from units and order."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival, associate_to_niches
from pymoo.core.population import Population

from cars_hw.evolution import nsga3
from cars_hw.evolution.domination import Costs, fronts


@st.composite
def populations(draw: st.DrawFn) -> Costs:
    """Draw (n, m) costs, either in general position or with many ties."""
    n, m = draw(st.integers(1, 24)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.random((n, m)) if draw(st.booleans()) else rng.integers(0, 5, (n, m)).astype(np.float64)


def test_of_a_line_the_ends_and_the_middle_survive() -> None:
    costs = [[0.0, 1.0], [0.1, 0.9], [0.5, 0.5], [0.9, 0.1], [1.0, 0.0]]
    assert nsga3.select(costs, 3).tolist() == [0, 2, 4]


def test_an_empty_niche_comes_before_a_closer_member_of_a_filled_one() -> None:
    """Of the second front, member 3 is in a niche of two, member 5 closest to its line in one of one."""
    costs = [[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.15, 0.95], [0.6, 0.93], [1.01, 0.01]]
    assert nsga3.select(costs, 4).tolist() == [0, 1, 2, 4]


def test_the_feasible_survive_first_then_the_least_violating() -> None:
    costs = [[0.0, 0.0], [9.0, 9.0], [0.0, 0.0], [5.0, 5.0]]
    assert nsga3.select(costs, 3, violations=[0.2, 0.0, 0.1, 0.0]).tolist() == [1, 2, 3]


@given(populations(), st.data())
def test_no_survivor_violates_more_than_one_that_did_not(costs: Costs, data: st.DataObject) -> None:
    violation = st.sampled_from([0.0, 0.0, 0.5, 1.0])
    violations = np.array(data.draw(st.lists(violation, min_size=len(costs), max_size=len(costs))))
    n_survivors = data.draw(st.integers(1, len(costs)))

    chosen = np.isin(np.arange(len(costs)), nsga3.select(costs, n_survivors, violations=violations))

    assert chosen.sum() == n_survivors
    assert violations[chosen].max() <= violations[~chosen].min(initial=np.inf)


@pytest.mark.parametrize("n_survivors", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_equal_costs_survive_in_their_order(n_survivors: int, m: int) -> None:
    assert nsga3.select(np.ones((5, m)), n_survivors).tolist() == list(range(5))[:n_survivors]


@pytest.mark.parametrize("n_survivors", [1, 3, 7])
def test_one_objective_keeps_the_least(n_survivors: int) -> None:
    costs = np.random.default_rng(0).permutation(20.0 * np.arange(12)[:, None])
    expected = sorted(np.argsort(costs[:, 0])[:n_survivors].tolist())
    assert nsga3.select(costs, n_survivors).tolist() == expected


@given(populations(), st.integers(1, 24))
def test_an_objective_that_is_constant_changes_nothing_in_the_order_of_fronts(costs: Costs, n: int) -> None:
    flat = np.column_stack([costs, np.full(len(costs), 7.0)])
    survivors = nsga3.select(flat, n)
    assert len(survivors) == min(n, len(costs))
    assert worst_front(costs, survivors) == worst_front(costs, nsga3.select(costs, n))


@given(populations(), st.data())
def test_survivors_do_not_depend_on_units_shifts_or_the_order_of_objectives(
    costs: Costs, data: st.DataObject
) -> None:
    m = costs.shape[1]
    n_survivors = data.draw(st.integers(1, len(costs)))
    scales = 10.0 ** np.array(data.draw(st.lists(st.floats(-6, 6), min_size=m, max_size=m)))
    shifts = np.array(data.draw(st.lists(st.floats(-100, 100), min_size=m, max_size=m)))
    order = data.draw(st.permutations(range(m)))

    otherwise = ((costs + shifts) * scales)[:, order]

    assert nsga3.select(otherwise, n_survivors).tolist() == nsga3.select(costs, n_survivors).tolist()


@given(st.integers(0, 2**32), st.integers(2, 4), st.integers(4, 20))
def test_survivors_do_not_depend_on_the_order_of_candidates(seed: int, m: int, n_survivors: int) -> None:
    rng = np.random.default_rng(seed)
    costs, order = rng.random((24, m)), rng.permutation(24)

    survivors = order[nsga3.select(costs[order], n_survivors)]

    assert sorted(survivors.tolist()) == nsga3.select(costs, n_survivors).tolist()


@given(populations(), st.booleans(), st.data())
def test_the_survivors_are_those_that_are_chosen_one_after_the_other(
    costs: Costs, is_mirrored: bool, data: st.DataObject
) -> None:
    """Mirrored costs lie as near to several lines."""
    costs = np.concatenate([costs, costs[:, ::-1]]) if is_mirrored else costs
    n_survivors = data.draw(st.integers(1, len(costs)))
    assert nsga3.select(costs, n_survivors).tolist() == one_after_the_other(costs, n_survivors)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_far_and_near_points_belong_to_their_nearest_lines(scale: float) -> None:
    rng = np.random.default_rng(3)
    costs = np.vstack([np.eye(3) * 0.5, rng.random((40, 3)) * scale + 1.0])
    assert nsga3.select(costs, 20).tolist() == one_after_the_other(costs, 20)


@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("seed", range(15))
def test_niches_are_filled_as_evenly_as_by_pymoo(seed: int, m: int) -> None:
    """Which niche gets one more is a draw in pymoo; how many niches get how many is not.

    Two fronts, the second of which is cut, in the one unit in which pymoo works as we do in all: its
    thresholds are absolute, and its extreme points depend on the ranges of the objectives.
    """
    rng = np.random.default_rng(seed)
    costs = rng.dirichlet(np.ones(m), 60) * np.where(np.arange(60) < 10, 1.0, 3.0)[:, None]
    costs -= costs.min(axis=0)
    costs *= 100.0 / costs[fronts(costs)[0]].max(axis=0)
    lines = nsga3.reference_points(m, 24)
    survival = ReferenceDirectionSurvival(lines)
    population = Population.new(F=costs, index=np.arange(60))
    theirs = survival._do(None, population, 24, random_state=rng).get("index")

    def crowding(survivors: NDArray[np.intp]) -> list[int]:
        niche, _, _ = associate_to_niches(
            costs[survivors], lines, survival.norm.ideal_point, survival.norm.nadir_point
        )
        return sorted(np.bincount(niche).tolist(), reverse=True)

    ours = nsga3.select(costs, 24)
    assert worst_front(costs, ours) == worst_front(costs, theirs)
    assert np.trim_zeros(crowding(ours)) == np.trim_zeros(crowding(theirs))


@pytest.mark.parametrize("m", range(2, 6))
@pytest.mark.parametrize("partitions", range(1, 9))
def test_reference_points_are_the_whole_lattice_with_every_vertex(m: int, partitions: int) -> None:
    """The released code of CARS leaves a vertex out."""
    lattice = {p for p in itertools.product(range(partitions + 1), repeat=m) if sum(p) == partitions}

    points = nsga3.reference_points(m, len(lattice))

    assert {tuple(point) for point in np.rint(points * partitions).astype(int).tolist()} == lattice
    assert len(points) == len(lattice)


@pytest.mark.parametrize("m", range(1, 6))
@pytest.mark.parametrize("n_survivors", [1, 2, 5, 40, 128])
def test_there_are_no_more_reference_points_than_survivors(m: int, n_survivors: int) -> None:
    assert 1 <= len(nsga3.reference_points(m, n_survivors)) <= n_survivors


def one_after_the_other(costs: Costs, n_survivors: int) -> list[int]:
    """Return whom Algorithms 3 and 4 leave, by every distance, and one niche and one member at a time."""
    kept: list[int] = []
    stage: list[int] = []
    for front in fronts(costs):
        stage = front.tolist()
        if len(kept) + len(stage) > n_survivors:
            break
        kept, stage = kept + stage, []
    members, chosen = kept + stage, list(kept)
    points = nsga3._normalised(costs[members])
    lines = [line / np.linalg.norm(line) for line in nsga3.reference_points(costs.shape[1], n_survivors)]
    distances = [
        [float(np.linalg.norm(point - (point @ line) * line).round(9)) for point in points] for line in lines
    ]
    distances.sort(key=lambda far: (sorted(far), far))
    niche = {one: min(range(len(lines)), key=lambda j: distances[j][i]) for i, one in enumerate(members)}
    near = {one: min(far[i] for far in distances) for i, one in enumerate(members)}
    total = {one: points[i].sum().round(9) for i, one in enumerate(members)}
    while len(chosen) < n_survivors:
        crowding = [sum(niche[one] == j for one in chosen) for j in range(len(lines))]
        best = min(stage, key=lambda one: (crowding[niche[one]], near[one], total[one], one))
        stage.remove(best)
        chosen.append(best)
    return sorted(chosen)


def worst_front(costs: Costs, survivors: NDArray[np.intp]) -> int:
    """Return the last front that has a survivor."""
    return max(k for k, front in enumerate(fronts(costs)) if np.isin(front, survivors).any())
