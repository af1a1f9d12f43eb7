"""A data set from outside, in one file: ``[data] name = "my_lab.stripes"`` finds it."""

import numpy as np
from pydantic import Field

from cars_hw.data import DataSet, ImageSet
from devices.foundation import Settings


class StripesSettings(Settings):
    """What the data set may be told: further keys of ``[data]``.

    Attributes:
        images: How many there are.
        noise: Standard deviation of the noise, of 255.
    """

    images: int = Field(600, ge=100, le=100_000)
    noise: float = Field(150.0, ge=0)


class Stripes(DataSet):
    """Noisy stripes of 8x8 pixels: flat, upright, or crossed."""

    settings: StripesSettings

    def read(self) -> ImageSet:
        """Draw the images, the same on every machine."""
        rng = np.random.default_rng(0)
        labels = rng.integers(3, size=self.settings.images)
        rows, columns = np.indices((8, 8)) // 2 % 2 * 255
        patterns = np.stack([rows, columns, rows ^ columns])
        noisy = patterns[labels] + rng.normal(0, self.settings.noise, (len(labels), 8, 8))
        images = noisy.clip(0, 255).astype(np.uint8)[:, None]
        return ImageSet(self.name, images, labels, flips=False, source="drawn by my_lab.stripes")
