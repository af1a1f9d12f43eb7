"""Errors of searching."""

from collections.abc import Mapping

from devices.foundation import CarsHwError, ConfigError
from latency_tables import TableError


class ArchitectureError(CarsHwError):
    """A tuple, genotype or text that is not a member of the space."""


class SelectionError(CarsHwError):
    """Costs that cannot be ranked: NaN, infinite or ragged."""


class DataError(CarsHwError):
    """Images that cannot be loaded."""


class UncountedError(TableError):
    """A table of units, of whose device nobody here can tell which units it executes of a network."""


class CheckpointError(CarsHwError):
    """A run folder that cannot be resumed."""


class PluginNotAllowedError(ConfigError):
    """A file that somebody else may have written names a module whose code would run.

    Args:
        where: What names it.
        name: The module.
    """

    def __init__(self, where: str, name: str) -> None:
        self.where, self.name = where, name[:64]
        super().__init__(
            f"{where} names the module {self.name!r}, which is none of ours: opening it would run that "
            "module's code; allow it by name where you trust it"
        )


class InfeasibleError(ConfigError):
    """Limits that no network meets, or a network that violates them.

    Args:
        text: Which limits, and by how much.
        costs: The costs that are over their limits, or nearest to meeting all, by name; of a latency, the
            upper end of its interval.
    """

    def __init__(self, text: str, *, costs: Mapping[str, float]) -> None:
        self.costs = dict(costs)
        super().__init__(text)
