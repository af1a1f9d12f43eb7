"""Files of images, decoded on all cores and in their order."""

import hashlib
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cars_hw.data._resize import UNREADABLE, Channels, ResizeRule, decoded, planes
from devices.foundation import first_line, one_line

T = TypeVar("T")

#: Returns the content of a file.
Load = Callable[[], bytes]

#: Files that are decoded before the next are begun: enough for all cores, few enough for memory.
_WINDOW = 256


@dataclass(frozen=True)
class Unreadable:
    """A file that is no image, or none that can be used.

    Attributes:
        reason: Why, in one line.
    """

    reason: str


@dataclass(frozen=True)
class Decoded:
    """An image, and what is worth knowing of it later without reading it again.

    Attributes:
        pixels: (c, h, w).
        digest: SHA-256 of the pixels.
        totals: Sum of the pixels by channel, (c,).
        squares: Sum of their squares by channel, (c,).
    """

    pixels: NDArray[np.uint8]
    digest: bytes
    totals: NDArray[np.int64]
    squares: NDArray[np.int64]


def decode(content: bytes, rule: ResizeRule, channels: Channels, *, is_exact: bool) -> Decoded:
    """Decode a file by ``rule``.

    Args:
        content: Of the file.
        rule: What the image goes through.
        channels: Of the result.
        is_exact: Whether the image has to have the rule's size already.

    Raises:
        ValueError: It has another size.
    """
    image = decoded(content, channels)
    if is_exact and image.size != (rule.width, rule.height):
        raise ValueError(
            f"it has {image.height}x{image.width} pixels, the first image {rule.height}x{rule.width}; set "
            "data.image_size and data.resize"
        )
    pixels = planes(rule(image))
    flat = pixels.reshape(channels, -1).astype(np.int64)
    return Decoded(
        pixels, hashlib.sha256(pixels.tobytes()).digest(), flat.sum(axis=1), (flat * flat).sum(axis=1)
    )


def each(loads: Iterator[Load], work: Callable[[bytes], T]) -> Iterator[T | Unreadable]:
    """Yield what ``work`` makes of each content, in their order; it runs in a thread for each core."""
    with _quiet(), ThreadPoolExecutor(_cores()) as pool:
        while window := list(itertools.islice(loads, _WINDOW)):
            yield from pool.map(partial(_tried, work=work), window)


def _tried(load: Load, work: Callable[[bytes], T]) -> T | Unreadable:
    try:
        return work(load())
    except UnidentifiedImageError:
        return Unreadable("it is no image in the form of JPEG, PNG, WebP or BMP")
    except UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        return Unreadable(one_line(reason, 160) or type(error).__name__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Pillow complain of no detail of a file, and refuse one that unpacks to too many pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
