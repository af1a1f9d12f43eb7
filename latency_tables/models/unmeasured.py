"""Units that nobody measured: what they would take alone, by what they multiply, read and write."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from latency_tables.spec import OpSpec
from latency_tables.units.classes import UnitClass, unit_class, unit_work

Floats = NDArray[np.float64]

#: A unit's measurement is uncertain by this much at least, so that the smallest do not decide alone.
_LEAST_ERROR_S = 0.3e-6


class UnmeasuredUnits:
    """Estimates the latency of any unit from those of its class that were measured.

    Of each class a rate a multiply-accumulate and a rate an element are fitted, none below 0, by least
    relative squares. A class of which nothing was measured is estimated by all units.

    Args:
        alone_s: Seconds by unit, net of a call; at least one.
    """

    def __init__(self, alone_s: Mapping[OpSpec, float]) -> None:
        self._alone_s = alone_s
        self._rates: dict[UnitClass, Floats] = {}

    def alone_s(self, unit: OpSpec) -> float:
        """Return the seconds that ``unit`` would take alone."""
        name = unit_class(unit)
        if name not in self._rates:
            self._rates[name] = self._fitted(name)
        return float(_features(unit) @ self._rates[name])

    def _fitted(self, name: UnitClass) -> Floats:
        from scipy.optimize import nnls  # takes a while to import, and most networks have no such unit

        like = [unit for unit in self._alone_s if unit_class(unit) == name] or list(self._alone_s)
        latencies_s = np.array([self._alone_s[unit] for unit in like])
        features = np.array([_features(unit) for unit in like])
        weights = 1 / (latencies_s + _LEAST_ERROR_S)
        scales = features.max(axis=0)
        scales[scales == 0] = 1.0
        rates: Floats = nnls(features / scales * weights[:, None], latencies_s * weights)[0] / scales
        return rates


def _features(unit: OpSpec) -> Floats:
    work = unit_work(unit)
    return np.array([work.macs, work.elements], dtype=np.float64)
