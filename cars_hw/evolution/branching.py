"""Branching: indicators of branches, trained by comparing two sets of branches at a time.

Ci et al., "Evolving Search Space for Neural Architecture Search", ICCV 2021, arXiv 2011.10904, and its
released code. Of two sets S and U, drawn with probabilities P_S and P_U, the shares are

    p_S = P_S / (P_S + P_U),  p_U = 1 - p_S

and what they compute, or cost, enters the loss in these shares.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cars_hw.evolution import gates

Vector = NDArray[np.float64]

#: Keeps every probability off 0 and 1: p = 0.999 sigmoid(theta) + 0.0005.
_SLOPE, _FLOOR = 0.999, 0.0005

_BETA, _EPSILON = 0.999, 1e-8


def probabilities(indicators: ArrayLike) -> Vector:
    """Return the probability of each branch, from its indicator theta."""
    return _SLOPE * _sigmoid(np.asarray(indicators, dtype=np.float64)) + _FLOOR


def share(indicators: ArrayLike, first: ArrayLike, other: ArrayLike) -> float:
    """Return p_S, the share of the set ``first`` against ``other``.

    Args:
        indicators: Of the branches, ``(k,)``.
        first: Whether each branch is in S.
        other: Whether it is in U.
    """
    return float(_sigmoid(np.float64(gates.log_odds(probabilities(indicators), first, other))))


def share_gradient(indicators: ArrayLike, first: ArrayLike, other: ArrayLike) -> Vector:
    """Return the derivative of ``share`` by each indicator, ``(k,)``: 0 for branches in both or in none."""
    sigmoid = _sigmoid(np.asarray(indicators, dtype=np.float64))
    p = probabilities(indicators)
    signs = np.asarray(first, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    log_odds_slopes = signs * _SLOPE * sigmoid * (1 - sigmoid) / (p * (1 - p))
    p_first = share(indicators, first, other)
    return p_first * (1 - p_first) * log_odds_slopes


@dataclass(frozen=True)
class Penalty:
    """What missing a target costs: factor * |cost / target - 1| ** power.

    Attributes:
        target: The cost to meet.
        factor: The weight of the penalty in the loss.
        power: At least 1.
    """

    target: float
    factor: float
    power: float

    def __call__(self, cost: float) -> float:
        """Return the penalty of ``cost``."""
        return self.factor * abs(cost / self.target - 1) ** self.power

    def slope(self, cost: float) -> float:
        """Return the derivative by the cost."""
        miss = cost / self.target - 1
        return float(np.sign(miss)) * self.factor * self.power * abs(miss) ** (self.power - 1) / self.target


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
        """Return the optimiser after a step along ``gradient``, and what the parameters change by."""
        after = Adam(_BETA * self.moments + (1 - _BETA) * gradient**2, self.steps + 1)
        unbiased = after.moments / (1 - _BETA**after.steps)
        return after, -rate * gradient / (np.sqrt(unbiased) + _EPSILON)


def _sigmoid(value: Vector | np.float64) -> Vector:
    return np.asarray(0.5 * (1 + np.tanh(value / 2)), dtype=np.float64)
