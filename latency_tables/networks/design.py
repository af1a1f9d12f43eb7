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

#: Relative deviation of a measured network from its sum that is reckoned with. Larger than what measuring
#: adds: the form is not exact, and a choice that trusts it puts all networks at the edges of what there is.
DEVIATION = 0.2

#: Passes over the choice; a handful is enough, and each one after an exchange adds something.
_PASSES = 50
#: What an exchange has to add; less is rounding.
_LEAST_GAIN = 1e-9


def choose(
    rules: Sequence[tuple[Floats, Prior]],
    n: int,
    *,
    deviation: float = DEVIATION,
    rng: np.random.Generator,
    kept: Sequence[int] = (),
) -> list[int]:
    """Return which ``n`` of m candidates to measure, in ascending order.

    Args:
        rules: For each way to count, the candidates' features (m, d) and the prior of their coefficients, by
            which each sum is expected to be positive.
        n: How many; at most those that are not ``kept``.
        deviation: Of a measured network from its sum, relative to the latency that is expected of it.
        rng: For the choice that the exchange begins with.
        kept: Candidates that are measured in any case, beside which the others are chosen.
    """
    kernels = [_kernel(features, prior, deviation) for features, prior in rules]
    free = np.setdiff1d(np.arange(len(kernels[0])), kept)
    chosen, given = rng.choice(free, size=n, replace=False), np.array(kept, dtype=int)
    for _ in range(_PASSES):
        before = chosen.copy()
        for place in range(n):
            others = np.concatenate([given, np.delete(chosen, place)])
            gains = np.sum([_gains(kernel, others) for kernel in kernels], axis=0)
            gains[others] = -np.inf
            best = int(gains.argmax())
            if gains[best] > gains[chosen[place]] + _LEAST_GAIN:
                chosen[place] = best
        if np.array_equal(before, chosen):
            break
    return sorted(map(int, chosen))


def log_determinant(
    rules: Sequence[tuple[Floats, Prior]], chosen: Sequence[int], *, deviation: float = DEVIATION
) -> float:
    """Return what ``choose`` makes large: twice the information gained about the coefficients, in nats."""
    own = np.array(chosen)
    kernels = [_kernel(features[own], prior, deviation) for features, prior in rules]
    return sum(float(np.linalg.slogdet(np.eye(len(own)) + kernel)[1]) for kernel in kernels)


def _kernel(features: Floats, prior: Prior, deviation: float) -> Floats:
    """Return the covariance of the sums before any was measured, in units of the noise's variance, (m, m)."""
    scaled = features / (deviation * features @ prior.mean)[:, None]
    kernel: Floats = scaled @ prior.covariance @ scaled.T
    return kernel


def _gains(kernel: Floats, chosen: NDArray[np.intp]) -> Floats:
    """Return what each candidate adds to the logarithm of the determinant beside those ``chosen``, (m,)."""
    shared = kernel[chosen]
    known = np.linalg.solve(np.eye(len(chosen)) + shared[:, chosen], shared)
    variances = np.diag(kernel) - np.einsum("nm,nm->m", shared, known)
    gains: Floats = np.log1p(np.maximum(variances, 0.0))
    return gains
