"""Gates: which branches are on, drawn independently for each, given how many may be on together.

With probability p_i for gate i, the probability of a set S of gates among all sets of admissible size is

    P(S) = prod_{i in S} p_i * prod_{i not in S} (1 - p_i) / Z

which is what drawing all gates until their number is admissible gives, too; here nothing is drawn in vain. At
most one gate and at least one make alternatives: P is then proportional to the odds p_i / (1 - p_i).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Gates of several draws, ``(n, gates)``.
Draws = NDArray[np.bool_]


@dataclass(frozen=True)
class Size:
    """How many gates may be on together.

    Attributes:
        fewest: The least number.
        most: The largest number, no less than ``fewest``.
    """

    fewest: int
    most: int


def draw(probabilities: ArrayLike, size: Size, n: int, rng: np.random.Generator) -> Draws:
    """Draw ``n`` sets, independent of each other.

    Args:
        probabilities: That of each gate, ``(gates,)``, all within (0, 1).
        size: The admissible sizes of a set; ``fewest`` is at most the number of gates.
        n: Number of sets.
        rng: The only source of randomness.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    ahead = _ahead(p, size)
    gates = np.zeros((n, len(p)), dtype=np.bool_)
    on = np.zeros(n, dtype=np.intp)
    # Gate by gate: given those before, gate i is on with probability p_i A(i + 1, on + 1) / A(i, on), where
    # A(i, on) is the probability that gates i and later make the number admissible. Nothing is rejected.
    for i, uniform in enumerate(rng.random((len(p), n))):
        gates[:, i] = uniform * ahead[i, on] < p[i] * ahead[i + 1, on + 1]
        on += gates[:, i]
    return gates


def draw_other(
    probabilities: ArrayLike, size: Size, first: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Draw a set, ``(gates,)``, among those that differ from ``first``; ``None`` where there is no other."""
    p = np.asarray(probabilities, dtype=np.float64)
    ahead = _ahead(p, size)
    differing = _differing(p, first, ahead)
    if not differing[0, 0]:
        return None
    gates = np.zeros(len(p), dtype=np.bool_)
    # As in ``draw``, but while all gates equal those of ``first``, the rest has to differ somewhere.
    on, still_same = 0, True
    for i, uniform in enumerate(rng.random(len(p))):
        after = {gate: differing if still_same and gate == first[i] else ahead for gate in (False, True)}
        off_chance, on_chance = (1 - p[i]) * after[False][i + 1, on], p[i] * after[True][i + 1, on + 1]
        gates[i] = uniform * (off_chance + on_chance) < on_chance
        still_same &= bool(gates[i] == first[i])
        on += int(gates[i])
    return gates


def log_odds(probabilities: ArrayLike, first: ArrayLike, other: ArrayLike) -> float:
    """Return log(P(first) / P(other)) of two sets ``(gates,)``, in which Z cancels."""
    p = np.asarray(probabilities, dtype=np.float64)
    signs = np.asarray(first, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return float(signs @ np.log(p / (1 - p)))


def _ahead(p: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
    """Return A ``(gates + 1, gates + 2)``: the probability that the number that is on is admissible.

    Row i, column k: given that k of the first i gates are on. Filled from the last gate to the first.
    """
    ahead = np.zeros((len(p) + 1, len(p) + 2))
    ahead[-1, size.fewest : size.most + 1] = 1.0
    for i in range(len(p) - 1, -1, -1):
        ahead[i, :-1] = (1 - p[i]) * ahead[i + 1, :-1] + p[i] * ahead[i + 1, 1:]
    return ahead


def _differing(
    p: NDArray[np.float64], first: NDArray[np.bool_], ahead: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the probability that a set is admissible and differs from ``first`` at gate i or later.

    Args:
        p: Probabilities, ``(gates,)``.
        first: The set to differ from, ``(gates,)``.
        ahead: A, of the shape of what is returned, ``(gates + 1, gates + 2)``.
    """
    differing = np.zeros_like(ahead)
    for i in range(len(p) - 1, -1, -1):
        if_off, if_on = (ahead, differing) if first[i] else (differing, ahead)
        differing[i, :-1] = (1 - p[i]) * if_off[i + 1, :-1] + p[i] * if_on[i + 1, 1:]
    return differing
