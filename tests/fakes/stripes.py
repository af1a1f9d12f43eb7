"""A data set from outside, with a setting of its own: two classes of images, striped either way."""

import numpy as np
from pydantic import Field

from cars_hw.data import DataSet, ImageSet
from devices.foundation import Settings


class StripeSettings(Settings):
    """How wide a stripe is, in pixels."""

    width: int = Field(1, ge=1, le=4)


class Stripes(DataSet):
    """Eight images of 8x8 pixels in each class."""

    settings: StripeSettings

    def read(self) -> ImageSet:
        row = np.arange(8) // self.settings.width % 2 * np.uint8(255)
        across = np.broadcast_to(row, (8, 8))
        labels = np.arange(16) % 2
        images = np.where(labels[:, None, None], across, across.T)[:, None]
        return ImageSet(self.name, images.astype(np.uint8), labels, flips=False, source="drawn")
