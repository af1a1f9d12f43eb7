"""Branching: indicators of branches, trained by comparing two sets of branches at a time.

Ci et al., "Evolving Search Space for Neural Architecture Search", ICCV 2021, arXiv 2011.10904, and its
released code, by whose functions the steps are cited. Of two sets S and U, drawn with
probabilities P_S and P_U, the shares are

    p_S = P_S / (P_S + P_U),  p_U = 1 - p_S

and what they compute, or cost, enters the loss in these shares.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cars_hw.networks.architecture import Architecture
from cars_hw.strategies._nse import inclusion
from cars_hw.strategies._nse.places import Place

Vector = NDArray[np.float64]

#: Keeps every probability off 0 and 1: p = 0.999 sigmoid(theta) + 0.0005.
_SLOPE, _FLOOR = 0.999, 0.0005

_BETA, _EPSILON = 0.999, 1e-8


def probabilities(indicators: ArrayLike) -> Vector:
    """Return the probability of each branch ``(k,)``, from its indicator theta ``(k,)``."""
    # AMBNet.sampler
    return _SLOPE * _sigmoid(np.asarray(indicators, dtype=np.float64)) + _FLOOR


def share(indicators: ArrayLike, first: ArrayLike, other: ArrayLike) -> float:
    """Return p_S, the share of the set ``first`` against ``other``.

    Args:
        indicators: Theta of each branch, ``(k,)``.
        first: Whether each branch is in S.
        other: Whether it is in U.
    """
    return float(_sigmoid(np.float64(inclusion.log_odds(probabilities(indicators), first, other))))


def share_gradient(indicators: ArrayLike, first: ArrayLike, other: ArrayLike) -> Vector:
    """Return the derivative of ``share`` by each indicator, ``(k,)``: 0 for branches in both or in none."""
    sigmoid = _sigmoid(np.asarray(indicators, dtype=np.float64))
    p = probabilities(indicators)
    signs = np.asarray(first, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    # d log(P_S / P_U) / d theta_i = +-1 * p_i' / (p_i (1 - p_i)), with p' = 0.999 sigmoid (1 - sigmoid).
    log_odds_slopes = signs * _SLOPE * sigmoid * (1 - sigmoid) / (p * (1 - p))
    p_first = share(indicators, first, other)
    return p_first * (1 - p_first) * log_odds_slopes


@dataclass(frozen=True)
class Duel:
    """Two sets of operations at one place.

    Attributes:
        place: Where.
        operations: The numbers of the operations that compete there, ``(k,)``.
        indicators: Theta of each of them, ``(k,)``.
        first: S, whether each of them is in the chosen architecture, ``(k,)``.
        other: U, a set that differs from S where there is one, ``(k,)``.
    """

    place: Place
    operations: NDArray[np.intp]
    indicators: Vector
    first: NDArray[np.bool_]
    other: NDArray[np.bool_]

    @classmethod
    def drawn(
        cls, place: Place, operations: Sequence[int], indicators: Vector, rng: np.random.Generator
    ) -> "Duel":
        """Draw both sets, ``AMBNet.sampler(arch_update=True)``.

        Args:
            place: Where they compete.
            operations: The numbers of the k operations that do.
            indicators: Theta of all operations of all places, ``(o,)``.
            rng: The only source of randomness.
        """
        numbers = np.array(operations, dtype=np.intp)
        p = probabilities(indicators[numbers])
        first = inclusion.draw(p, place.size, 1, rng)[0]
        other = inclusion.draw_other(p, place.size, first, rng)
        return cls(place, numbers, indicators[numbers], first, first if other is None else other)

    @property
    def other_share(self) -> float:
        """The share p_U = 1 - p_S (``scale_factor`` in ``AMBNet.forward``)."""
        return 1.0 - share(self.indicators, self.first, self.other)

    def swapped(self, chosen: Architecture, other: Architecture) -> Architecture:
        """Return ``chosen`` with the decisions of this place from ``other``."""
        options = list(chosen)
        for decision in self.place.decisions:
            options[decision] = other[decision]
        return tuple(options)

    def gradient(self, difference: float) -> Vector:
        """Return the loss's derivative by the indicators, ``(k,)``.

        Args:
            difference: Derivative of the loss by p_S, with p_U = 1 - p_S.
        """
        return difference * share_gradient(self.indicators, self.first, self.other)


@dataclass(frozen=True)
class Expected:
    """A cost in expectation over the duels of an architecture, exact where the cost is a sum over places.

    Attributes:
        cost: The sum over places of p_S cost(S) + p_U cost(U), and all that the places do not decide.
        savings: For each duel, cost(S) - cost(U).
    """

    cost: float
    savings: tuple[float, ...]


def expected_cost(
    cost: Callable[[Architecture], float],
    duels: Sequence[Duel],
    chosen: Architecture,
    other: Architecture,
) -> Expected:
    """Return the cost expected of the duels between ``chosen``, which has each S, and ``other``.

    ``AMBNet.forward`` sums p_S cost(S) + p_U cost(U) over the layers. Here each U is put into ``chosen`` in
    turn, which gives the same for any cost that is a sum over layers.
    """
    all_first = cost(chosen)
    swaps = [duel.swapped(chosen, other) for duel in duels]
    savings = tuple(0.0 if swap == chosen else all_first - cost(swap) for swap in swaps)
    shifts = (duel.other_share * saving for duel, saving in zip(duels, savings, strict=True))
    return Expected(all_first - sum(shifts), savings)


@dataclass(frozen=True)
class Penalty:
    """What missing a target costs: factor * |cost / target - 1| ** power.

    The released code's ``train`` has alpha * (cost - target) ** beta.

    Attributes:
        target: The cost to meet.
        factor: The weight of the penalty in the loss.
        power: Exponent, at least 1.
    """

    target: float
    factor: float
    power: float

    def __call__(self, cost: float) -> float:
        """Return the penalty of ``cost``."""
        return self.factor * math.pow(abs(cost / self.target - 1), self.power)

    def slope(self, cost: float) -> float:
        """Return the derivative by the cost."""
        miss = cost / self.target - 1
        steepness = self.factor * self.power * math.pow(abs(miss), self.power - 1) / self.target
        return math.copysign(steepness, miss)


@dataclass(frozen=True)
class Adam:
    """Adam without a first moment (betas 0 and 0.999), which is what NSE trains indicators with.

    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.

    Attributes:
        moments: The second moment of each parameter's gradient, ``(n,)``.
        steps: Taken so far.
    """

    moments: Vector
    steps: int = 0

    def step(self, gradient: Vector, rate: float) -> tuple["Adam", Vector]:
        """Return the optimiser after a step, and what each parameter changes by, ``(n,)``.

        Args:
            gradient: The loss's derivative by each parameter, ``(n,)``.
            rate: The learning rate.
        """
        after = Adam(_BETA * self.moments + (1 - _BETA) * gradient**2, self.steps + 1)
        unbiased = after.moments / (1 - _BETA**after.steps)
        return after, -rate * gradient / (np.sqrt(unbiased) + _EPSILON)


def _sigmoid(value: Vector | np.float64) -> Vector:
    """Return the logistic function of ``value``, of any shape, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(value / 2)), dtype=np.float64)
