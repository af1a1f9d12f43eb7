"""pNSGA-III: NSGA-III that also protects what learns fast, against the small model trap.

Z. Yang, Y. Wang, X. Chen, B. Shi, C. Xu, C. Xu, Q. Tian, C. Xu, "CARS: Continuous Evolution for Efficient
Neural Architecture Search", CVPR 2020, arXiv 1909.04977; on top of NSGA-III (nsga3.py).

Differs from the paper:

* The increasing speed of accuracy, for which the paper gives no formula, is the error before this
  generation's training minus the error after it.
* The paper's experiments have two objectives. Here the speed stands instead of the error, and all other costs
  stay, however many there are.
* The stage that overflows is cut by NSGA-III's reference points, on the true costs. The authors' code draws
  at random there; they thought the points not that critical (huawei-noah/vega, issue 105).
* Stages are merged among candidates of equal violation, so that no infeasible one precedes a feasible one.

The authors' code knows no speed: its second sort is by error and *negated* size (huawei-noah/vega, issue 99);
see size_protection.py.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from cars_hw.errors import SelectionError
from cars_hw.evolution import nsga3
from cars_hw.evolution.domination import Costs, Indices, as_costs, front_numbers, levels


def select(
    costs: ArrayLike, speeds: ArrayLike, n_survivors: int, *, violations: ArrayLike | None = None
) -> Indices:
    """Choose ``n_survivors`` candidates: stage by stage, the overflowing stage by reference points.

    Stage k is the union of the k-th front by costs and the k-th front by costs with the speed instead of the
    error.

    Args:
        costs: ``(n, m)``, all minimised; the first is the error.
        speeds: Increasing speed of accuracy ``(n,)``: error before this generation's training minus error
            now.
        n_survivors: How many to keep; all of them where there are no more.
        violations: Total constraint violation ``(n,)``, 0 where feasible; ``None`` means all are.

    Returns:
        Their indices in ascending order.

    Raises:
        SelectionError: The costs, speeds or violations cannot be ranked.
    """
    matrix = as_costs(costs)
    stages = _stages(matrix, _by_speed(matrix, speeds), violations, n_survivors)
    return nsga3.fill(stages, matrix, n_survivors)


def _by_speed(costs: Costs, speeds: ArrayLike) -> Costs:
    """Return ``costs`` ``(n, m)`` with the negated speed ``(n,)`` instead of the error: fast is good."""
    column = np.asarray(speeds, dtype=np.float64)
    if column.shape != (len(costs),):
        raise SelectionError(
            f"{len(costs)} candidates have speeds of shape {column.shape}; one each is needed"
        )
    return as_costs(np.column_stack([-column, costs[:, 1:]]))


def _stages(
    costs: Costs, by_speed: Costs, violations: ArrayLike | None, n_survivors: int
) -> Iterator[Indices]:
    """Merge both stacks of fronts front by front, until ``n_survivors`` are in; each stands in its first.

    Args:
        costs: ``(n, m)``.
        by_speed: ``(n, m)``, with the negated speed in the first column.
        violations: ``(n,)``, or ``None``.
        n_survivors: How many candidates are needed.

    Yields:
        Indices of each stage's candidates that were in none before, ``(s,)``, ascending.
    """
    # "Architecture Optimization": NSGA-III's own sort, one by the increasing speed, and both together.
    for level in levels(violations, len(costs)):
        stacks = (front_numbers(one[level], n_survivors) for one in (costs, by_speed))
        numbers = np.minimum(*stacks)
        for number in range(int(numbers.max(initial=-1)) + 1):
            yield level[numbers == number]
