"""Images to train and judge on, one data set a file: inside installed packages, or in files of the user's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cars_hw.data._image_set import Data, DataSet, Images, ImageSet, Labels
from cars_hw.errors import DataError
from devices.foundation import load_plugin, plugin_names

__all__ = ["Data", "DataSet", "ImageSet", "Images", "Labels", "load", "names", "read"]


def load(
    name: str,
    *,
    fitness_images: int,
    path: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
    **settings: object,
) -> Data:
    """Load the data set ``name`` and set ``fitness_images`` of it apart, equally many of each class.

    Args:
        name: One of ``names()``, or, with a dot, a module from outside.
        fitness_images: Number of images that judge architectures.
        path: The file or folder that holds it; ``None`` for a set inside an installed package.
        image_size: Height and width to which zeros are added around each image; ``None`` for its own size.
        seed: Seed of the split.
        settings: Settings of the data set itself, by name.

    Raises:
        UnknownNameError: No such data set, or a setting that it does not have.
        ConfigError: A value of a setting that it does not take.
        DataError: It is not installed or cannot be read, has too few images for the split, or larger ones
            than asked for.
    """
    whole = _padded(read(name, None if path is None else Path(path), **settings), image_size)
    if not whole.classes <= fitness_images <= len(whole.labels) // 2:
        raise DataError(
            f"{fitness_images} fitness images of {name}; take {whole.classes} to {len(whole.labels) // 2}, "
            "so that as many are left to train on"
        )
    is_fitness = _stratified(whole.labels, fitness_images, np.random.default_rng(seed))
    return Data(_subset(whole, ~is_fitness), _subset(whole, is_fitness))


def read(name: str, path: Path | None = None, **settings: object) -> ImageSet:
    """Return all images of the data set ``name``, in one.

    Args:
        name: One of ``names()``, or, with a dot, a module from outside.
        path: The file or folder that holds it; ``None`` for a set inside an installed package.
        settings: Settings of the data set itself, by name.

    Raises:
        UnknownNameError: No such data set or setting.
        DataError: It is not installed or cannot be read.
    """
    return load_plugin("cars_hw.data", name, DataSet, what="data set")(path, **settings).read()


def names() -> tuple[str, ...]:
    """List the data sets of this project."""
    return plugin_names("cars_hw.data")


def _padded(whole: ImageSet, image_size: int | None) -> ImageSet:
    """Return ``whole`` with images (n, c, image_size, image_size), in the middle of zeros."""
    margins = [0 if image_size is None else image_size - side for side in whole.images.shape[2:]]
    if min(margins) < 0:
        raise DataError(
            f"{whole.name} has images of {whole.images.shape[2:]}; image_size {image_size} is too small"
        )
    widths = [(0, 0), (0, 0), *((margin // 2, margin - margin // 2) for margin in margins)]
    return replace(whole, images=np.pad(whole.images, widths))


def _stratified(labels: Labels, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask (m,) of ``n`` of ``labels`` (m,), spread over the classes as evenly as counts allow."""
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
    """Return the images that ``mask``, (n,), marks."""
    return replace(whole, images=whole.images[mask], labels=whole.labels[mask])
