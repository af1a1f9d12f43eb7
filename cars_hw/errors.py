"""Errors of searching."""

from devices.foundation import CarsHwError


class ArchitectureError(CarsHwError):
    """A tuple, genotype or text that is not a member of the space."""


class SelectionError(CarsHwError):
    """Costs that cannot be ranked: NaN, infinite or ragged."""


class DataError(CarsHwError):
    """Images that cannot be loaded."""


class CheckpointError(CarsHwError):
    """A run folder that cannot be resumed."""
