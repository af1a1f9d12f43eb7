"""Images in torch's order, (n, c, h, w), and in TFLite's, (n, h, w, c). What is no image stays as it is."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

IMAGE_RANK = 4


def nhwc_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape in TFLite of what has ``shape`` in torch."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) == IMAGE_RANK else tuple(shape)


def nchw_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape in torch of what has ``shape`` in TFLite."""
    return (shape[0], shape[-1], *shape[1:-1]) if len(shape) == IMAGE_RANK else tuple(shape)


def nhwc(values: NDArray[Number]) -> NDArray[Number]:
    """Return torch's ``values``, (n, c, h, w), as (n, h, w, c); those of any other rank as they are."""
    return np.moveaxis(values, 1, -1).copy(order="C") if values.ndim == IMAGE_RANK else values


def nchw(values: NDArray[Number]) -> NDArray[Number]:
    """Return TFLite's ``values``, (n, h, w, c), as (n, c, h, w); those of any other rank as they are."""
    return np.moveaxis(values, -1, 1).copy(order="C") if values.ndim == IMAGE_RANK else values
