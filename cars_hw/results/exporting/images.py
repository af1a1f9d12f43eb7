"""The images that verify a network's files, and judge them where they have labels."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cars_hw.data import ImageSet
from cars_hw.weights.normalised_images import NormalisedImages

#: Images in float that are held at once, at most.
_MOST_HELD_BYTES = 1 << 28
_MOST_HELD_IMAGES = 1024
#: As training has it: a channel that never changes is not divided by 0.
_LEAST_STD = 1e-6


class JudgingImages(ABC):
    """Images that verify a network's files, and judge them where they have labels.

    Args:
        image_shape: (c, h, w).
        labels: (n,); ``None`` where the images are of no class.

    Attributes:
        image_shape: The same.
        labels: The same.
    """

    def __init__(self, image_shape: Sequence[int], labels: NDArray[np.int64] | None) -> None:
        self.image_shape = tuple(image_shape)
        self.labels = labels

    @abstractmethod
    def __len__(self) -> int:
        """Return how many they are."""

    @abstractmethod
    def normalised(self) -> Iterator[Tensor]:
        """Yield them as networks take them, (b, c, h, w) in float32, a part at a time."""

    @abstractmethod
    def pixels(self) -> Iterator[Tensor]:
        """Yield them as whole numbers of 0..255, (b, c, h, w), in the same parts.

        Raises:
            ValueError: They are known as normalised ones alone.
        """

    def inputs(self, *, are_pixels: bool) -> Iterator[Tensor]:
        """Yield them as a file takes them, in the same parts."""
        return self.pixels() if are_pixels else self.normalised()

    def _slices(self) -> Iterator[slice]:
        size_bytes = 4 * int(np.prod(self.image_shape))
        step = max(1, min(_MOST_HELD_IMAGES, _MOST_HELD_BYTES // size_bytes))
        for start in range(0, len(self), step):
            yield slice(start, start + step)


class NormalisedJudging(JudgingImages):
    """Images that were normalised by the caller.

    Args:
        images: (n, c, h, w).
        labels: (n,).
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        super().__init__(images.shape[1:], labels.cpu().numpy().astype(np.int64))
        self._images = images.cpu()

    def __len__(self) -> int:
        return len(self._images)

    def normalised(self) -> Iterator[Tensor]:
        """Yield them as they were given."""
        for part in self._slices():
            yield self._images[part]

    def pixels(self) -> Iterator[Tensor]:
        """Refuse: they are not known.

        Raises:
            ValueError: Always.
        """
        raise ValueError("normalised images are no pixels")


class PixelJudging(JudgingImages):
    """Images of a data set, and what normalises them.

    Args:
        images: The images.
        mean: By channel, (c,), of pixels scaled to 0..1.
        std: Likewise; what is next to 0 is replaced as in training.
        has_labels: Whether their labels judge.

    Attributes:
        images: The images.
        mean: By channel, (c,).
        std: By channel, (c,), as the network's input is divided by it.
    """

    def __init__(
        self, images: ImageSet, mean: Sequence[float], std: Sequence[float], *, has_labels: bool = True
    ) -> None:
        super().__init__(images.image_shape, images.labels if has_labels else None)
        self.images = images
        self.mean, self.std = tuple(map(float, mean)), tuple(max(float(one), _LEAST_STD) for one in std)
        self._normalised = NormalisedImages(
            images,
            np.array(self.mean, np.float32),
            np.array(self.std, np.float32),
            torch.device("cpu"),
            most_held_bytes=_MOST_HELD_BYTES,
        )

    def __len__(self) -> int:
        return len(self.images.labels)

    def normalised(self) -> Iterator[Tensor]:
        """Yield them less the mean and in units of the standard deviation, a part at a time."""
        for part in self._slices():
            yield self._normalised.batch(part)

    def pixels(self) -> Iterator[Tensor]:
        """Yield them as they are stored, in the same parts."""
        for part in self._slices():
            yield torch.from_numpy(np.array(self.images.take(part)))

    def like(self, images: ImageSet) -> "PixelJudging":
        """Return other images that are normalised by the same."""
        return PixelJudging(images, self.mean, self.std, has_labels=False)
