"""Validation: whole networks that were predicted from a table and measured beside it.

A table carries this of itself, so that whoever uses it sees how far it may be trusted. The measurements are
entries of the table; here stand the predictions that were made from its operations then.
"""

from dataclasses import dataclass

from latency_tables.errors import TableError
from latency_tables.spec import OpSpec

#: Fewer networks would leave the order's figure, Kendall's tau, to chance.
MIN_NETWORKS = 3
#: Fewer than 20 leave the spread of Kendall's tau too wide to tell a good table from a bad one.
VALIDATION_NETWORKS = 20

_LONGEST_S = 1e6


@dataclass(frozen=True)
class PredictedNetwork:
    """The prediction of one network, made before its measurement was known to the table.

    Attributes:
        spec: The network's key; its measurement is an entry of the table.
        latency_s: Predicted seconds.
        interval_s: Predicted 95 % interval, (low, high).

    Raises:
        TableError: A number is no latency, or the interval does not hold the prediction.
    """

    spec: OpSpec
    latency_s: float
    interval_s: tuple[float, float]

    def __post_init__(self) -> None:
        low_s, high_s = self.interval_s
        if not 0 <= low_s <= self.latency_s <= high_s <= _LONGEST_S or not self.latency_s > 0:
            raise TableError(f"{self.latency_s!r} s in {self.interval_s!r} is no prediction of {self.spec}")


@dataclass(frozen=True)
class Validation:
    """The predictions of a validation.

    Attributes:
        basis: SHA-256 of the entries that predicted; with other entries the figures no longer hold.
        networks: At least ``MIN_NETWORKS``, each once.

    Raises:
        TableError: There are fewer, or one occurs twice.
    """

    basis: str
    networks: tuple[PredictedNetwork, ...]

    def __post_init__(self) -> None:
        distinct = {network.spec for network in self.networks}
        if len(distinct) < MIN_NETWORKS or len(distinct) != len(self.networks):
            raise TableError(f"a validation needs {MIN_NETWORKS} or more networks, each once")
