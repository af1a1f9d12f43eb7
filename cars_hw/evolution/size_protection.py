"""Size protection: the selection of the code released with CARS, which protects the accurate and large.

Huawei Noah's Ark Lab, vega 1.8.5, ``CARS_NSGA``. The paper's second sort is by the increasing speed of
accuracy (pnsga3.py); the code has none, and sorts by error and *negated* size instead (its issue 99).

For each cost beside the error there are two stacks of fronts: by error and cost, and by error and negated
cost. With latency as a cost, the slow are so protected as the large are. Stage k is the union of all k-th
fronts; stages are taken whole while they fit, and of the one that does not fit, members drawn at random.

Differs from the code:

* The error itself is sorted by; the code sorts by 1/accuracy and 1/cost, which fails at 0 and is the same
  order otherwise.
* A stage fits if those of it that were not taken before fit. The code counts them twice, and fails where a
  stage has fewer new ones than are missing.
* Stages are merged among candidates of equal violation, so that no infeasible one precedes a feasible one.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from cars_hw.evolution.domination import Costs, Indices, as_costs, fronts, levels, merged


def select(
    costs: ArrayLike,
    n_survivors: int,
    *,
    rng: np.random.Generator,
    violations: ArrayLike | None = None,
) -> Indices:
    """Choose ``n_survivors`` candidates: stage by stage, of the overflowing stage at random.

    Args:
        costs: ``(n, m)``, all minimised; the first is the error.
        n_survivors: How many to keep; all of them where there are no more.
        rng: Draws from the stage that overflows.
        violations: Total constraint violation ``(n,)``, 0 where feasible; ``None`` means all are.

    Returns:
        Their indices in ascending order.

    Raises:
        SelectionError: The costs or violations cannot be ranked.
    """
    kept = np.empty(0, dtype=np.intp)
    for members in _stages(as_costs(costs), violations):
        stage, n_missing = np.setdiff1d(members, kept), n_survivors - len(kept)
        if len(stage) > n_missing:
            stage = rng.choice(stage, n_missing, replace=False)
        kept = np.append(kept, stage)
        if len(kept) == n_survivors:
            break
    return np.sort(kept)


def _stages(costs: Costs, violations: ArrayLike | None) -> Iterator[Indices]:
    """Merge the stacks of all costs front by front; a member of several stages stands in each.

    Args:
        costs: ``(n, m)``.
        violations: ``(n,)``, or ``None``.

    Yields:
        Indices of each stage's candidates, ``(s,)``, ascending.
    """
    for level in levels(violations, len(costs)):
        for stage in merged([fronts(pair) for pair in _pairs(costs[level])]):
            yield level[stage]


def _pairs(costs: Costs) -> Iterator[Costs]:
    """Yield (error, cost) and (error, negated cost), ``(n, 2)``, of each cost; the error if it is alone."""
    if costs.shape[1] == 1:
        yield costs
    for cost in range(1, costs.shape[1]):
        for sign in (1.0, -1.0):
            yield costs[:, [0, cost]] * [1.0, sign]
