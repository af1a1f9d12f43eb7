"""1 797 handwritten digits of 8x8 pixels, which lie in scikit-learn."""

import numpy as np

from cars_hw.data._image_set import DataSet, ImageSet
from cars_hw.errors import DataError


class Digits(DataSet):
    """The test part of UCI's Optical Recognition of Handwritten Digits; its pixels of 0..16 are stretched."""

    def read(self) -> ImageSet:
        self.require_no_path()
        try:
            from sklearn.datasets import load_digits
        except ModuleNotFoundError as error:
            raise DataError("digits lie in scikit-learn; install it: pip install 'cars-hw[demo]'") from error
        bunch = load_digits()
        images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
        source = "UCI Optical Recognition of Handwritten Digits (CC BY 4.0) in scikit-learn (BSD-3)"
        return ImageSet("digits", images, bunch.target.astype(np.int64), flips=False, source=source)
