"""Images in as many at once as a file takes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

#: Outputs (n, classes).
Array = NDArray[np.float32]
#: Images (n, c, h, w): normalised, or pixels of 0..255.
Images = NDArray[np.float32] | NDArray[np.uint8]


def in_batches(images: Images, size: int, run: Callable[[Images], Array]) -> Array:
    """Return what ``run`` gives for images (n, c, h, w), ``size`` at once; the last ones are filled up.

    Args:
        images: At least one.
        size: Of each batch.
        run: Takes images (size, c, h, w) and returns (size, classes).
    """
    outputs = []
    for first in range(0, len(images), size):
        batch = images[first : first + size]
        missing = np.repeat(batch[-1:], size - len(batch), axis=0)
        outputs.append(run(np.concatenate([batch, missing]))[: len(batch)])
    return np.concatenate(outputs)
