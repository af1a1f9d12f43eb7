"""Generated images, where none are at hand: a data set from outside, named ``benchmarks._gpu_images``."""

import numpy as np
from pydantic import Field

from cars_hw.data import DataSet, ImageSet
from devices.foundation import Settings

_CLASSES = 10
_SIDE = 32


class GeneratedSettings(Settings):
    """How many images there are."""

    images: int = Field(50_000, ge=100, le=1_000_000)


class Generated(DataSet):
    """Images of 3x32x32 pixels in ten classes, each a coarse pattern of its class in noise.

    They stand for CIFAR-10 where time is measured: what accuracies come to says nothing about it.
    """

    settings: GeneratedSettings

    def read(self) -> ImageSet:
        self.require_no_path()
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 128, (_CLASSES, 3, 4, 4), dtype=np.uint8)
        labels = np.arange(self.settings.images) % _CLASSES
        images = rng.integers(0, 128, (self.settings.images, 3, _SIDE, _SIDE), dtype=np.uint8)
        images += coarse.repeat(_SIDE // 4, axis=2).repeat(_SIDE // 4, axis=3)[labels]
        return ImageSet(self.name, images, labels, flips=True, source="generated")
