"""The two orders of an image's axes."""

import numpy as np
import pytest

from profilers._layout import nchw, nchw_shape, nhwc, nhwc_shape


def test_channels_move_to_the_end_and_back() -> None:
    image = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    moved = nhwc(image)
    assert moved.shape == nhwc_shape(image.shape) == (1, 3, 4, 2)
    assert moved[0, 2, 1, 1] == image[0, 1, 2, 1]
    assert moved.flags.c_contiguous
    assert np.array_equal(nchw(moved), image)
    assert nchw_shape(moved.shape) == image.shape


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 3, 4), (1, 2, 3, 4, 5)])
def test_what_is_no_image_stays(shape: tuple[int, ...]) -> None:
    values = np.zeros(shape, dtype=np.float32)
    assert nhwc(values).shape == nchw(values).shape == nhwc_shape(shape) == nchw_shape(shape) == shape
