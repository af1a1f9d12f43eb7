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

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from pymoo.util.reference_direction import UniformReferenceDirectionFactory, get_partition_closest_to_points

from cars_hw.evolution.domination import Costs, Indices, as_costs, fronts

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
    return fill(fronts(costs, violations), as_costs(costs), n_survivors)


def fill(stages: Iterable[Indices], costs: Costs, n_survivors: int) -> Indices:
    """Take whole stages while they fit, and of the first that does not the members in the emptiest niches.

    Args:
        stages: Candidates in order of preference; one that was taken before is passed over.
        costs: ``(n, m)``.
        n_survivors: How many to keep.

    Returns:
        Their indices in ascending order.
    """
    kept = np.empty(0, dtype=np.intp)
    for members in stages:
        stage = np.setdiff1d(members, kept)
        if len(kept) + len(stage) > n_survivors:
            stage = _niched(costs, kept, stage, n_survivors - len(kept))
        kept = np.append(kept, stage)
        if len(kept) == n_survivors:
            break
    return np.sort(kept)


def reference_points(n_objectives: int, n_max: int) -> Costs:
    """Return the largest Das-Dennis lattice of the unit simplex with at most ``n_max`` points (section IV-B).

    Returns:
        Points ``(r, n_objectives)``; the centre alone where even the vertices are too many.
    """
    partitions = get_partition_closest_to_points(n_max, n_objectives)
    lattice = UniformReferenceDirectionFactory(n_objectives, n_partitions=partitions)
    return np.asarray(lattice.do(), dtype=np.float64)


def _niched(costs: Costs, kept: Indices, stage: Indices, n: int) -> Indices:
    """Choose ``n`` members of ``stage``, each time from a niche with the fewest survivors (Algorithm 4).

    Args:
        costs: Those of all candidates, ``(c, m)``.
        kept: Indices of the survivors so far.
        stage: Indices of those to choose among.
        n: How many to choose.
    """
    members = np.append(kept, stage)
    points = _normalised(costs[members])
    distances = _distances(points, reference_points(costs.shape[1], len(kept) + n))
    niche = distances.argmin(axis=1)
    closeness = list(zip(distances.min(axis=1), points.sum(axis=1).round(_DECIMALS), strict=True))
    count = np.bincount(niche[: len(kept)], minlength=distances.shape[1])
    candidates = list(range(len(kept), len(members)))
    chosen = []
    # Crowding comes first, so that fronts stay spread; closeness and then order stand for the paper's draws.
    for _ in range(n):
        nearest = min(candidates, key=lambda i: (count[niche[i]], closeness[i], i))
        candidates.remove(nearest)
        count[niche[nearest]] += 1
        chosen.append(nearest)
    return members[chosen]


def _distances(points: Costs, references: Costs) -> Costs:
    """Return the distances ``(n, r)`` of points ``(n, m)`` to the lines through references ``(r, m)``.

    Algorithm 3.

    The lines are in the order of these very distances: by that to the nearest point, to the second nearest,
    and so on, and in the end by the points' order. So neither the order of the objectives nor that of the
    lattice decides to which of two equally near lines a point belongs.
    """
    lines = references / np.linalg.norm(references, axis=1, keepdims=True)
    along = points @ lines.T
    distances: Costs = np.linalg.norm(points[:, None] - along[..., None] * lines, axis=2).round(_DECIMALS)
    keys = np.concatenate([np.sort(distances, axis=0), distances])
    return distances[:, np.lexsort(keys[::-1])]


def _normalised(costs: Costs) -> Costs:
    """Return ``costs`` ``(n, m)`` with the ideal point at 0 and the intercepts at 1 (Algorithm 2)."""
    first_front = fronts(costs)[0]
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
