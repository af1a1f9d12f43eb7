"""Which networks to measure: those whose latencies tell most about all coefficients together.

D-optimal design: the choice with the largest determinant of the coefficients' information, prior included,
found by exchange (V. V. Fedorov, "Theory of Optimal Experiments", 1972): each network of the choice in turn
gives its place to the candidate that adds most beside the others, until none does. Where several ways to
count are possible, the logarithms of their determinants are added.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latency_tables.networks.regression import Floats, Prior

#: Passes over the choice; a handful is enough, and each one after an exchange adds something.
_PASSES = 50
#: What an exchange has to add; less is rounding.
_LEAST_GAIN = 1e-9


def choose(
    rules: Sequence[tuple[Floats, Prior]], n: int, *, noise: float, rng: np.random.Generator
) -> list[int]:
    """Return which ``n`` of m candidates to measure, in ascending order.

    Args:
        rules: For each way to count, the candidates' features (m, d) and the prior of their coefficients.
        n: How many; at most m.
        noise: Standard deviation of a measured network from its sum, in the unit of the prior.
        rng: For the choice that the exchange begins with.
    """
    factors = [features @ np.linalg.cholesky(prior.covariance) / noise for features, prior in rules]
    chosen = rng.choice(len(factors[0]), size=n, replace=False)
    for _ in range(_PASSES):
        before = chosen.copy()
        for place in range(n):
            others = np.delete(chosen, place)
            gains = np.sum([_gains(factor, others) for factor in factors], axis=0)
            gains[others] = -np.inf
            best = int(gains.argmax())
            if gains[best] > gains[chosen[place]] + _LEAST_GAIN:
                chosen[place] = best
        if np.array_equal(before, chosen):
            break
    return sorted(map(int, chosen))


def log_determinant(rules: Sequence[tuple[Floats, Prior]], chosen: Sequence[int], *, noise: float) -> float:
    """Return what ``choose`` makes large: twice the information gained about the coefficients, in nats."""
    total = 0.0
    for features, prior in rules:
        factor = features[list(chosen)] @ np.linalg.cholesky(prior.covariance) / noise
        total += float(np.linalg.slogdet(np.eye(len(factor)) + factor @ factor.T)[1])
    return total


def _gains(factor: Floats, chosen: NDArray[np.intp]) -> Floats:
    """Return what each candidate adds to the logarithm of the determinant beside those ``chosen``, (m,)."""
    seen = factor[chosen]
    information = np.eye(factor.shape[1]) + seen.T @ seen
    variances = np.einsum("md,dm->m", factor, np.linalg.solve(information, factor.T), optimize=True)
    return np.log1p(variances)
