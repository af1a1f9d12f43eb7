"""How good a set of costs is, as one number."""

from collections.abc import Sequence

from numpy.typing import ArrayLike
from pymoo.indicators.hv import HV

from cars_hw.evolution.domination import as_costs
from devices._errors import SelectionError


def hypervolume(costs: ArrayLike, reference: Sequence[float]) -> float:
    """Measure, exactly, the volume that ``costs`` dominate within the box that ends at ``reference``.

    Comparable only under one normalisation and one reference point: fix and store both, customarily 1.1 in
    each objective, where 0 and 1 are the ends of a known front.

    Args:
        costs: ``(n, m)``, all minimised and normalised; those beyond ``reference`` contribute nothing.
        reference: ``(m,)``.

    Raises:
        SelectionError: A cost is NaN or infinite, or the costs do not have the length of ``reference``.
    """
    points, (corner,) = as_costs(costs), as_costs([reference])
    if points.shape[1] != len(corner):
        raise SelectionError(f"costs of {points.shape[1]} objectives, but a reference point of {len(corner)}")
    return float(HV(ref_point=corner)(points)) if len(points) else 0.0
