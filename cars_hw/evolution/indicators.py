"""How good a set of costs is, as one number.

IGD+: H. Ishibuchi, H. Masuda, Y. Tanigaki, Y. Nojima, "Modified Distance Calculation in Generational Distance
and Inverted Generational Distance", EMO 2015.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from pymoo.indicators.hv import HV

from cars_hw.errors import SelectionError
from cars_hw.evolution.domination import Costs, as_costs


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


def igd_plus(costs: ArrayLike, front: ArrayLike) -> float:
    """Measure how far, on average, the points of a known front are from being matched or dominated.

    Args:
        costs: ``(n, m)``, all minimised and normalised like the front.
        front: ``(r, m)``.

    Raises:
        SelectionError: A cost is NaN or infinite, there is none, or both differ in the number of objectives.
    """
    found, known = _pair(costs, front)
    excess = np.maximum(found - known[:, None], 0.0)
    return float(np.linalg.norm(excess, axis=2).min(axis=1).mean())


def front_recall(costs: ArrayLike, front: ArrayLike) -> float:
    """Return the share of the points of a known front that stand among ``costs``, exactly.

    Args:
        costs: ``(n, m)``, in the units of the front.
        front: ``(r, m)``.

    Raises:
        SelectionError: A cost is NaN or infinite, there is none, or both differ in the number of objectives.
    """
    found, known = _pair(costs, front)
    return float((found == known[:, None]).all(axis=2).any(axis=1).mean())


def _pair(costs: ArrayLike, front: ArrayLike) -> tuple[Costs, Costs]:
    """Return both as arrays, ``(n, m)`` and ``(r, m)``, neither of them empty."""
    found, known = as_costs(costs), as_costs(front)
    if not len(found) or not len(known) or found.shape[1] != known.shape[1]:
        raise SelectionError(
            f"costs of shape {found.shape} cannot be held against a front of shape {known.shape}"
        )
    return found, known
