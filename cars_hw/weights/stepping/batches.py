"""Batches: which images are in each, by its number and a seed alone."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def batch_indices(seed: int, number: int, *, size: int, n: int) -> NDArray[np.int64]:
    """Return the indices (size,) of the images in the batch ``number`` of epochs over ``n`` images.

    An epoch's last batch is as large as the others: it sees some images of the one before it again.
    """
    epoch, position = divmod(number, math.ceil(n / size))
    start = max(min(position * size, n - size), 0)
    return _epoch_order(seed, epoch, n)[start : start + size]


@lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """Return the order ``(n,)`` in which the epoch numbered ``epoch`` visits the images; read only."""
    return np.random.default_rng([seed, epoch]).permutation(n)
