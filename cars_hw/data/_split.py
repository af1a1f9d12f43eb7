"""Which images train weights, which judge architectures, and which are kept for the end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cars_hw.data._image_set import Data, ImageSet, Labels
from cars_hw.errors import DataError

#: Of the images of each class, this share at least is left to train on.
_LEAST_LEFT = 1 / 3
#: Beside a split's seed, so that the test images are not drawn as the fitness images are.
_TEST_STREAM = 1


@dataclass(frozen=True)
class Split:
    """How a data set is split: by class, as evenly as counts allow, and the same for the same seed.

    Attributes:
        fitness_images: Number of images that judge architectures.
        test_images: Number of images that neither training nor search sees. They are drawn from those that
            the data set tells apart, where it does, which are otherwise all taken; else from all images, of
            which otherwise none are.
        seed: Seed of the draws.
    """

    fitness_images: int
    test_images: int | None = None
    seed: int = 0

    def divided(self, whole: ImageSet) -> Data:
        """Return the images to train on, and those that judge, from what is left beside the test images.

        Raises:
            DataError: There is one class alone, or too few images are left to train on.
        """
        if whole.classes < 2:
            raise DataError(
                f"{whole.name} has one class, {whole.class_names[0]}; there is nothing to tell apart"
            )
        n, most = self.fitness_images, _most(whole.labels)
        if not whole.classes <= n <= most:
            raise DataError(
                f"{n} fitness images of {whole.name}; set data.fitness_images to {whole.classes} to {most}, "
                "so that as many are left to train on, some of each class"
            )
        is_fitness = _stratified(whole.labels, n, np.random.default_rng(self.seed))
        return Data(whole.subset(np.flatnonzero(~is_fitness)), whole.subset(np.flatnonzero(is_fitness)))

    def without_test(self, whole: ImageSet) -> ImageSet:
        """Return what is left of ``whole`` beside the test images that are drawn from it.

        Raises:
            DataError: There are too few.
        """
        if self.test_images is None:
            return whole
        self._require_enough(whole)
        return whole.subset(np.flatnonzero(~self._is_test(whole)))

    def drawn_test(self, whole: ImageSet) -> ImageSet:
        """Return the test images that are drawn from ``whole``, of which the others are searched on.

        Raises:
            DataError: There are too few.
        """
        self._require_enough(whole)
        return whole.subset(np.flatnonzero(self._is_test(whole)))

    def own_test(self, test: ImageSet) -> ImageSet:
        """Return the test images, of those that the data set tells apart; all, where no number is given.

        Raises:
            DataError: There are too few.
        """
        if self.test_images is None:
            return test
        if self.test_images > len(test.labels):
            raise DataError(
                f"{self.test_images} test images of {test.name}, which has {len(test.labels)}; make "
                "data.test_images smaller, or leave it out"
            )
        return test.subset(np.flatnonzero(self._is_test(test)))

    def _require_enough(self, whole: ImageSet) -> None:
        n, most = self.test_images or 0, _most(whole.labels)
        if not 1 <= n <= most:
            raise DataError(
                f"{n} test images of {whole.name}; set data.test_images to 1 to {most}, so that as many are "
                "left"
            )

    def _is_test(self, whole: ImageSet) -> NDArray[np.bool_]:
        return _stratified(
            whole.labels, self.test_images or 0, np.random.default_rng([self.seed, _TEST_STREAM])
        )


def _most(labels: Labels) -> int:
    """Return how many of ``labels``, (m,), may be drawn: half, and of each class not too large a share."""
    counts = np.unique(labels, return_counts=True)[1]
    return min(len(labels) // 2, int((counts - np.ceil(counts * _LEAST_LEFT)).sum()))


def _stratified(labels: Labels, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask (m,) of ``n`` of ``labels`` (m,), spread over the classes as evenly as counts allow.

    Of a class with few images, some are left out of it, however many are drawn of the others.
    """
    order = rng.permutation(len(labels))
    rank_in_class = np.empty(len(labels), dtype=np.int64)
    is_left = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank_in_class[members] = np.arange(len(members))
        is_left[members[len(members) - int(np.ceil(len(members) * _LEAST_LEFT)) :]] = True
    chosen = np.lexsort((labels, rank_in_class, is_left))[:n]
    marked = np.zeros(len(labels), dtype=np.bool_)
    marked[chosen] = True
    return marked
