"""The contract of a data set, and the images that it reads, whole or split in two."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cars_hw.errors import DataError
from devices.foundation import Settings, plugin_name, settings_type

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ImageSet:
    """Labelled images.

    Attributes:
        name: The data set's name.
        images: (n, c, h, w), whole numbers 0..255, of any type when it is made.
        labels: (n,), whole numbers 0..classes-1, of any type when it is made.
        flips: Whether a mirrored image keeps its label.
        source: The origin of the images, and their terms.

    Raises:
        DataError: Images or labels are of another shape, or no such numbers.
    """

    name: str
    images: Images
    labels: Labels
    flips: bool
    source: str

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.ndim != 4 or labels.shape != images.shape[:1] or not images.size:
            raise DataError(
                f"{self.name} has images {images.shape} and labels {labels.shape}; give (n, c, h, w) and "
                "(n,), none of these 0"
            )
        _require_whole(images, f"images of {self.name}", np.iinfo(np.uint8).max)
        _require_whole(labels, f"labels of {self.name}", np.iinfo(np.int32).max)
        object.__setattr__(self, "images", images.astype(np.uint8, copy=False))
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        return f"ImageSet({self.name!r}, {n} images {c}x{h}x{w}, {self.classes} classes)"

    @property
    def classes(self) -> int:
        """Number of labels."""
        return int(self.labels.max()) + 1


def _require_whole(values: NDArray[np.generic], what: str, most: int) -> None:
    """Check that ``values`` are whole numbers from 0 to ``most``."""
    if values.dtype.kind not in "biuf":
        raise DataError(f"the {what} are of type {values.dtype}; give whole numbers from 0 on")
    if values.dtype == np.uint8:
        return
    if values.dtype.kind == "f":
        values = values.astype(np.float64)  # half precision cannot be compared with ``most``
    odd = np.less(values, 0) | np.greater(values, most)
    if values.dtype.kind == "f":
        odd |= np.not_equal(np.trunc(values.astype(np.float64)), values)  # what is no number is odd, too
    if odd.any():
        raise DataError(f"the {what} hold {values[odd][0]}; give whole numbers from 0 on, at most {most}")


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


class DataSet(ABC):
    """Labelled images to search on; a plug-in is a file with one subclass.

    A subclass that has settings declares them, ``settings: MySettings``, in its body.

    Args:
        path: The file or folder that holds them; ``None`` where none was named.
        settings: Values by name; what is not given has its default.

    Attributes:
        settings: All of its settings.

    Raises:
        UnknownNameError: A setting that the data set does not have.
        ConfigError: A value that it does not take.
    """

    settings: Settings

    def __init__(self, path: Path | None = None, /, **settings: object) -> None:
        self.path = path
        self.settings = settings_type(type(self)).checked(self.name, settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(path={str(self.path)!r}, {self.settings!r})"

    @property
    def name(self) -> str:
        """The plug-in's name, by which it is loaded."""
        return plugin_name(type(self))

    @abstractmethod
    def read(self) -> ImageSet:
        """Read all images that may be used, in an order that is the same on every machine.

        Raises:
            DataError: They are not installed, cannot be read, or need another ``path``.
        """

    def require_no_path(self) -> None:
        """Refuse a path: the images lie in an installed package.

        Raises:
            DataError: There is one.
        """
        if self.path is not None:
            raise DataError(f"{self.name} lies in an installed package; leave data.path out")
