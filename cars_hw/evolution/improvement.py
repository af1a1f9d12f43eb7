"""Which of many candidates, together, add the most to what a front dominates: greedily, by hypervolume."""

from bisect import bisect_right
from typing import NamedTuple

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
    boxes = _Boxes(known)
    improvements = _improvements(boxes, optimistic)
    chosen: list[int] = []
    for _ in range(min(n, len(optimistic))):
        best = _largest(improvements, boxes, optimistic)
        chosen.append(best)
        improvements[best] = -1.0
        boxes.add(optimistic[best])
    return np.array(chosen, dtype=np.intp)


def _largest(improvements: NDArray[np.float64], boxes: "_Boxes", optimistic: Costs) -> int:
    """Return the first candidate of largest improvement.

    Args:
        improvements: Those as of fewer known costs, ``(q,)``; those that matter are computed anew, in place.
        boxes: Of all known costs.
        optimistic: Scaled costs of the candidates, ``(q, m)``.
    """
    # What one point adds to a hypervolume only shrinks as others join. So an improvement of before is an
    # upper bound, and the largest is found as soon as it is fresh: most others are never computed anew.
    fresh = improvements < 0
    while True:
        best = int(improvements.argmax())
        if fresh[best] or improvements[best] == 0:
            return best
        stale = np.flatnonzero(~fresh)
        block = stale[np.argsort(-improvements[stale], kind="stable")[:_BLOCK]]
        improvements[block] = boxes.improvements(optimistic[block])
        fresh[block] = True


def _improvements(boxes: "_Boxes", optimistic: Costs) -> NDArray[np.float64]:
    """Return the hypervolume ``(q,)`` that each of ``optimistic`` ``(q, m)`` adds to what is known."""
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


class _Taken(NamedTuple):
    """A point, and the boxes ``(b, m - 1)`` within which its error is the least."""

    costs: NDArray[np.float64]
    lows: Costs
    highs: Costs


class _Boxes:
    """The space of all costs but the error, cut into boxes within which the least known error is one number.

    Args:
        known: Scaled costs, ``(a, m)``.
    """

    def __init__(self, known: Costs) -> None:
        n_others = known.shape[1] - 1
        self._taken: list[_Taken] = []
        self._free = [(np.full((1, n_others), -np.inf), np.full((1, n_others), _REFERENCE))]
        self._include(known)

    def add(self, costs: NDArray[np.float64]) -> None:
        """Know scaled ``costs`` ``(m,)`` too."""
        place = bisect_right(self._taken, costs[0], key=lambda taken: taken.costs[0])
        later = [taken.costs for taken in self._taken[place:]]
        del self._taken[place:], self._free[place + 1 :]
        self._include(np.array([costs, *later]))

    def _include(self, known: Costs) -> None:
        """Let points ``(a, m)`` take their boxes, after those of no larger error."""
        # By growing error, each point takes from the free space all that it dominates there: its box has its
        # error as the least, and what remains free is cut into boxes again. A point that finds nothing free
        # is dominated, and never will.
        inside = known[(known < _REFERENCE).all(axis=1)]
        for costs in inside[np.argsort(inside[:, 0], kind="stable")]:
            (free_low, free_high), corner = self._free[-1], costs[1:]
            hit = (free_high > corner).all(axis=1)
            if not hit.any():
                continue
            low, high = free_low[hit], free_high[hit]
            self._taken.append(_Taken(costs, np.maximum(low, corner), high))
            rest_low, rest_high = _outside(low, high, corner)
            missed = ~hit
            self._free.append(
                (
                    np.concatenate([free_low[missed], rest_low]),
                    np.concatenate([free_high[missed], rest_high]),
                )
            )
        free_low, free_high = self._free[-1]
        self._lows = np.concatenate([*(taken.lows for taken in self._taken), free_low])
        self._highs = np.concatenate([*(taken.highs for taken in self._taken), free_high])
        errors = [*(taken.costs[0] for taken in self._taken), _REFERENCE]
        self._errors = np.repeat(errors, [*(len(taken.lows) for taken in self._taken), len(free_low)])

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
        low, high = lows[below], highs[below]
        high[:, k] = start
        parts_low.append(low)
        parts_high.append(high)
        lows = lows.copy()
        np.maximum(lows[:, k], start, out=lows[:, k])
    return np.concatenate(parts_low), np.concatenate(parts_high)
