"""Inclusion: which branches are in a set, drawn independently for each, given how many may be in it.

With probability p_i for branch i, the probability of a set S among all sets of admissible size is

    P(S) = prod_{i in S} p_i * prod_{i not in S} (1 - p_i) / Z

which is what drawing all branches until their number is admissible gives, too (``AMBNet.sampler`` of NSE's
released code); here nothing is drawn in vain. At most one branch and at least one make alternatives: P is
then proportional to the odds p_i / (1 - p_i).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Which of k branches each of n sets includes, ``(n, k)``.
Draws = NDArray[np.bool_]


@dataclass(frozen=True)
class Size:
    """How many branches may be in a set.

    Attributes:
        fewest: The least number.
        most: The largest number, no less than ``fewest``.
    """

    fewest: int
    most: int


def draw(probabilities: ArrayLike, size: Size, n: int, rng: np.random.Generator) -> Draws:
    """Draw ``n`` sets, independent of each other.

    Args:
        probabilities: That of each branch, ``(k,)``, all within (0, 1).
        size: The admissible sizes of a set; ``fewest`` is at most k.
        n: Number of sets.
        rng: The only source of randomness.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    ahead = _ahead(p, size)
    included = np.zeros((n, len(p)), dtype=np.bool_)
    size_so_far = np.zeros(n, dtype=np.intp)
    # Branch by branch: given that m of those before are in, branch i is in with probability
    # p_i A(i + 1, m + 1) / A(i, m), where A(i, m) is the probability that branches i and later make the size
    # admissible. Nothing is rejected.
    for i, uniform in enumerate(rng.random((len(p), n))):
        included[:, i] = uniform * ahead[i, size_so_far] < p[i] * ahead[i + 1, size_so_far + 1]
        size_so_far += included[:, i]
    return included


def draw_other(
    probabilities: ArrayLike, size: Size, first: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Draw a set, ``(k,)``, among those that differ from ``first``; ``None`` where there is no other.

    Args:
        probabilities: That of each branch, ``(k,)``, all within (0, 1).
        size: The admissible sizes of a set.
        first: Whether each branch is in the set to differ from, ``(k,)``.
        rng: The only source of randomness.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    ahead = _ahead(p, size)
    differing = _differing(p, first, ahead)
    if not differing[0, 0]:
        return None
    included = np.zeros(len(p), dtype=np.bool_)
    # As in ``draw``, but while all branches are as in ``first``, the rest has to differ somewhere.
    size_so_far, still_same = 0, True
    for i, uniform in enumerate(rng.random(len(p))):
        after = {is_in: differing if still_same and is_in == first[i] else ahead for is_in in (False, True)}
        chance_out = (1 - p[i]) * after[False][i + 1, size_so_far]
        chance_in = p[i] * after[True][i + 1, size_so_far + 1]
        included[i] = uniform * (chance_out + chance_in) < chance_in
        still_same &= bool(included[i] == first[i])
        size_so_far += int(included[i])
    return included


def log_odds(probabilities: ArrayLike, first: ArrayLike, other: ArrayLike) -> float:
    """Return log(P(first) / P(other)) of two sets ``(k,)``, in which Z cancels."""
    p = np.asarray(probabilities, dtype=np.float64)
    signs = np.asarray(first, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return float(signs @ np.log(p / (1 - p)))


def _ahead(p: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
    """Return A ``(k + 1, k + 2)``: the probability that the size of a set is admissible.

    Row i, column m: given that m of the first i branches are in. Filled from the last branch to the first.
    """
    ahead = np.zeros((len(p) + 1, len(p) + 2))
    ahead[-1, size.fewest : size.most + 1] = 1.0
    for i in range(len(p) - 1, -1, -1):
        ahead[i, :-1] = (1 - p[i]) * ahead[i + 1, :-1] + p[i] * ahead[i + 1, 1:]
    return ahead


def _differing(
    p: NDArray[np.float64], first: NDArray[np.bool_], ahead: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the probability that a set is admissible and differs from ``first`` at branch i or later.

    Args:
        p: Probabilities, ``(k,)``.
        first: The set to differ from, ``(k,)``.
        ahead: A, of the shape of what is returned, ``(k + 1, k + 2)``.
    """
    differing = np.zeros_like(ahead)
    for i in range(len(p) - 1, -1, -1):
        if_out, if_in = (ahead, differing) if first[i] else (differing, ahead)
        differing[i, :-1] = (1 - p[i]) * if_out[i + 1, :-1] + p[i] * if_in[i + 1, 1:]
    return differing
