"""The images that a network is retrained on, and those that judge it."""

from dataclasses import dataclass
from typing import Literal

from cars_hw.assembly import make_images, make_test_images
from cars_hw.config import SearchConfig
from cars_hw.data import Data

#: Test images were seen by nobody; fitness images by a search, if there was one, which chose by them.
JudgedOn = Literal["test images", "fitness images"]


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
        return self.data.training.class_names


def retraining_images(config: SearchConfig) -> RetrainingImages:
    """Return the images that ``config`` names.

    Where the data set has test images, or the configuration sets some apart, these judge, and all others
    train, those among them that judged architectures in a search. Else the fitness images judge, and the
    others train.

    Raises:
        DataError: They cannot be loaded.
    """
    searched, test = make_images(config), make_test_images(config)
    if test is None:
        return RetrainingImages(searched, "fitness images", searched.digest())
    whole = searched.training.joined(searched.fitness)
    return RetrainingImages(Data(whole, test), "test images", searched.digest())
