"""NSGA-III: the selection of survivors among parents and offspring.

K. Deb, H. Jain, "An Evolutionary Many-Objective Optimization Algorithm Using Reference-Point-Based
Nondominated Sorting Approach, Part I", IEEE Transactions on Evolutionary Computation 18(4), 2014. Section and
step numbers below are that paper's.

Differs from the paper:

* Survivors do not depend on an objective's unit. Costs are divided by the range of the first front before
  extreme points are searched, and compared to nine decimals of it.
* Where the paper draws at random (which of the least crowded niches, whom in a niche that is not empty), the
  member closest to its reference line is taken; among equally close ones the one with the least sum of
  normalised costs, and in the end the first in the input.
* Ideal and extreme points are those of the members at hand. The paper keeps them over generations; the errors
  of a SuperNet move. Extreme points come from the first front, as in the authors' later code and in pymoo.
* There are at most as many reference points as survivors: the largest Das-Dennis lattice that fits. The paper
  chooses the lattice first, and a population at least as large.
* Infeasible candidates follow Deb's rules, as in Part II of the paper.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cars_hw.evolution.domination import Costs, Indices, as_costs, front_numbers, levels, non_dominated

#: Differences below 1e-9 of a front's range are rounding: that of a shifted or scaled objective.
_DECIMALS = 9


def select(costs: ArrayLike, n_survivors: int, *, violations: ArrayLike | None = None) -> Indices:
    """Choose ``n_survivors`` candidates: front by front, the overflowing front by reference points.

    Args:
        costs: ``(n, m)``, all minimised.
        n_survivors: How many to keep; all of them where there are no more.
        violations: Total constraint violation ``(n,)``, 0 where feasible; ``None`` means all are.

    Returns:
        Their indices in ascending order.

    Raises:
        SelectionError: The costs or violations cannot be ranked.
    """
    matrix = as_costs(costs)
    return fill(_fronts(matrix, violations, n_survivors), matrix, n_survivors)


def fill(stages: Iterable[Indices], costs: Costs, n_survivors: int) -> Indices:
    """Take whole stages while they fit, and of the first that does not the members in the emptiest niches.

    Args:
        stages: Candidates in order of preference, each in one stage alone.
        costs: ``(n, m)``.
        n_survivors: How many to keep.

    Returns:
        Their indices in ascending order.
    """
    kept = np.empty(0, dtype=np.intp)
    for members in stages:
        n_missing = n_survivors - len(kept)
        stage = members if len(members) <= n_missing else _niched(costs, kept, members, n_missing)
        kept = np.append(kept, stage)
        if len(kept) == n_survivors:
            break
    return np.sort(kept)


def reference_points(n_objectives: int, n_max: int) -> Costs:
    """Return the largest Das-Dennis lattice of the unit simplex with at most ``n_max`` points (section IV-B).

    Returns:
        Points ``(r, n_objectives)``; the centre alone where even the vertices are too many.
    """
    partitions = 0
    while n_objectives > 1 and math.comb(partitions + n_objectives, n_objectives - 1) <= n_max:
        partitions += 1
    if partitions == 0:
        return np.full((1, n_objectives), 1.0 / n_objectives)
    # A point is where bars stand among as many stars as there are partitions.
    bars = list(itertools.combinations(range(partitions + n_objectives - 1), n_objectives - 1))
    stars = np.diff(np.array(bars), axis=1, prepend=-1, append=partitions + n_objectives - 1) - 1
    points: Costs = stars / partitions
    return points


@lru_cache(maxsize=16)
def _lines(n_objectives: int, n_max: int) -> Costs:
    """Return unit vectors ``(r, n_objectives)`` towards the reference points; they cannot be written to."""
    references = reference_points(n_objectives, n_max)
    lines: Costs = references / np.linalg.norm(references, axis=1, keepdims=True)
    lines.setflags(write=False)
    return lines


def _fronts(costs: Costs, violations: ArrayLike | None, n_survivors: int) -> Iterator[Indices]:
    """Yield the fronts of ``costs`` ``(n, m)`` as Deb's rules order them, while ``n_survivors`` need more."""
    for level in levels(violations, len(costs)):
        numbers = front_numbers(costs[level], n_survivors)
        for number in range(int(numbers.max(initial=-1)) + 1):
            yield level[numbers == number]


def _niched(costs: Costs, kept: Indices, stage: Indices, n: int) -> Indices:
    """Choose ``n`` members of ``stage``, each time from a niche with the fewest survivors (Algorithm 4).

    Args:
        costs: Those of all candidates, ``(c, m)``.
        kept: Indices of the survivors so far.
        stage: Indices of those to choose among.
        n: How many to choose.
    """
    lines = _lines(costs.shape[1], len(kept) + n)
    points = _normalised(costs[np.append(kept, stage)])
    niches, distances = _nearest(points, lines)
    sums = points.sum(axis=1).round(_DECIMALS)
    # Crowding comes first, so that fronts stay spread; closeness and then order stand for the paper's draws.
    # A niche gives its members by closeness, and is more crowded by one each time: so how crowded it will be
    # when a member's turn comes is known from the start.
    closest = np.lexsort((sums[len(kept) :], distances[len(kept) :]))
    count = np.bincount(niches[: len(kept)], minlength=len(lines))
    niches = niches[len(kept) :][closest]
    crowding = count[niches] + _earlier(niches)
    return stage[closest[np.argsort(crowding, kind="stable")[:n]]]


def _earlier(niches: Indices) -> Indices:
    """Return, for each of ``niches`` ``(c,)``, how many before it are the same."""
    order = np.argsort(niches, kind="stable")
    places = np.arange(len(niches))
    starts = np.diff(niches[order], prepend=-1) > 0
    earlier = np.empty_like(places)
    earlier[order] = places - np.maximum.accumulate(np.where(starts, places, 0))
    return earlier


def _nearest(points: Costs, lines: Costs) -> tuple[Indices, NDArray[np.float64]]:
    """Return of each point the nearest of the lines, and how far that is (Algorithm 3).

    Where several are equally near, it is the first of these by their distances to all points: by that to the
    nearest point, to the second nearest, and so on, and in the end by the points' order. So neither the order
    of the objectives nor that of the lattice decides.

    Args:
        points: ``(n, m)``.
        lines: Unit vectors ``(r, m)``.

    Returns:
        Indices of lines, and distances, ``(n,)`` each.
    """
    along = points @ lines.T
    rows, columns = np.nonzero(along >= _least_along(points, along)[:, None])
    distances = _distances(points[rows], along[rows, columns], lines[columns])
    nearest = np.minimum.reduceat(distances, np.searchsorted(rows, np.arange(len(points))))
    is_near = distances == nearest[rows]
    rows, columns = rows[is_near], columns[is_near]
    if len(rows) > len(points):
        is_tied = np.bincount(rows)[rows] > 1
        tied = np.unique(columns[is_tied])
        precedence = np.zeros(len(lines), dtype=np.intp)
        precedence[tied] = _precedence(_distances(points[:, None], along[:, tied], lines[tied]))
        order = np.lexsort((precedence[columns], rows))
        columns = columns[order][np.searchsorted(rows, np.arange(len(points)))]
    return columns, nearest


def _least_along(points: Costs, along: Costs) -> NDArray[np.float64]:
    """Return how far along a line a point lies, ``(n,)``, if it may be as near as its nearest one, rounded.

    The nearest line is the one along which the point lies farthest, for its length is the same for all:
    d^2 = |p|^2 - a^2. Lines beyond this bound are farther by more than rounding.

    Args:
        points: ``(n, m)``.
        along: Lengths of their projections on the lines, ``(n, r)``.
    """
    length = np.linalg.norm(points, axis=1)
    rounding = 2.0 * 10.0**-_DECIMALS + 1e-13 * length
    slack = rounding * (2.0 * length + rounding) + 1e-13 * length**2
    least: NDArray[np.float64] = np.sqrt(np.maximum(along.max(axis=1) ** 2 - slack, 0.0))
    return least


def _distances(points: Costs, along: NDArray[np.float64], lines: Costs) -> NDArray[np.float64]:
    """Return the rounded distances ``(...)`` of points ``(..., m)`` to lines ``(..., m)``.

    Args:
        points: Costs that are normalised.
        along: Lengths of their projections on the lines, ``(...)``.
        lines: Unit vectors.
    """
    distances: NDArray[np.float64] = np.linalg.norm(points - along[..., None] * lines, axis=-1)
    return distances.round(_DECIMALS)


def _precedence(distances: Costs) -> Indices:
    """Return the places ``(t,)`` of the columns of ``distances`` ``(n, t)`` in the order of ``_nearest``."""
    keys = np.concatenate([np.sort(distances, axis=0), distances])
    # Non-negative numbers are in the order of their bytes, the most significant first.
    texts = [column.tobytes() for column in keys.T.astype(">f8")]
    places = np.empty(len(texts), dtype=np.intp)
    places[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return places


def _normalised(costs: Costs) -> Costs:
    """Return ``costs`` ``(n, m)`` with the ideal point at 0 and the intercepts at 1 (Algorithm 2)."""
    first_front = non_dominated(costs)
    ideal = costs.min(axis=0)
    spread = costs.max(axis=0) - ideal
    reach = costs[first_front].max(axis=0) - ideal
    unit = np.where(reach > spread * 10.0**-_DECIMALS, reach, spread)
    points: Costs = ((costs - ideal) / np.where(unit > 0, unit, 1.0)).round(_DECIMALS)
    return points / _intercepts(points[first_front], worst=points.max(axis=0))


def _intercepts(front: Costs, *, worst: Costs) -> Costs:
    """Return where the plane through the extreme points of ``front`` ``(f, m)`` meets each axis, ``(m,)``.

    No intercept exceeds ``worst``, ``(m,)``.

    The extreme point of an axis has the least cost in all others: it minimises the achievement function of
    eq. 4. Without such a plane, ones: the front's own range.
    """
    n_objectives = front.shape[1]
    weights = np.where(np.eye(n_objectives, dtype=bool), 1.0, 1e6)
    extremes = front[(front[:, None] * weights).max(axis=2).argmin(axis=0)]
    if np.linalg.matrix_rank(extremes, tol=1e-6) < n_objectives:
        return np.ones(n_objectives)
    plane = np.linalg.solve(extremes, np.ones(n_objectives))
    if not ((plane > 1e-9) & (plane < 1e6)).all():
        return np.ones(n_objectives)
    return np.minimum(1.0 / plane, worst)
