"""A data set, in one file: stripes of four directions, drawn with noise."""

import numpy as np
from pydantic import Field

from cars_hw.data import DataSet, ImageSet
from devices.foundation import Settings


class StripesSettings(Settings):
    """Settings of the data set.

    Attributes:
        images: How many.
    """

    images: int = Field(400, ge=40)


class Stripes(DataSet):
    """Images (1, 8, 8) of stripes, as many of each direction."""

    settings: StripesSettings

    def read(self) -> ImageSet:
        self.require_no_path()
        rng = np.random.default_rng(0)
        labels = np.arange(self.settings.images, dtype=np.int64) % 4
        rows, columns = np.mgrid[:8, :8]
        patterns = np.stack([rows % 2, columns % 2, (rows + columns) % 2, (rows + columns) // 2 % 2])
        images = 200 * patterns[labels][:, None] + rng.integers(0, 55, (len(labels), 1, 8, 8))
        return ImageSet(self.name, images.astype(np.uint8), labels, flips=False, source="drawn")
