"""Numbers of half precision."""

import numpy as np
from numpy.typing import NDArray

from profilers.errors import UnsupportedOperationError

_LARGEST = float(np.finfo(np.float16).max)


def halves(weights: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return ``weights`` in half precision.

    Raises:
        UnsupportedOperationError: One is too large for that.
    """
    largest = float(np.abs(weights).max(initial=0.0))
    if not largest <= _LARGEST:
        raise UnsupportedOperationError(
            f"a weight of {largest:g} has no form in half precision; keep the float file"
        )
    return weights.astype(np.float16)
