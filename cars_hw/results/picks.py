"""Picks: which members of a front to take home, by name, by a limit, or by number.

Where latencies of the front were measured, its members are no longer non-dominated for sure: what was
predicted fast may be slow. ``knee`` and ``spread:N`` then choose among the members that are not dominated; so
does every other pick by what it is.
"""

import itertools
import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cars_hw import objectives
from cars_hw.candidate import Candidate, Front
from cars_hw.evolution.domination import non_dominated
from devices.foundation import ConfigError, UnknownNameError

#: What follows it is how many members are picked, far apart from each other.
_SPREAD = "spread:"

#: ``least:NAME`` is the member with the least of any cost.
_LEAST = "least:"

#: ``NAME<=NUMBER``, several joined by ``and``, is the most accurate member within these limits.
_AT_MOST, _AND = "<=", " and "
_LIMIT = re.compile(
    r"\s*([^<>=\s]{1,128})\s*<=\s*(-?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:[eE][+-]?[0-9]{1,3})?)\s*"
)


def names() -> tuple[str, ...]:
    """List the words for one member: the knee, and that with the least of each of our objectives."""
    return ("knee", *objectives.picks())


def expanded(front: Sequence[Candidate], choices: Sequence[str]) -> list[str]:
    """Return ``choices`` with ``all`` and ``spread:N`` replaced by members' numbers; each choice once.

    Limits are spelled in one way, ``latency_ms<=0.08 and parameters<=20000``.

    Raises:
        ConfigError: ``spread:`` is followed by something else than a number from 1, or a limit is none.
    """
    found: dict[str, None] = {}
    for choice in choices:
        if choice == "all":
            numbers = list(range(len(front)))
        elif choice.startswith(_SPREAD):
            numbers = spread(front, _count(choice.removeprefix(_SPREAD)))
        else:
            found[_spelled(choice)] = None
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
        front: The members; those that others dominate, as measured costs may have it, are left out.
        n: How many, at least 1; all of them where there are no more.

    Returns:
        Distinct numbers in ascending order.
    """
    costs = np.array([member.ranked for member in front])
    eligible = non_dominated(costs)
    return [int(eligible[place]) for place in _spread(costs[eligible], n)]


def _spread(costs: NDArray[np.float64], n: int) -> list[int]:
    """Return in ascending order the rows of ``costs`` (members, costs) that ``spread`` means."""
    if n >= len(costs):
        return list(range(len(costs)))
    points = _scaled(costs)
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
        front: The members, most accurate first; the front knows the names of their costs.
        choice: One of ``names()``, ``least:NAME`` for any cost, a member's number in ``front``, or limits:
            ``latency_ms<=0.08 and parameters<=20000`` is the most accurate member within both. With several
            targets, ``fastest.NAME`` is the fastest on one of them. ``knee`` is the member closest to the
            ideal point, which has the least of each cost, each scaled to 0..1 over the members that are not
            dominated. Where latencies were measured, it is one of those that no other is as good as or
            better than in error and measured latency.

    Raises:
        UnknownNameError: No such pick.
        ConfigError: The search had no such objective, the front no such member, or none within the limits.
    """
    return front[number_of(front, choice)]


def number_of(front: Front, choice: str) -> int:
    """Return the number in ``front`` of the member that ``pick`` returns.

    Raises:
        UnknownNameError: As ``pick`` does; so are the others.
        ConfigError: As ``pick`` does.
    """
    if choice.isascii() and choice.isdecimal():
        number = int(choice.lstrip("0")[:9] or "0")  # nine digits are beyond any front already
        if number >= len(front):
            raise ConfigError(f"there is no member {number}; the front has members 0 to {len(front) - 1}")
        return number
    if choice == "knee":
        return _knee(front)
    if limits := _limits_of(choice):
        within = _within(front, limits)
        return min(within, key=lambda number: (front[number].ranked, front[number].costs))
    index = _index_of(front, _objective_of(choice), choice)
    return min(
        range(len(front)),
        key=lambda number: (front[number].ranked[index], front[number].ranked, front[number].costs),
    )


def reason(front: Front, choice: str) -> str:
    """Say in words why ``pick`` returns the member that it does.

    Raises:
        UnknownNameError: As ``pick`` does; so are the others.
        ConfigError: As ``pick`` does.
    """
    number_of(front, choice)
    if choice.isdecimal():
        return "chosen by its number"
    if choice == "knee":
        return _why_knee(front)
    if limits := _limits_of(choice):
        within = len(_within(front, limits))
        least = f"the least error{_by_estimate(front, front.objectives[0])}"
        return f"{least} of the {within} of {len(front)} members with {_limits_text(limits)}"
    objective = _objective_of(choice)
    return f"the least {objective}{_by_estimate(front, objective)} of {len(front)} members"


def _by_estimate(front: Front, objective: str) -> str:
    """Say that members are not compared by what is shown of ``objective``, where that is so."""
    is_estimated = objective == front.objectives[0] and any(one.estimate is not None for one in front)
    return ", as the search estimates it," if is_estimated else ""


def named_picks(front: Front) -> dict[str, int]:
    """Return by the words for one member, one for each cost of ``front`` and the knee, their numbers."""
    words = {objective: word for word, objective in objectives.picks().items()}
    found = ["knee"]
    for name in front.objectives:
        own, dot, target = name.partition(".")
        found.append(f"{words[own]}{dot}{target}" if own in words else f"{_LEAST}{name}")
    return {choice: number_of(front, choice) for choice in found}


def file_stem(choice: str) -> str:
    """Return what files and folders of a pick are called: ``latency_ms-0.08``, ``member-003``, ``knee``."""
    if choice.isascii() and choice.isdecimal():
        return f"member-{int(choice):03d}"
    if limits := _limits_of(choice):
        stem = "-and-".join(f"{name}-{_number_text(most)}" for name, most in limits.items())
        return re.sub(r"[^A-Za-z0-9._-]", "-", stem).lstrip(".-")
    return re.sub(r"[/\\\x00-\x1f]", "-", choice)


def _objective_of(choice: str) -> str:
    """Return the objective of which a pick has the least."""
    if choice.startswith(_LEAST):
        return choice.removeprefix(_LEAST)
    word, dot, target = choice.partition(".")
    known = objectives.picks()
    if word not in known:
        others = (f"{_LEAST}OBJECTIVE", f"OBJECTIVE{_AT_MOST}MOST", "all", f"{_SPREAD}N", "a member's number")
        raise UnknownNameError("pick", choice, (*names(), *others))
    return f"{known[word]}{dot}{target}"


def _index_of(front: Front, objective: str, choice: str) -> int:
    if objective not in front.objectives:
        raise ConfigError(
            f"the search did not minimise {objective[:64]}, so that nothing is known to be {choice[:64]}; "
            f"it minimised {', '.join(front.objectives)}"
        )
    return front.objectives.index(objective)


def _limits_of(choice: str) -> dict[str, float]:
    """Return the most that costs may be, by their names; none where ``choice`` is no such pick."""
    if not set("<>=") & set(choice):
        return {}
    limits: dict[str, float] = {}
    for part in choice.split(_AND):
        found = _LIMIT.fullmatch(part)
        if found is None or not math.isfinite(float(found[2])):
            raise ConfigError(
                f"pick {choice[:64]!r} sets no limit; write 'latency_ms<=0.08', and join several by ' and '"
            )
        limits[found[1]] = min(float(found[2]), limits.get(found[1], math.inf))
    return limits


def _within(front: Front, limits: Mapping[str, float]) -> list[int]:
    """Return the numbers of the members within ``limits``, at least one.

    Raises:
        ConfigError: There is none, or no such cost; the message has the least that there is.
    """
    text = _limits_text(limits)
    indices = {name: _index_of(front, name, f"within {text}") for name in limits}
    found = [
        number
        for number, member in enumerate(front)
        if all(member.costs[indices[name]] <= most for name, most in limits.items())
    ]
    if not found:
        least = {name: min(member.costs[index] for member in front) for name, index in indices.items()}
        raise ConfigError(_nobody_text(text, least, limits))
    return found


def _nobody_text(text: str, least: Mapping[str, float], limits: Mapping[str, float]) -> str:
    """Say that no member is within ``limits``, and what to raise: those that are met by none, if any is."""
    unmet = {name: value for name, value in least.items() if value > limits[name]}
    figures = " and ".join(f"{name} {value:.6g}" for name, value in (unmet or least).items())
    each = "" if unmet else "; each limit is met, but not all by one member"
    return f"no member of the front has {text}{each}; the smallest there is: {figures}; raise the limit"


def _spelled(choice: str) -> str:
    return _limits_text(limits) if (limits := _limits_of(choice)) else choice


def _limits_text(limits: Mapping[str, float]) -> str:
    return _AND.join(f"{name}{_AT_MOST}{_number_text(most)}" for name, most in limits.items())


def _number_text(number: float) -> str:
    return repr(number).removesuffix(".0").replace("+", "")


def _knee(front: Front) -> int:
    """Return the member closest to the ideal point, among those that are not dominated."""
    eligible, distances = _distances(front)
    return eligible[int(distances.argmin())]


def _why_knee(front: Front) -> str:
    eligible, distances = _distances(front)
    names = ", ".join(f"{name} (measured)" if name in front.measured else name for name in front.objectives)
    text = f"the closest to the least of each cost: {names}, each scaled to 0..1"
    if len(eligible) < len(front):
        by = "in error and measured latency" if front.measured else "in all costs"
        text += f", among the {len(eligible)} of {len(front)} members that no other is better than {by}"
    if len(eligible) > 1:
        order = np.argsort(distances, kind="stable")
        nearest, next_one = distances[order[:2]]
        text += (
            f"; its distance is {nearest:.3f}, that of the next, member {eligible[order[1]]}, {next_one:.3f}"
        )
    return text


def _distances(front: Front) -> tuple[list[int], NDArray[np.float64]]:
    """Return the members that may be the knee, (k,), and their distances to the ideal point, (k,).

    The ideal point and the scale are of all members that are not dominated in all costs. Where costs were
    measured, those members alone may be the knee that are not dominated in error and these either.
    """
    costs = np.array([member.ranked for member in front])
    eligible = non_dominated(costs)
    distances = np.linalg.norm(_scaled(costs[eligible]), axis=1)
    if front.measured:
        columns = [0, *(front.objectives.index(name) for name in front.measured)]
        places = non_dominated(costs[eligible][:, columns])
        eligible, distances = eligible[places], distances[places]
    return eligible.tolist(), distances


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
