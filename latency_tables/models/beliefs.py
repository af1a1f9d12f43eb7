"""Beliefs about units: what their latencies in networks have in common, and what networks say of it.

A unit that was measured alone takes ``a`` seconds, net of a call. In a network it takes a share ``f`` of
that, nearly the same for all units; what is left is shared by units of a class, by every node that is
dispatched, by weights, which are in the nearest cache only where a unit runs alone, or the unit's own. So
before any network is seen, the latencies x of units are Gaussian, with

    mean  m = f a
    covariance  P = 0.30² m mᵀ + Σ_c 0.20² m_c m_cᵀ + (0.3 µs)² 1 1ᵀ + (0.2 ns)² w wᵀ + diag((0.10 m)²)

where m_c is m on the units of class c and 0 elsewhere, and w how many weights each has. A unit that was not
measured takes the mean of its like (see ``unmeasured``), and has 0.30 in place of the 0.10. A whole network
pays for its call not quite what a call with next to nothing in it costs: one of x is the difference, 0 with
a deviation of 0.06 of the networks' mean, and every network has it once. Measured networks y (net of one
call) are linear
observations of x by their counts N, with independent errors of the share n of each:

    S = N P Nᵀ + diag((n y)²),    x | y  ~  Gaussian(m + P Nᵀ S⁻¹ (y - N m),  P - P Nᵀ S⁻¹ N P)

f is the factor of least relative squares, and n the smallest of a few shares at which the networks, each
predicted from all others, are off by no more than their deviations say: network i by

    z_i = (S⁻¹ (y - N m))_i / sqrt((S⁻¹)_ii)

standard deviations, its own error included (Rasmussen and Williams, Gaussian Processes for Machine Learning,
2006, eq. 5.12; f and P are not made anew without it). P is a few columns and a diagonal, so all that is
inverted is as large as there are networks, and any further unit costs one row.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latency_tables.models.calibration import common_factor
from latency_tables.units.classes import UNIT_CLASSES

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

COMMON_DEVIATION = 0.30
CLASS_DEVIATION = 0.20
OWN_DEVIATION = 0.10
UNMEASURED_DEVIATION = 0.30
DISPATCH_DEVIATION_S = 0.3e-6
WEIGHT_DEVIATION_S = 0.2e-9
CALL_DEVIATION = 0.06

#: Shares of a network's latency by which it may differ from the sum of its units.
NOISES = (0.01, 0.0125, 0.015, 0.02, 0.025, 0.03, 0.05)
#: Fewer networks say nothing of their noise: f alone fits one, and nearly two.
_MIN_NETWORKS = 3


@dataclass(frozen=True)
class Prior:
    """Units before networks are seen: x = mean + shared z + own e, with z and e standard Gaussian.

    Attributes:
        mean_s: Seconds, (d,).
        shared_s: The columns of what units have in common, seconds, (d, r).
        own_s: Their own deviations, seconds, (d,).
    """

    mean_s: Floats
    shared_s: Floats
    own_s: Floats

    @classmethod
    def of(
        cls, alone_s: Floats, classes: Places, weights: Floats, is_measured: NDArray[np.bool_], factor: float
    ) -> "Prior":
        """Return the prior of units.

        Args:
            alone_s: Measured alone, or what their like take, net of a call, (d,).
            classes: Their places in ``UNIT_CLASSES``, (d,).
            weights: How many constants they read, (d,).
            is_measured: Which of them were measured, (d,).
            factor: Share of it that a unit takes in a network.
        """
        mean_s = factor * alone_s
        by_class = np.eye(len(UNIT_CLASSES))[classes] * mean_s[:, None]
        shared_s = np.column_stack(
            [
                COMMON_DEVIATION * mean_s,
                CLASS_DEVIATION * by_class,
                np.full(len(mean_s), DISPATCH_DEVIATION_S),
                WEIGHT_DEVIATION_S * weights,
            ]
        )
        return cls(mean_s, shared_s, np.where(is_measured, OWN_DEVIATION, UNMEASURED_DEVIATION) * mean_s)

    def after_call(self, networks_s: Floats) -> "Prior":
        """Return the prior with the call first, as networks pay for it beside its own entry.

        Args:
            networks_s: Measured networks, net of one call, (k,).
        """
        deviation_s = CALL_DEVIATION * float(np.mean(networks_s)) if len(networks_s) else 0.0
        return Prior(
            np.append(0.0, self.mean_s),
            np.vstack([np.zeros(self.shared_s.shape[1]), self.shared_s]),
            np.append(deviation_s, self.own_s),
        )

    def with_networks(self, counts: Floats) -> Floats:
        """Return the covariance of units with networks of ``counts`` (k, d): P Nᵀ, (d, k)."""
        return self.shared_s @ (counts @ self.shared_s).T + self.own_s[:, None] ** 2 * counts.T


@dataclass(frozen=True)
class Beliefs:
    """What measured networks say of units, those included that none of them has.

    Attributes:
        noise: n, the share by which a network differs from the sum of its units.
        shared_s: The networks' covariance with what units have in common, (r, k).
        weights: S⁻¹ (y - N m), (k,).
        whitening: W with W Wᵀ = S⁻¹, (k, k).
    """

    noise: float
    shared_s: Floats
    weights: Floats
    whitening: Floats

    def rows(self, prior: Prior, counts: Floats) -> Floats:
        """Return what predictions need of each unit: mean, own variance, shared columns, what is explained.

        The variance of a sum of units is that of its shared columns and own parts, less the squares of the
        sum of what is explained.

        Args:
            prior: Of the units, (d,).
            counts: Occurrences of each in the networks, (k, d).

        Returns:
            (d, 2 + r + k).
        """
        cross = prior.shared_s @ self.shared_s + prior.own_s[:, None] ** 2 * counts.T
        mean_s = prior.mean_s + cross @ self.weights
        return np.column_stack([mean_s, prior.own_s**2, prior.shared_s, cross @ self.whitening])


def update(prior: Prior, counts: Floats, networks_s: Floats) -> Beliefs:
    """Return the beliefs after seeing measured networks, of which there may be none.

    Args:
        prior: Of their units, (d,).
        counts: Occurrences of each unit in each network, (k, d).
        networks_s: The networks, net of one call, (k,); positive.
    """
    noise = chosen_noise(prior, counts, networks_s)
    whitening = _whitening(prior, counts, networks_s, noise)
    return Beliefs(
        noise,
        (counts @ prior.shared_s).T,
        whitening @ (whitening.T @ (networks_s - counts @ prior.mean_s)),
        whitening,
    )


def chosen_noise(prior: Prior, counts: Floats, networks_s: Floats) -> float:
    """Return the smallest of ``NOISES`` at which the networks surprise no more than they should.

    Arguments as those of ``update``. Of fewer than three networks, nobody can tell: the largest.
    """
    if len(networks_s) < _MIN_NETWORKS:
        return NOISES[-1]
    for noise in NOISES[:-1]:
        z = leave_one_out(prior, counts, networks_s, noise)
        if float(np.mean(z**2)) <= 1:
            return noise
    return NOISES[-1]


def leave_one_out(prior: Prior, counts: Floats, networks_s: Floats, noise: float) -> Floats:
    """Return by how many standard deviations each network is off when all others predict it, (k,).

    Arguments as those of ``update``.
    """
    whitening = _whitening(prior, counts, networks_s, noise)
    inverse = whitening @ whitening.T
    return inverse @ (networks_s - counts @ prior.mean_s) / np.sqrt(np.diag(inverse))


def factor_of(alone_s: Floats, counts: Floats, networks_s: Floats) -> float:
    """Return f, of least relative squares; 1 without networks. Arguments as above."""
    return common_factor(counts @ alone_s, networks_s) if len(networks_s) else 1.0


def _whitening(prior: Prior, counts: Floats, networks_s: Floats, noise: float) -> Floats:
    """Return W with W Wᵀ = S⁻¹, (k, k).

    Of S = L Lᵀ it is L⁻ᵀ. S itself is factored, since its inverse, computed, need not be positive definite:
    in networks of less than a dispatch's deviation, what they share is many orders above what is their own.
    """
    covariance = counts @ prior.with_networks(counts) + np.diag((noise * networks_s) ** 2)
    whitening: Floats = np.linalg.inv(np.linalg.cholesky(covariance)).T
    return whitening
