"""ErrorModel: a cheap prediction of the error of an architecture, from those that were evaluated.

A Gaussian process (C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006;
equation numbers are that book's). Two architectures are similar as they share options, and as their known
costs rank alike; how far similarity reaches, and how noisy errors are, is what the evaluated ones make most
likely.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cars_hw.evolution.domination import Costs

Options = NDArray[np.intp]


@dataclass(frozen=True)
class Believed:
    """What may be most likely of errors, before they are seen.

    Attributes:
        reaches: Share of decisions over which similarity by options falls to 1/e.
        widths: Distance of ranks over which similarity by costs falls to exp(-1/2).
        noises: Variance of noise, in that of the errors.
    """

    reaches: Sequence[float] = (0.17, 0.33, 0.67, 1.33)
    widths: Sequence[float] = (0.15, 0.5, 1.5)
    noises: Sequence[float] = (1e-3, 1e-2, 5e-2, 2e-1)


_USUAL = Believed()
#: Where errors are told apart from noise: what an architecture alone has, and none that is near, is noise.
_SMOOTH = Believed(reaches=(1.33, 3.0, 6.0), noises=(1e-3, 1e-2, 5e-2, 2e-1, 0.5, 1.0, 2.0))

#: Likelihoods are compared on so many evaluations, spread over all.
_N_COMPARED = 300
#: Errors further above the upper quartile than so many interquartile ranges are taken for that far.
_FENCE = 1.5
_BATCH = 4096


class ErrorModel:
    """Errors of architectures, modelled by those of others.

    The prediction follows the errors when these are shifted or scaled.

    Args:
        options: Those of the evaluated architectures, ``(n, d)``.
        ranks: Ranks of their known costs, in [0, 1], ``(n, k)``.
        errors: ``(n,)``, finite; a few of them far off do not spoil the prediction of the others.
        believed: What may be most likely.
    """

    def __init__(
        self,
        options: Options,
        ranks: Costs,
        errors: NDArray[np.float64],
        believed: Believed = _USUAL,
    ) -> None:
        from scipy.linalg import cholesky, solve_triangular  # takes a tenth of a second

        capped = np.minimum(errors, fence(errors))
        self._centre, self._unit = float(capped.mean()), float(capped.std()) or 1.0
        targets = (capped - self._centre) / self._unit
        self._options, self._ranks, self._believed = options, ranks, believed
        self._reach, self._width, self._noise = self._most_likely(targets)
        covariance = self._similarity(options, ranks) + self._noise * np.eye(len(errors))
        self._root: Costs = cholesky(covariance, lower=True)
        self._weights: Costs = solve_triangular(self._root, targets, lower=True)
        self._variance = float(np.mean(self._weights**2))

    def predict(self, options: Options, ranks: Costs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean and the standard deviation of the error of architectures, ``(q,)`` each.

        Args:
            options: ``(q, d)``.
            ranks: Ranks of their known costs, on the scale of the evaluated ones, ``(q, k)``.
        """
        from scipy.linalg import solve_triangular

        means, deviations = np.empty(len(options)), np.empty(len(options))
        for start in range(0, len(options), _BATCH):
            part = slice(start, start + _BATCH)
            similarity = self._similarity(options[part], ranks[part])
            whitened = solve_triangular(self._root, similarity.T, lower=True)
            means[part] = whitened.T @ self._weights  # eq. 2.25
            unexplained = np.maximum(1.0 - (whitened**2).sum(axis=0), 1e-9)  # eq. 2.26
            deviations[part] = np.sqrt(self._variance * unexplained)
        return self._centre + self._unit * means, self._unit * deviations

    def _similarity(self, options: Options, ranks: Costs) -> Costs:
        """Return the prior covariance ``(q, n)`` of ``q`` architectures with the evaluated ones."""
        return _covariance(
            _differing(options, self._options), _apart(ranks, self._ranks), self._reach, self._width
        )

    def _most_likely(self, targets: NDArray[np.float64]) -> tuple[float, float, float]:
        """Return reach, width and noise that make the targets ``(n,)`` most likely (eq. 2.30).

        Each choice is judged at the scale of the covariance that suits it best.
        """
        some = np.unique(np.linspace(0, len(targets) - 1, _N_COMPARED).round().astype(np.intp))
        options, ranks = self._options[some], self._ranks[some]
        differing, apart = _differing(options, options), _apart(ranks, ranks)
        believed = self._believed
        best, found = -np.inf, (believed.reaches[0], believed.widths[0], believed.noises[0])
        for reach, width in product(believed.reaches, believed.widths):
            # One eigendecomposition serves all noises: noise only shifts the eigenvalues.
            values, vectors = np.linalg.eigh(_covariance(differing, apart, reach, width))
            power = (vectors.T @ targets[some]) ** 2
            for noise in believed.noises:
                spectrum = np.maximum(values, 0.0) + noise
                scale = max(float(np.mean(power / spectrum)), 1e-12)
                likelihood = -float(len(some) * np.log(scale) + np.log(spectrum).sum())
                if likelihood > best:
                    best, found = likelihood, (reach, width, noise)
        return found


def fence(errors: NDArray[np.float64]) -> float:
    """Return the error beyond which one of ``(n,)`` is an outlier (J. W. Tukey's fence)."""
    lower, upper = np.quantile(errors, [0.25, 0.75])
    return float(upper + _FENCE * (upper - lower))


def smoothed(options: Options, costs: Costs) -> NDArray[np.float64]:
    """Return the errors that are likely behind measured ones, by what similar architectures have, ``(n,)``.

    Args:
        options: ``(n, d)``.
        costs: Measured errors, and costs that are known, ``(n, m)``.
    """
    ranks = ranks_of(costs[:, 1:])
    return ErrorModel(options, ranks, costs[:, 0], _SMOOTH).predict(options, ranks)[0]


def ranks_of(costs: Costs) -> Costs:
    """Return costs ``(n, k)`` as ranks from 0 to 1: the same in every unit."""
    places = [_average_places(column) / max(len(costs) - 1, 1) for column in costs.T]
    ranks: Costs = np.column_stack(places) if places else np.empty((len(costs), 0))
    return ranks


def _average_places(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the places of numbers ``(n,)`` in ascending order, from 0; equal ones have their average."""
    _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
    averages: NDArray[np.float64] = np.cumsum(counts) - (counts + 1) / 2
    return averages[inverse]


def _covariance(differing: Costs, apart: Costs, reach: float, width: float) -> Costs:
    """Return the covariance of architectures, 1 for equal ones, of the shape of both distances."""
    similarity: Costs = 0.5 * np.exp(-differing / reach) + 0.5 * np.exp(-apart / (2.0 * width**2))
    return similarity


def _differing(a: Options, b: Options) -> Costs:
    """Return the share of decisions in which architectures differ, ``(len(a), len(b))``."""
    equal = np.zeros((len(a), len(b)))
    for decision in range(a.shape[1]):
        equal += a[:, decision, None] == b[:, decision]
    differing: Costs = 1.0 - equal / a.shape[1]
    return differing


def _apart(a: Costs, b: Costs) -> Costs:
    """Return the squared distances of ranks, ``(len(a), len(b))``."""
    squared: Costs = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
    return np.maximum(squared, 0.0)
