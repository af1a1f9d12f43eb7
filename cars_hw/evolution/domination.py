"""Who is better: Pareto domination among the equally feasible, after Deb's rules of constraint handling.

Rules: K. Deb, "An efficient constraint handling method for genetic algorithms", Computer Methods in Applied
Mechanics and Engineering 186, 2000. The sort itself is pymoo's.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import zip_longest

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting, find_non_dominated

from cars_hw.errors import SelectionError

Costs = NDArray[np.float64]
Indices = NDArray[np.intp]

#: A cost beyond this is a fault, and its differences may overflow.
_LARGEST = 1e150


def fronts(costs: ArrayLike, violations: ArrayLike | None = None) -> list[Indices]:
    """Sort candidates into fronts, the best one first; each lists its members in ascending order.

    The feasible come before the infeasible, a smaller violation before a larger one; among equally violating
    candidates, front k holds those that only members of earlier fronts dominate.

    Args:
        costs: ``(n, m)``, all minimised.
        violations: Total constraint violation ``(n,)``, 0 where feasible; ``None`` means all are.

    Raises:
        SelectionError: As ``as_costs`` and ``levels`` say.
    """
    matrix = as_costs(costs)
    return [level[front] for level in levels(violations, len(matrix)) for front in _sort(matrix[level])]


def non_dominated(costs: ArrayLike) -> Indices:
    """Return the places, ascending, of the rows that no other dominates: the Pareto front.

    Args:
        costs: ``(n, m)``, all minimised; n is at least 1.

    Raises:
        SelectionError: As ``as_costs`` says.
    """
    return np.asarray(find_non_dominated(as_costs(costs)), dtype=np.intp)


def front_numbers(costs: Costs, n_enough: int) -> Indices:
    """Return in which front each of ``costs`` ``(n, m)`` stands, ``(n,)``; 0 is the best.

    Fronts are told apart until they hold ``n_enough`` candidates; all others share the next number.
    """
    found = NonDominatedSorting().do(costs, n_stop_if_ranked=n_enough)
    numbers = np.full(len(costs), len(found), dtype=np.intp)
    for number, front in enumerate(found):
        numbers[front] = number
    return numbers


def as_costs(costs: ArrayLike) -> Costs:
    """Return ``costs`` as an array ``(n, m)``.

    Raises:
        SelectionError: They are ragged, not numbers, NaN, infinite or beyond 1e150.
    """
    try:
        matrix = np.asarray(costs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SelectionError(f"the costs do not form a table of numbers: {error}") from error
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise SelectionError(f"the costs have shape {matrix.shape}; one row per candidate is needed")
    usable = (np.abs(matrix) <= _LARGEST).all(axis=1)
    if not usable.all():
        first = int(np.argmin(usable))
        raise SelectionError(
            f"candidate {first} costs {matrix[first].tolist()}; only finite costs can be ranked"
        )
    return matrix


def levels(violations: ArrayLike | None, n: int) -> list[Indices]:
    """Group ``n`` candidates by equal violation, the feasible first, then by growing violation.

    Raises:
        SelectionError: There are not ``n`` violations, or one is negative, NaN or infinite.
    """
    if violations is None:
        return [np.arange(n)]
    vector = np.asarray(violations, dtype=np.float64)
    if vector.shape != (n,) or not (np.isfinite(vector) & (vector >= 0)).all():
        raise SelectionError(
            f"the violations of {n} candidates are {vector.tolist()}; finite numbers from 0 are needed"
        )
    return [np.flatnonzero(vector == violation) for violation in np.unique(vector)]


def merged(stacks: Sequence[Sequence[Indices]]) -> Iterator[Indices]:
    """Merge stacks of fronts front by front: stage k is the union of all k-th ones.

    Args:
        stacks: Fronts of indices, ``(f,)`` each; one stack may have more than another.

    Yields:
        Indices ``(s,)`` of a stage, ascending and without repeats.
    """
    nobody = np.empty(0, dtype=np.intp)
    for stage in zip_longest(*stacks, fillvalue=nobody):
        yield reduce(np.union1d, stage, nobody)


def _sort(costs: Costs) -> list[Indices]:
    """Return the fronts of ``costs`` ``(n, m)``, whatever they violate."""
    return [np.sort(np.asarray(front, dtype=np.intp)) for front in NonDominatedSorting().do(costs)]
