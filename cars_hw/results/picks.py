"""Picks: which members of a front to take home, by name."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cars_hw import objectives
from cars_hw.candidate import Candidate, Front
from devices.foundation import ConfigError, UnknownNameError

#: What follows it is how many members are picked, far apart from each other.
_SPREAD = "spread:"

#: ``least:NAME`` is the member with the least of any cost.
_LEAST = "least:"


def names() -> tuple[str, ...]:
    """List the words for one member: the knee, and that with the least of each of our objectives."""
    return ("knee", *objectives.picks())


def expanded(front: Sequence[Candidate], choices: Sequence[str]) -> list[str]:
    """Return ``choices`` with ``all`` and ``spread:N`` replaced by members' numbers; each choice once.

    Raises:
        ConfigError: ``spread:`` is followed by something else than a number from 1.
    """
    found: dict[str, None] = {}
    for choice in choices:
        if choice == "all":
            numbers = list(range(len(front)))
        elif choice.startswith(_SPREAD):
            numbers = spread(front, _count(choice.removeprefix(_SPREAD)))
        else:
            found[choice] = None
            continue
        found.update(dict.fromkeys(map(str, numbers)))
    return list(found)


def spread(front: Sequence[Candidate], n: int) -> list[int]:
    """Return the numbers of ``n`` members that lie as evenly over ``front`` as its gaps allow.

    The member best in the first cost, the one best in the second and so on are among them, while there is
    room. The others are far from each other, each cost scaled to 0..1 over the front: at first each is the
    farthest from all before; then members are exchanged while that makes the smallest distance between two
    larger, or, with that one equal, the second smallest, and so on.

    Args:
        front: Non-dominated candidates.
        n: How many, at least 1; all of them where there are no more.

    Returns:
        Distinct numbers in ascending order.
    """
    if n >= len(front):
        return list(range(len(front)))
    points = _scaled(np.array([member.costs for member in front]))  # (members, costs)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    # Of several that are best in a cost, the one that is best in all of them together.
    best = [int(np.lexsort((points.sum(axis=1), column))[0]) for column in points.T]
    ends = list(dict.fromkeys(best))[:n]
    chosen = list(ends)
    while len(chosen) < n:
        chosen.append(_farthest(distances, chosen))
    return sorted(_exchanged(distances, chosen, fixed=len(ends)))


def pick(front: Front, choice: str) -> Candidate:
    """Return the member of ``front`` that ``choice`` names.

    Args:
        front: Non-dominated candidates, which know the names of their costs.
        choice: One of ``names()``, ``least:NAME`` for any cost, or a member's number in ``front``. ``knee``
            is the member closest to the ideal point, each cost scaled to 0..1 over the front. With several
            targets, ``fastest.NAME`` is the fastest on one of them.

    Raises:
        UnknownNameError: No such pick.
        ConfigError: The search had no such objective, or the front no such member.
    """
    if choice.isascii() and choice.isdecimal():
        number = int(choice.lstrip("0")[:9] or "0")  # nine digits are beyond any front already
        if number >= len(front):
            raise ConfigError(f"there is no member {number}; the front has members 0 to {len(front) - 1}")
        return front[number]
    if choice == "knee":
        return front[_knee(np.array([member.costs for member in front]))]
    objective = _objective_of(choice)
    if objective not in front.objectives:
        raise ConfigError(
            f"the search did not minimise {objective[:64]}, so that nothing is known to be {choice[:64]}; "
            f"it minimised {', '.join(front.objectives)}"
        )
    index = front.objectives.index(objective)
    return min(front, key=lambda member: (member.costs[index], member.costs))


def _objective_of(choice: str) -> str:
    """Return the objective of which a pick has the least."""
    if choice.startswith(_LEAST):
        return choice.removeprefix(_LEAST)
    word, dot, target = choice.partition(".")
    known = objectives.picks()
    if word not in known:
        raise UnknownNameError(
            "pick", choice, (*names(), f"{_LEAST}OBJECTIVE", "all", f"{_SPREAD}N", "a member's number")
        )
    return f"{known[word]}{dot}{target}"


def _knee(costs: NDArray[np.float64]) -> int:
    """Return the row of ``costs`` (n, m) closest to the ideal point, which has the least of each column."""
    return int(np.linalg.norm(_scaled(costs), axis=1).argmin())


def _scaled(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return costs (n, m) with each column on 0..1."""
    span = np.ptp(costs, axis=0)
    scaled: NDArray[np.float64] = (costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)
    return scaled


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not text.strip("0"):
        raise ConfigError(f"{_SPREAD}{text[:32]} picks no number of members; write {_SPREAD}6 for six")
    return int(text.lstrip("0")[:9])  # nine digits are beyond any front already


def _farthest(distances: NDArray[np.float64], chosen: Sequence[int]) -> int:
    """Return the member, not chosen yet, whose nearest chosen one is the farthest.

    Args:
        distances: Between any two members, (n, n).
        chosen: Numbers of members, at least one.
    """
    nearest = distances[:, chosen].min(axis=1)
    nearest[list(chosen)] = -1.0  # below 0, the distance of a member with the costs of a chosen one
    return int(nearest.argmax())


def _exchanged(distances: NDArray[np.float64], chosen: list[int], *, fixed: int) -> list[int]:
    """Exchange members of ``chosen``, but the first ``fixed``, while their sorted distances grow.

    It ends: each exchange makes the sorted distances larger in lexicographic order, and there are finitely
    many choices.

    Args:
        distances: Between any two members, (n, n).
        chosen: Numbers of members.
        fixed: How many of them stay.
    """
    gaps = _gaps(distances, chosen)
    improves = True
    while improves:
        improves = False
        for place, candidate in itertools.product(range(fixed, len(chosen)), range(len(distances))):
            if candidate in chosen:
                continue
            changed = [*chosen[:place], candidate, *chosen[place + 1 :]]
            wider = _gaps(distances, changed)
            if wider > gaps:
                chosen, gaps, improves = changed, wider, True
    return chosen


def _gaps(distances: NDArray[np.float64], chosen: Sequence[int]) -> list[float]:
    """Return the distances between any two of k ``chosen``, k (k - 1) / 2 of them, the smallest first.

    Rounding to nine decimals makes distances equal that only the error of floats sets apart: no exchange is
    made for those.

    Args:
        distances: Between any two members, (n, n).
        chosen: Numbers of members.
    """
    pairs = distances[np.ix_(chosen, chosen)][np.triu_indices(len(chosen), k=1)]
    return sorted(pairs.round(9).tolist())
