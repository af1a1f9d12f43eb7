"""Which of many candidates, together, add the most to what a front dominates: greedily, by hypervolume."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cars_hw.evolution.domination import Costs, Indices, as_costs, fronts
from cars_hw.evolution.error_model import fence

#: The reference point lies this far out, where 0 and 1 are the ends of the front.
_REFERENCE = 1.1
#: Stale improvements are computed anew in blocks of so many.
_BLOCK = 128
_BATCH = 4096


def choose(archive: ArrayLike, candidates: ArrayLike, n: int) -> Indices:
    """Choose ``n`` candidates, each time the one that adds the most hypervolume to archive and chosen ones.

    Costs are taken relative to the front of the archive; an outlying error does not widen the scale. So the
    choice depends on no unit, shift or order of the other costs.

    Args:
        archive: Costs of what is known, ``(a, m)``; the first is the error.
        candidates: Optimistic costs of those to choose among, ``(q, m)``.
        n: How many to choose; all of them where there are no more.

    Returns:
        Their indices in the order of choice; those that add nothing come last, in the order of the input.

    Raises:
        SelectionError: Costs cannot be ranked.
    """
    known, optimistic = as_costs(archive), as_costs(candidates)
    known, optimistic = _scaled(known[fronts(known)[0]], optimistic)
    improvements = _improvements(known, optimistic)
    chosen: list[int] = []
    for _ in range(min(n, len(optimistic))):
        best = _largest(improvements, known, optimistic)
        chosen.append(best)
        improvements[best] = -1.0
        known = np.concatenate([known, optimistic[best : best + 1]])
    return np.array(chosen, dtype=np.intp)


def _largest(improvements: NDArray[np.float64], known: Costs, optimistic: Costs) -> int:
    """Return the first candidate of largest improvement.

    Args:
        improvements: Those as of an earlier ``known``, ``(q,)``; those that matter are computed anew, in
            place.
        known: Scaled costs, ``(a, m)``.
        optimistic: Scaled costs of the candidates, ``(q, m)``.
    """
    # What one point adds to a hypervolume only shrinks as others join. So an improvement of before is an
    # upper bound, and the largest is found as soon as it is fresh: most others are never computed anew.
    boxes = _Boxes(known)
    fresh = improvements < 0
    while True:
        best = int(improvements.argmax())
        if fresh[best]:
            return best
        stale = np.flatnonzero(~fresh)
        block = stale[np.argsort(-improvements[stale], kind="stable")[:_BLOCK]]
        improvements[block] = boxes.improvements(optimistic[block])
        fresh[block] = True


def _improvements(known: Costs, optimistic: Costs) -> NDArray[np.float64]:
    """Return the hypervolume ``(q,)`` that each of ``optimistic`` ``(q, m)`` adds to ``known`` ``(a, m)``."""
    boxes = _Boxes(known)
    parts = [
        boxes.improvements(optimistic[start : start + _BATCH]) for start in range(0, len(optimistic), _BATCH)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _scaled(front: Costs, optimistic: Costs) -> tuple[Costs, Costs]:
    """Return front ``(a, m)`` and candidates ``(q, m)`` with the ends of the front at 0 and 1."""
    ideal, worst = front.min(axis=0), front.max(axis=0)
    worst[0] = min(worst[0], fence(front[:, 0]))
    everything = np.concatenate([front, optimistic])
    spread = everything.max(axis=0) - everything.min(axis=0)
    unit = np.where(worst > ideal, worst - ideal, np.where(spread > 0, spread, 1.0))
    return (front - ideal) / unit, (optimistic - ideal) / unit


class _Boxes:
    """The space of all costs but the error, cut into boxes within which the least known error is one number.

    Args:
        known: Scaled costs, ``(a, m)``.
    """

    def __init__(self, known: Costs) -> None:
        n_others = known.shape[1] - 1
        free_low, free_high = np.full((1, n_others), -np.inf), np.full((1, n_others), _REFERENCE)
        lows, highs, errors = [], [], []
        inside = known[(known < _REFERENCE).all(axis=1)]
        # By growing error, each point takes from the free space all that it dominates there: its box has its
        # error as the least, and what remains free is cut into boxes again.
        for error, *others in inside[np.argsort(inside[:, 0], kind="stable")]:
            corner = np.array(others)
            hit = (free_high > corner).all(axis=1)
            lows.append(np.maximum(free_low[hit], corner))
            highs.append(free_high[hit])
            errors.append(np.full(int(hit.sum()), error))
            rest_low, rest_high = _outside(free_low[hit], free_high[hit], corner)
            free_low = np.concatenate([free_low[~hit], rest_low])
            free_high = np.concatenate([free_high[~hit], rest_high])
        self._lows = np.concatenate([*lows, free_low])
        self._highs = np.concatenate([*highs, free_high])
        self._errors = np.concatenate([*errors, np.full(len(free_low), _REFERENCE)])

    def improvements(self, optimistic: Costs) -> NDArray[np.float64]:
        """Return the hypervolume that each of ``optimistic`` ``(q, m)`` adds alone, ``(q,)``."""
        # In each box: the volume beyond its other costs, times how far its error is below the box's.
        volumes: Costs = np.maximum(self._errors - optimistic[:, :1], 0.0)
        for k in range(self._lows.shape[1]):
            volumes *= np.maximum(
                self._highs[:, k] - np.maximum(self._lows[:, k], optimistic[:, k + 1, None]), 0.0
            )
        total: NDArray[np.float64] = volumes.sum(axis=1)
        return total


def _outside(lows: Costs, highs: Costs, corner: NDArray[np.float64]) -> tuple[Costs, Costs]:
    """Return the parts of boxes ``(b, m - 1)`` that are not beyond ``corner`` ``(m - 1,)`` in every cost.

    They are boxes again, and disjoint: part k is below ``corner`` in cost k, and beyond it in those before.
    """
    parts_low, parts_high = [], []
    for k, start in enumerate(corner):
        below = lows[:, k] < start
        low, high = lows[below].copy(), highs[below].copy()
        high[:, k] = start
        parts_low.append(low)
        parts_high.append(high)
        lows = lows.copy()
        lows[:, k] = np.maximum(lows[:, k], start)
    return np.concatenate(parts_low), np.concatenate(parts_high)
