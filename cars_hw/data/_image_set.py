"""The contract of a data set, and the images that it reads, whole or split in two."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cars_hw.data._check import Check, Finding
from cars_hw.data._resize import ResizeRule
from cars_hw.errors import DataError
from devices.foundation import Settings, plugin_name, settings_type

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
#: Told how many of how many images are done.
Progressed = Callable[[int, int], None]

#: Images that are looked at together.
_CHUNK = 1024


@dataclass(frozen=True)
class Sums:
    """What is known of each image without reading it again.

    Attributes:
        digests: SHA-256 of its pixels, (m, 32).
        totals: Sum of its pixels by channel, (m, c).
        squares: Sum of their squares by channel, (m, c).
    """

    digests: NDArray[np.uint8]
    totals: NDArray[np.int64]
    squares: NDArray[np.int64]


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, in memory or in a file that is mapped into it.

    Attributes:
        name: The data set's name.
        stored: (m, c, h, w), whole numbers 0..255, of any type when it is made.
        labels: (n,), whole numbers 0..classes-1, of any type when it is made.
        flips: Whether a mirrored image keeps its label.
        source: The origin of the images, and their terms.
        class_names: The names of the labels; their numbers, up to the largest, where none are given.
        resized_by: The rule by which the images got their size, where there was one.
        rows: Which of ``stored`` are in the set, (n,); all, if not given.
        sums: What is known of each of ``stored``, where something is.

    Raises:
        DataError: Images or labels are of another shape, or no such numbers.
    """

    name: str
    stored: Images
    labels: Labels
    flips: bool
    source: str
    class_names: tuple[str, ...] = ()
    resized_by: ResizeRule | None = None
    rows: NDArray[np.int64] | None = None
    sums: Sums | None = None

    def __post_init__(self) -> None:
        images, labels = np.asanyarray(self.stored), np.asarray(self.labels)
        n = images.shape[:1] if self.rows is None else self.rows.shape
        if images.ndim != 4 or labels.shape != n or not images.size or not labels.size:
            raise DataError(
                f"{self.name} has images {images.shape} and labels {labels.shape}; give (n, c, h, w) and "
                "(n,), none of these 0"
            )
        _require_whole(images, f"images of {self.name}", np.iinfo(np.uint8).max)
        _require_whole(labels, f"labels of {self.name}", np.iinfo(np.int32).max)
        largest = int(labels.max())
        names = tuple(self.class_names) or tuple(map(str, range(largest + 1)))
        if largest >= len(names):
            raise DataError(f"the labels of {self.name} hold {largest}; it has names of {len(names)} classes")
        object.__setattr__(self, "stored", images.astype(np.uint8, copy=False))
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))
        object.__setattr__(self, "class_names", names)

    def __repr__(self) -> str:
        c, h, w = self.image_shape
        return f"ImageSet({self.name!r}, {len(self.labels)} images {c}x{h}x{w}, {self.classes} classes)"

    @property
    def classes(self) -> int:
        """Number of classes, of which each has a name."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(c, h, w) of each image."""
        _, c, h, w = self.stored.shape
        return c, h, w

    @property
    def rule(self) -> ResizeRule:
        """How an image that is not of the set would get the size of those in it."""
        _, height, width = self.image_shape
        return self.resized_by or ResizeRule(mode="pad", height=height, width=width)

    @property
    def is_mapped(self) -> bool:
        """Whether the images lie in a file: there may be more of them than memory holds."""
        return isinstance(self.stored, np.memmap)

    @cached_property
    def images(self) -> Images:
        """All images, (n, c, h, w); of a part of a mapped file, in memory: ``take`` takes a few."""
        return self.stored if self.rows is None else self.take(np.arange(len(self.labels)))

    def take(self, rows: NDArray[np.integer] | slice) -> Images:
        """Return some of the images, (b, c, h, w), in memory; of a slice, perhaps where they lie."""
        return np.asarray(self.stored[rows if self.rows is None else self.rows[rows]])

    def subset(self, rows: NDArray[np.int64]) -> "ImageSet":
        """Return the images numbered ``rows``, (b,), with all class names; those of a file stay there."""
        values = {**vars(self), "labels": self.labels[rows]}
        values.pop("images", None)
        if self.is_mapped:
            values["rows"] = rows if self.rows is None else self.rows[rows]
        else:
            values["stored"] = self.stored[rows]
        return ImageSet(**values)

    def joined(self, other: "ImageSet") -> "ImageSet":
        """Return the images of both, parts of one data set; those of a file stay there."""
        values = {**vars(self), "labels": np.concatenate([self.labels, other.labels])}
        values.pop("images", None)
        if self.rows is not None and other.rows is not None and self.stored is other.stored:
            values["rows"] = np.concatenate([self.rows, other.rows])
        else:
            values |= {"stored": np.concatenate([self.images, other.images]), "rows": None, "sums": None}
        return ImageSet(**values)

    def chunks(self) -> Iterator[Images]:
        """Yield all images, in their order, a part at a time."""
        for start in range(0, len(self.labels), _CHUNK):
            yield self.take(slice(start, start + _CHUNK))

    def known(self) -> Sums | None:
        """Return what is known of each image of this set."""
        if self.sums is None or self.rows is None:
            return self.sums
        sums = self.sums
        return Sums(sums.digests[self.rows], sums.totals[self.rows], sums.squares[self.rows])


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
        if (moments := self._moments) is not None:
            return np.asarray(moments[0] / 255, dtype=np.float32)
        return np.asarray(self.training.images.mean(axis=(0, 2, 3)) / 255, dtype=np.float32)

    @cached_property
    def channel_std(self) -> NDArray[np.float32]:
        """Standard deviation per channel of the training images scaled to 0..1, (c,)."""
        if (moments := self._moments) is not None:
            mean, square = moments
            return np.asarray(np.sqrt(np.maximum(square - mean**2, 0)) / 255, dtype=np.float32)
        return np.asarray(self.training.images.std(axis=(0, 2, 3)) / 255, dtype=np.float32)

    @cached_property
    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Mean of the pixels and of their squares by channel, (c,) each, where no image need be read."""
        known = self.training.known()
        if known is None:
            return None
        pixels = len(known.totals) * self.training.rule.height * self.training.rule.width
        return known.totals.sum(axis=0) / pixels, known.squares.sum(axis=0) / pixels

    def digest(self) -> str:
        """Return the SHA-256 of all images and labels in their order; of mapped images, of their own."""
        sha = hashlib.sha256()
        for part in (self.training, self.fitness):
            known = part.known()
            if known is None:
                for images in part.chunks():
                    sha.update(images.tobytes())
            else:
                sha.update(known.digests.tobytes())
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
        has_any_size: Whether its images may differ in size, so that a rule has to be named.

    Raises:
        UnknownNameError: A setting that the data set does not have.
        ConfigError: A value that it does not take.
    """

    settings: Settings
    has_any_size: ClassVar[bool] = False

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

        Those that neither training nor search may see are not among them.

        Raises:
            DataError: They are not installed, cannot be read, or need another ``path``.
        """

    def read_test(self) -> ImageSet | None:
        """Read the images that neither training nor search may see; ``None`` where none are told apart.

        Raises:
            DataError: They cannot be read.
        """
        return None

    def read_by(self, rule: ResizeRule | None) -> ImageSet:
        """Do as ``read``, and give the images the size of ``rule``; whoever decodes files does both at once.

        Args:
            rule: ``None`` where all images have one size, which they keep.

        Raises:
            DataError: The images cannot be read, or the rule cannot be applied to one.
        """
        return _resized(self.read(), rule)

    def read_test_by(self, rule: ResizeRule | None) -> ImageSet | None:
        """Do as ``read_test``, and give the images the size of ``rule``.

        Raises:
            DataError: The images cannot be read, or the rule cannot be applied to one.
        """
        whole = self.read_test()
        return None if whole is None else _resized(whole, rule)

    def check(
        self, rule: ResizeRule | None = None, progressed: Progressed = lambda _done, _of: None
    ) -> Check:
        """Look at every image; what is wrong with some of them is in the answer.

        Args:
            rule: What they are to go through.
            progressed: Called now and then.

        Raises:
            DataError: Nothing can be said of them one by one.
        """
        parts: dict[str, dict[str, int]] = {}
        sizes: dict[tuple[int, int], int] = {}
        channels, refusals = 0, []
        for part, found in (("training", self.read()), ("test", self.read_test())):
            if found is not None:
                counts = np.bincount(found.labels, minlength=found.classes).tolist()
                parts[part] = dict(zip(found.class_names, counts, strict=True))
                size = found.image_shape[1:]
                sizes[size] = sizes.get(size, 0) + len(found.labels)
                channels = found.image_shape[0]
                refusals += [refusal] if rule and (refusal := rule.refusal(*size)) else []
        problems = tuple(Finding("", refusal) for refusal in dict.fromkeys(refusals))
        return Check(self.name, channels, parts, sizes, problems=problems)

    def survey(self) -> Check:
        """Do as ``check``, as far as it is quick: images in files are not decoded.

        Raises:
            DataError: Nothing can be said of them one by one.
        """
        return self.check()

    def require_no_path(self) -> None:
        """Refuse a path: the images lie in an installed package.

        Raises:
            DataError: There is one.
        """
        if self.path is not None:
            raise DataError(f"{self.name} lies in an installed package; leave data.path out")


def _resized(whole: ImageSet, rule: ResizeRule | None) -> ImageSet:
    """Return ``whole`` with images in the size of ``rule``, where there is one."""
    if rule is None:
        return whole
    _, height, width = whole.image_shape
    if rule.mode == "pad" and (height > rule.height or width > rule.width):
        raise DataError(
            f"{whole.name} has images of {(height, width)}; image_size {_size_text(rule)} is too small: make "
            "it larger, or set data.resize to fit, crop or stretch"
        )
    is_fitting = (height, width) == (rule.height, rule.width)
    images = whole.images if is_fitting else rule.of_arrays(whole.images)
    values = {**vars(whole), "stored": images, "resized_by": rule, "rows": None, "sums": None}
    values.pop("images", None)
    return ImageSet(**values)


def _size_text(rule: ResizeRule) -> str:
    return f"{rule.height}" if rule.height == rule.width else f"{rule.height}x{rule.width}"
