"""Beliefs about operations, corrected jointly by whole networks: a Gaussian update.

An operation measured alone pays for more than it does inside a network: its input and output are converted
to and from the runtime's own layout, and caches are cold or warm otherwise. The error is nearly one factor
for all operations, and the rest differs from one to the next. So the belief about each operation starts at
its measurement times the factor that fits the measured networks, with a wide deviation, and each measured
network is one linear observation of the beliefs (its counts times the operations), which corrects all of
them at once.

An operation that none of the measured networks has is corrected by the factor alone, and its error stays
independent of all others. So the covariance is that of the networks' operations, however many a table has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Standard deviation of an operation's true cost in a network, relative to its scaled measurement.
PRIOR_DEVIATION = 0.10
#: Standard deviation of a measured network from the sum of its operations' true costs, relative.
NETWORK_DEVIATION = 0.03


@dataclass(frozen=True)
class Beliefs:
    """The costs of operations inside of networks.

    Attributes:
        mean_s: Seconds of those that a measured network has, (d,).
        covariance: Their covariance, seconds squared, (d, d).
        factor: What the measurement of any other operation, alone, is to be multiplied by.
    """

    mean_s: Floats
    covariance: Floats
    factor: float

    def other_s(self, alone_s: float) -> tuple[float, float]:
        """Return mean and standard deviation of an operation that no measured network has."""
        mean_s = self.factor * alone_s
        return mean_s, PRIOR_DEVIATION * mean_s

    def latency_s(self, counts: Floats, others_s: Sequence[float] = ()) -> tuple[float, float]:
        """Return mean and standard deviation of a network.

        Args:
            counts: Its operations that a measured network has, (d,).
            others_s: Of each other operation, the seconds of all occurrences, measured alone.
        """
        others = [self.other_s(alone_s) for alone_s in others_s]
        mean_s = float(counts @ self.mean_s) + sum(mean_s for mean_s, _ in others)
        variance = float(counts @ self.covariance @ counts) + sum(deviation**2 for _, deviation in others)
        return mean_s, (variance + (NETWORK_DEVIATION * mean_s) ** 2) ** 0.5


def update(alone_s: Floats, counts: Floats, networks_s: Floats) -> Beliefs:
    """Return the beliefs after seeing measured networks.

    Args:
        alone_s: The networks' operations, measured alone, net of the call overhead, (d,).
        counts: Occurrences of each operation in each network, (k, d).
        networks_s: The networks, net of one call overhead, (k,); positive.
    """
    # The posterior of a Gaussian prior N(prior, P) after linear observations counts @ x + noise, in the form
    # of a Kalman update; P is diagonal, so that k x k systems are solved, not d x d ones.
    factor = common_factor(counts @ alone_s, networks_s)
    prior = factor * alone_s
    prior_covariance = np.diag((PRIOR_DEVIATION * prior) ** 2)
    cross = counts @ prior_covariance
    noise = np.diag((NETWORK_DEVIATION * networks_s) ** 2)
    gain = np.linalg.solve(cross @ counts.T + noise, cross).T
    mean = prior + gain @ (networks_s - counts @ prior)
    return Beliefs(np.maximum(mean, 0.0), prior_covariance - gain @ cross, factor)


def common_factor(sums_s: Floats, networks_s: Floats) -> float:
    """Return the factor on ``sums_s`` (k,) of least squared relative difference to ``networks_s`` (k,)."""
    ratios = sums_s / networks_s
    return float(ratios.sum() / (ratios @ ratios))
