"""CIFAR-10 from files of the user's own: streamed and bounded; nothing is unpickled, nothing extracted.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, 2009.

Two forms are read, each as a folder or as a tar archive, compressed by gzip or xz or not at all: the official
binary version, ``data_batch_1.bin`` to ``data_batch_5.bin``, and ``train/CLASS/NAME.jpg``, whatever the case
of their letters. Other images below ``train`` are refused: a set that is read in part is another set.
"""

import errno
import gzip
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cars_hw.data._image_set import DataSet, ImageSet
from cars_hw.errors import DataError
from devices.foundation import open_regular, read_regular

#: A label is an index here.
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
REMEDY = (
    "set data.path to cifar-10-binary.tar.gz (from www.cs.toronto.edu/~kriz/cifar.html) or to the folder in "
    "it, or to a folder or archive of train/CLASS/*.jpg"
)

_SIDE = 32
_RECORD_BYTES = 1 + 3 * _SIDE**2
_BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_BATCH = re.compile(r"(?:.{1,256}/)?(data_batch_[1-5]\.bin)", re.IGNORECASE)
_JPEG = re.compile(r"(?:.{1,256}/)?train/([^/]{1,64})/([^/]{1,255}\.(?:jpe?g|jpe|jfif))", re.IGNORECASE)
_IMAGE = re.compile(
    r"(?:.{1,256}/)?train/.{1,512}\.(?:jpe?g|jpe|jfif|png|bmp|gif|tiff?|webp|avif|heic|jp2|ppm|npy)",
    re.IGNORECASE,
)
_MAX_BATCH_BYTES = 10_000 * _RECORD_BYTES
_MAX_JPEG_BYTES = 1 << 16
#: The official archive holds 184 MB.
_MAX_ARCHIVE_BYTES = 1 << 29
_MAX_FILES = 200_000
_UNREADABLE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, tarfile.TarError)


class _Stream(Protocol):
    """A file, unpacked or not."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes."""


class Cifar10(DataSet):
    """The 50 000 training images of 32x32 pixels, in ten classes."""

    def read(self) -> ImageSet:
        if self.path is None:
            raise DataError(f"cifar10 is read from files of your own; {REMEDY}")
        images, labels, form = read(self.path)
        source = f"CIFAR-10 (A. Krizhevsky, 2009), {form}"
        return ImageSet("cifar10", images, labels, flips=True, source=source)


class Found(NamedTuple):
    """The images to train on.

    Attributes:
        images: (n, 3, 32, 32), 0..255.
        labels: (n,), indices into ``CLASSES``.
        form: The form in which they were found.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    form: str


def read(path: Path) -> Found:
    """Read the training images below ``path``, in an order that does not depend on that of the files.

    Raises:
        DataError: There are none, or a file is damaged, too large, or not what its name stands for.
    """
    batches: dict[str, bytes] = {}
    jpegs: dict[tuple[str, str, str], bytes] = {}
    for name, content in _files(path):
        if batch := _BATCH.fullmatch(name):
            batches[batch[1].lower()] = content
        elif jpeg := _JPEG.fullmatch(name):
            jpegs[jpeg[1].lower(), jpeg[2], jpeg[1]] = content
    if batches:
        return _from_batches(path, batches)
    if jpegs:
        return _from_jpegs(path, jpegs)
    raise DataError(f"{path} holds no images of CIFAR-10 (its pickled version is never read); {REMEDY}")


def _from_batches(path: Path, batches: Mapping[str, bytes]) -> Found:
    """Decode records of a label and three planes of pixels: labels (n,), images (n, 3, 32, 32)."""
    for name in _BATCHES:
        if name not in batches:
            raise DataError(f"{path} lacks {name}; {REMEDY}")
        size = len(batches[name])
        if not size or size % _RECORD_BYTES:
            raise DataError(
                f"{name} of {path} has {size} bytes, no multiple of {_RECORD_BYTES}; get it again"
            )
    records = np.frombuffer(b"".join(batches[name] for name in _BATCHES), np.uint8).reshape(-1, _RECORD_BYTES)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise DataError(f"{path} has the label {labels.max()}; CIFAR-10 has 0 to {len(CLASSES) - 1}")
    return Found(records[:, 1:].reshape(-1, 3, _SIDE, _SIDE), labels, "the official binary version")


def _from_jpegs(path: Path, jpegs: Mapping[tuple[str, str, str], bytes]) -> Found:
    """Decode the images of the class, file and folder that are their keys."""
    found = {label for label, _, _ in jpegs}
    if found != set(CLASSES):
        odd = sorted(found ^ set(CLASSES))[0]
        problem = "lacks the class" if odd in CLASSES else "has a class that CIFAR-10 has not,"
        raise DataError(f"{path} {problem} {odd}; {REMEDY}")
    keys = sorted(jpegs)
    images = np.stack(
        [_decoded(f"{folder}/{name}", jpegs[label, name, folder]) for label, name, folder in keys]
    )
    labels = np.array([CLASSES.index(label) for label, _, _ in keys], dtype=np.int64)
    return Found(images, labels, "re-encoded as JPEG")


def _decoded(name: str, content: bytes) -> NDArray[np.uint8]:
    """Return a JPEG file as (3, 32, 32)."""
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.size != (_SIDE, _SIDE):
                raise DataError(f"train/{name} has {image.size} pixels; CIFAR-10 has {_SIDE}x{_SIDE}")
            return np.asarray(image.convert("RGB"), dtype=np.uint8).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"train/{name} is no JPEG image: {error}; get it again") from error


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files that may hold images, with ``/`` in names."""
    try:
        yield from _of_folder(path) if path.is_dir() else _of_archive(path)
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"cannot read {path}: {reason}; {REMEDY}") from error


def _of_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    patterns = ("*.[bB][iI][nN]", "*/*.[bB][iI][nN]", "[tT][rR][aA][iI][nN]/**/*")
    found = (file for pattern in patterns for file in path.glob(pattern))
    for n, file in enumerate(found):
        name = file.relative_to(path).as_posix()
        if n >= _MAX_FILES:
            raise DataError(f"{path} holds over {_MAX_FILES} files; {REMEDY}")
        limit = _limit(name)
        if limit is not None:
            yield name, _content(name, file, limit)


def _of_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    with _unpacked(path) as unpacked, tarfile.open(fileobj=_Bounded(unpacked), mode="r|") as archive:
        for n, member in enumerate(archive):
            if n >= _MAX_FILES:
                raise DataError(f"{path} holds over {_MAX_FILES} files; {REMEDY}")
            limit = _limit(member.name) if member.isreg() else None
            if limit is not None:
                if member.size > limit:
                    raise _too_large(member.name, limit)
                content = archive.extractfile(member)
                if content is not None:
                    yield member.name, content.read()


def _limit(name: str) -> int | None:
    """Return how large the file ``name`` may be; ``None`` where it cannot hold images.

    Raises:
        DataError: It is an image that would not be read.
    """
    if _IMAGE.fullmatch(name) and not _JPEG.fullmatch(name):
        raise DataError(f"{name[-80:]} is no train/CLASS/NAME.jpg, and would be left out; {REMEDY}")
    return _MAX_BATCH_BYTES if _BATCH.fullmatch(name) else _MAX_JPEG_BYTES if _JPEG.fullmatch(name) else None


def _content(name: str, file: Path, limit: int) -> bytes:
    try:
        return read_regular(file, limit)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _too_large(name, limit) from error
        raise


def _too_large(name: str, limit: int) -> DataError:
    return DataError(f"{name[-80:]} is too large; at most {limit} bytes were expected; {REMEDY}")


@contextmanager
def _unpacked(path: Path) -> Iterator[_Stream]:
    """Open an archive by the compression that its first bytes name."""
    with open_regular(path) as raw, io.BufferedReader(raw) as file:
        magic = file.peek(6)
        if magic.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        elif magic.startswith(b"\xfd7zXZ\x00"):
            with lzma.LZMAFile(file) as unpacked:
                yield unpacked
        else:
            yield file


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where an archive unpacks to more than it may."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__()
        self._stream = stream
        self._left = _MAX_ARCHIVE_BYTES

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes."""
        content = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"the archive unpacks to over {_MAX_ARCHIVE_BYTES} bytes; {REMEDY}")
        return content
