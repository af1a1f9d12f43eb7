"""A robust linear regression of few latencies, with a prior; several ways to count are averaged.

A network's latency is a sum over what it is made of, plus noise that is relative to the latency, and now and
then large:

    y = x b + y e,   b ~ N(m, C),   e ~ sigma Student-t(4)

The posterior is the variational one: a Student's t is a Gaussian whose precision is multiplied by a weight
of its own, with a Gamma distribution; beliefs about b, the weights and 1 / sigma^2 are improved in turns
(M. E. Tipping, N. D. Lawrence, "Variational inference for Student-t models: Robust Bayesian interpolation
and generalised component analysis", Neurocomputing 69, 2005). All systems are solved in the space of the n
networks, so there may be far more coefficients than networks.

Which operations a runtime executes is not known (all, or those alone that the output depends on), and each
answer is another x. Each is fitted, and predictions are averaged by the density that a fit gives to each
network when it has not seen it (Y. Yao et al., "Using stacking to average Bayesian predictive
distributions", Bayesian Analysis 13, 2018: pseudo-BMA).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Turns; the beliefs have settled long before, and a fixed number keeps a fit the same everywhere.
_TURNS = 60


@dataclass(frozen=True)
class Noise:
    """What is believed of a network's deviation from the sum before one was measured.

    Attributes:
        deviation: Its scale, relative to the network's latency.
        networks: How many measured networks that scale counts for.
        freedom: Degrees of freedom of Student's t; 4 are heavy enough for a network that was measured while
            something else ran.
    """

    deviation: float = 0.05
    networks: float = 1.0
    freedom: float = 4.0


NOISE = Noise()


@dataclass(frozen=True)
class Prior:
    """What is believed of coefficients before a network was measured: a Gaussian.

    Attributes:
        mean: (d,), in the unit of the latencies.
        covariance: (d, d), positive definite.
    """

    mean: Floats
    covariance: Floats

    def times(self, factor: float) -> "Prior":
        """Return the prior of coefficients that are ``factor`` times as large."""
        return Prior(factor * self.mean, factor**2 * self.covariance)


@dataclass(frozen=True)
class Fit:
    """Beliefs about coefficients after networks were measured.

    Attributes:
        mean: (d,).
        covariance: (d, d).
        noise: Scale of a network's deviation from the sum, relative to its latency.
        freedom: Degrees of freedom of that deviation.
        log_density: Logarithm of the density of each network's latency, by the other networks, (n,).
    """

    mean: Floats
    covariance: Floats
    noise: float
    freedom: float
    log_density: Floats

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of networks, (m,) each.

        Args:
            features: (m, d).
        """
        means = features @ self.mean
        variances = np.einsum("md,md->m", features @ self.covariance, features)
        inflation = self.freedom / (self.freedom - 2)  # the variance of a Student's t
        return means, np.sqrt(np.maximum(variances, 0.0) + inflation * (self.noise * means) ** 2)


@dataclass(frozen=True)
class Average:
    """Several fits of the same networks, each by features of its own.

    Attributes:
        fits: One for each way to count.
        weights: How much each counts, (r,); they sum to 1.
    """

    fits: tuple[Fit, ...]
    weights: Floats

    def predict(self, features: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of networks, (m,) each: those of the mixture.

        Args:
            features: For each way to count, (m, d).
        """
        means, deviations = map(
            np.array,
            zip(*(fit.predict(own) for fit, own in zip(self.fits, features, strict=True)), strict=True),
        )
        mean = self.weights @ means
        return mean, np.sqrt(self.weights @ (deviations**2 + (means - mean) ** 2))


def share_prior(features: Floats, mean: Floats, deviation: Floats) -> Prior:
    """Return the prior that follows from the share that each coefficient has of the average latency, 1.

    Args:
        features: Of the networks whose average latency is 1, (n, d); none has a negative one.
        mean: Shares that are expected, (d,).
        deviation: Their standard deviations, (d,), positive.
    """
    # What none of the networks has, has no share of them: its coefficient is believed to be as if one had it.
    occurrences = np.maximum(features.mean(axis=0), 1.0 / len(features))
    return Prior(mean / occurrences, np.diag((deviation / occurrences) ** 2))


def fit(features: Floats, latencies: Floats, prior: Prior, noise: Noise = NOISE) -> Fit:
    """Return the beliefs about the coefficients, and how well the networks predict each other.

    Args:
        features: (n, d); n is at least 2.
        latencies: (n,), positive.
        prior: Of coefficients for an average latency of 1.
        noise: Of a network's deviation.
    """
    # Each network's sum is divided by its latency: all targets are 1, and the noise is the same for all.
    n, average = len(latencies), float(latencies.mean())
    scaled = features * (average / latencies)[:, None]
    residuals = 1.0 - scaled @ prior.mean
    kernel = scaled @ prior.covariance @ scaled.T
    seen = np.vstack([1.0 - np.eye(n), np.ones((1, n))])  # each network left out, then none
    settled = _settle(kernel, residuals, seen, noise)
    precision = settled.precision[-1]
    inverse = precision[:, None] * np.linalg.inv(np.eye(n) + kernel * precision)  # of kernel + noise
    gain = prior.covariance @ scaled.T @ inverse
    covariance = prior.covariance - gain @ scaled @ prior.covariance
    return Fit(
        average * (prior.mean + gain @ residuals),
        average**2 * covariance,
        float(settled.scale[-1]),
        noise.freedom,
        _left_out(settled, residuals, noise.freedom) - np.log(latencies),
    )


def average(fits: Sequence[Fit]) -> Average:
    """Average fits of the same networks by the density that they give to each when it is left out."""
    totals = np.array([one.log_density.sum() for one in fits])
    weights = np.exp(totals - totals.max())
    return Average(tuple(fits), weights / weights.sum())


@dataclass(frozen=True)
class _Settled:
    """Beliefs of b fits that see some of the n networks each.

    Attributes:
        precision: Of each network's noise, 0 where it is not seen, (b, n).
        scale: Of the noise, (b,).
        means: Of the networks' relative sums, less the prior's, (b, n).
        variances: Of the networks' relative sums, (b, n).
    """

    precision: Floats
    scale: Floats
    means: Floats
    variances: Floats


def _settle(kernel: Floats, residuals: Floats, seen: Floats, noise: Noise) -> _Settled:
    """Improve the beliefs in turns.

    Args:
        kernel: Covariance of the networks' sums before any was measured, relative to the latencies, (n, n).
        residuals: 1 less the prior's sums relative to the latencies, (n,).
        seen: 1 for networks that are seen, 0 for the others, (b, n).
        noise: As it was believed to be.
    """
    identity, n_seen = np.eye(len(residuals)), seen.sum(axis=1)
    weight, scale = np.ones_like(seen), np.full(len(seen), noise.deviation)
    for _ in range(_TURNS):
        precision = seen * weight / scale[:, None] ** 2
        posterior = np.linalg.solve(identity + kernel * precision[:, None, :], kernel)
        means = np.einsum("bij,bj->bi", posterior, precision * residuals)
        variances = np.maximum(np.einsum("bii->bi", posterior), 0.0)
        squares = (residuals - means) ** 2 + variances
        weight = (noise.freedom + 1) / (noise.freedom + squares / scale[:, None] ** 2)
        total = noise.networks * noise.deviation**2 + (seen * weight * squares).sum(axis=1)
        scale = np.sqrt(total / (noise.networks + n_seen))
    return _Settled(precision, scale, means, variances)


def _left_out(settled: _Settled, residuals: Floats, freedom: float) -> Floats:
    """Return the logarithm of the density of each network by the fit that did not see it, (n,)."""
    i = np.arange(len(residuals))
    scales = np.sqrt(settled.scale[i] ** 2 + settled.variances[i, i])
    z = (residuals[i] - settled.means[i, i]) / scales
    constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    return constant - (freedom + 1) / 2 * np.log1p(z**2 / freedom) - np.log(scales)
