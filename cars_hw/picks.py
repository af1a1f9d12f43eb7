"""Picks: which members of a front to take home, by name."""

from collections.abc import Sequence

import numpy as np

from cars_hw.candidate import Candidate
from devices._errors import ConfigError, UnknownNameError

#: A pick besides ``all`` and a member's number.
NAMES = ("knee", "most-accurate", "fastest", "smallest")

_COST_OF = {"most-accurate": "error", "fastest": "latency_ms", "smallest": "parameters"}


def pick(front: Sequence[Candidate], objectives: Sequence[str], choice: str) -> Candidate:
    """Return the member of ``front`` that ``choice`` names.

    Args:
        front: Non-dominated candidates.
        objectives: Names of their costs.
        choice: One of ``NAMES``, or a member's number in ``front``. ``knee`` is the member closest to the
            ideal point, each cost scaled to 0..1 over the front.

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
    if choice not in _COST_OF:
        raise UnknownNameError("pick", choice, (*NAMES, "all", "a member's number"))
    objective = _COST_OF[choice]
    if objective not in objectives:
        raise ConfigError(f"the search did not minimise {objective}, so that nothing is known to be {choice}")
    index = list(objectives).index(objective)
    return min(front, key=lambda member: (member.costs[index], member.costs))


def _knee(costs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> int:
    span = np.ptp(costs, axis=0)
    scaled = (costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)
    return int(np.linalg.norm(scaled, axis=1).argmin())
