"""The images that a network is retrained on, and those that judge it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from cars_hw.assembly import make_images
from cars_hw.config import SearchConfig
from cars_hw.data import Data, DataSet, ImageSet
from devices.foundation import load_plugin

#: Test images were seen by nobody; fitness images by a search, if there was one, which chose by them.
JudgedOn = Literal["test images", "fitness images"]


@runtime_checkable
class HasTestImages(Protocol):
    """A data set that tells apart what neither training nor search may see."""

    def read_test(self) -> ImageSet | None:
        """Return those images; ``None`` where there are none."""
        ...


@dataclass(frozen=True)
class RetrainingImages:
    """Images to train on, and to judge.

    Attributes:
        data: The former as ``training``, the latter as ``fitness``.
        judged_on: What the latter are.
        searched_on: Digest of the images that a search by this configuration has.
    """

    data: Data
    judged_on: JudgedOn
    searched_on: str

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes; their numbers where the data set has no names for them."""
        names: tuple[str, ...] = getattr(self.data.training, "class_names", ())
        return names or tuple(map(str, range(self.data.training.classes)))


def retraining_images(config: SearchConfig) -> RetrainingImages:
    """Return the images that ``config`` names.

    Where the data set has test images, these judge, and all others train, those among them that judged
    architectures in a search. Where it has none, the fitness images judge, and the others train.

    Raises:
        DataError: They cannot be loaded.
    """
    searched, test = make_images(config), _test_images(config)
    if test is None:
        return RetrainingImages(searched, "fitness images", searched.digest())
    whole = replace(
        searched.training,
        images=np.concatenate([searched.training.images, searched.fitness.images]),
        labels=np.concatenate([searched.training.labels, searched.fitness.labels]),
    )
    return RetrainingImages(Data(whole, test), "test images", searched.digest())


def _test_images(config: SearchConfig) -> ImageSet | None:
    section = config.data
    kind = load_plugin("cars_hw.data", section.name, DataSet, what="data set")
    opened = kind(None if section.path is None else Path(section.path), **section.settings)
    test = opened.read_test() if isinstance(opened, HasTestImages) else None
    if test is None or section.image_size is None:
        return test
    margins = [section.image_size - side for side in test.images.shape[2:]]
    widths = [(0, 0), (0, 0), *((margin // 2, margin - margin // 2) for margin in margins)]
    return replace(test, images=np.pad(test.images, widths))
