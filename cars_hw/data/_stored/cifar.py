"""CIFAR from files of the user's own: streamed and bounded; nothing is unpickled, nothing extracted.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, 2009.

Two forms are read, each as a folder or as a tar archive, compressed by gzip or xz or not at all: the
official binary version, and ``train/CLASS/NAME.jpg`` with ``test`` beside it, whatever the case of letters.
Other images below these are refused, for a set that is read in part is another set; the data set ``folder``
reads them.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cars_hw.data._image_set import DataSet, ImageSet
from cars_hw.errors import DataError
from devices.foundation import open_regular, read_regular

_SIDE = 32
_PIXELS = 3 * _SIDE**2
_JPEG = re.compile(
    r"(?:.{1,256}/)?(train|test)/([^/]{1,64})/([^/]{1,255}\.(?:jpe?g|jpe|jfif))", re.IGNORECASE
)
_IMAGE = re.compile(
    r"(?:.{1,256}/)?(train|test)/.{1,512}\.(?:jpe?g|jpe|jfif|png|bmp|gif|tiff?|webp|avif|heic|jp2|ppm|npy)",
    re.IGNORECASE,
)
#: What macOS leaves beside each file that it copies to a foreign disk.
_LITTER = re.compile(r"(?:.*/)?(?:\._[^/]*|__MACOSX/.*)", re.DOTALL)
_MAX_JPEG_BYTES = 1 << 16
#: The official archives hold 184 MB.
_MAX_ARCHIVE_BYTES = 1 << 29
_MAX_FILES = 200_000
_UNREADABLE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, tarfile.TarError)

Part = Literal["train", "test"]


@dataclass(frozen=True)
class Form:
    """What one of the sets consists of.

    Attributes:
        title: What it is called.
        archive: The name of the official archive.
        classes: A label is an index here.
        training: The files of the binary version to train on.
        test: The one to test on.
        records: The most images in one of these files.
        label_bytes: Bytes before the pixels of each image; the last is its label.
    """

    title: str
    archive: str
    classes: tuple[str, ...]
    training: tuple[str, ...]
    test: str
    records: int
    label_bytes: int

    @property
    def remedy(self) -> str:
        """What to do where there are none of its images."""
        return (
            f"set data.path to {self.archive} (from www.cs.toronto.edu/~kriz/cifar.html) or to the folder in "
            "it, or to a folder or archive of train/CLASS/*.jpg"
        )

    @property
    def record_bytes(self) -> int:
        """Size of an image with its label, in the binary version."""
        return self.label_bytes + _PIXELS

    def file_of(self, name: str) -> str | None:
        """Return which file of the binary version ``name`` is, in a folder or not."""
        file = name.rpartition("/")[2].lower()
        return file if file in (*self.training, self.test) and len(name) < 512 else None

    def files_of(self, part: Part) -> tuple[str, ...]:
        """Return the files of the binary version of a part."""
        return self.training if part == "train" else (self.test,)


class _Stream(Protocol):
    """A file, unpacked or not."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes."""


class Found(NamedTuple):
    """The images of a part.

    Attributes:
        images: (n, 3, 32, 32), 0..255.
        labels: (n,), indices into the classes.
        form: The form in which they were found.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    form: str


def training_set(owner: DataSet, form: Form) -> ImageSet:
    """Return the images to train on.

    Raises:
        DataError: There are none, or a file is damaged, too large, or not what its name stands for.
    """
    return _image_set(owner, form, training_files(_path(owner, form), form))


def test_set(owner: DataSet, form: Form) -> ImageSet | None:
    """Return the images to test on; ``None`` where there are none.

    Raises:
        DataError: A file is damaged, too large, or not what its name stands for.
    """
    found = _read(_path(owner, form), form, "test")
    return None if found is None else _image_set(owner, form, found)


def training_files(path: Path, form: Form) -> Found:
    """Read the training images below ``path``, in an order that does not depend on that of the files.

    Raises:
        DataError: There are none, or a file is damaged, too large, or not what its name stands for.
    """
    found = _read(path, form, "train")
    if found is None:
        raise DataError(
            f"{path} holds no images of {form.title} (its pickled version is never read); {form.remedy}"
        )
    return found


def _path(owner: DataSet, form: Form) -> Path:
    if owner.path is None:
        raise DataError(f"{owner.name} is read from files of your own; {form.remedy}")
    return owner.path


def _image_set(owner: DataSet, form: Form, found: Found) -> ImageSet:
    source = f"{form.title} (A. Krizhevsky, 2009), {found.form}"
    return ImageSet(
        owner.name, found.images, found.labels, flips=True, source=source, class_names=form.classes
    )


def _read(path: Path, form: Form, part: Part) -> Found | None:
    """Return the images of a part below ``path``, if there are any."""
    binary: dict[str, bytes] = {}
    jpegs: dict[tuple[str, str, str], bytes] = {}
    for name, content in _files(path, _Wanted(form, part)):
        if file := form.file_of(name):
            binary[file] = content
        elif jpeg := _JPEG.fullmatch(name):
            jpegs[jpeg[2].lower(), jpeg[3], jpeg[2]] = content
    if binary:
        return _from_binary(path, form, part, binary)
    return _from_jpegs(path, form, part, jpegs) if jpegs else None


def _from_binary(path: Path, form: Form, part: Part, files: Mapping[str, bytes]) -> Found:
    """Decode records of labels and three planes of pixels: labels (n,), images (n, 3, 32, 32)."""
    names = form.files_of(part)
    for name in names:
        if name not in files:
            raise DataError(f"{path} lacks {name}; {form.remedy}")
        size = len(files[name])
        if not size or size % form.record_bytes:
            raise DataError(
                f"{name} of {path} has {size} bytes, no multiple of {form.record_bytes}; get it again"
            )
    content = b"".join(files[name] for name in names)
    records = np.frombuffer(content, np.uint8).reshape(-1, form.record_bytes)
    labels = records[:, form.label_bytes - 1].astype(np.int64)
    if labels.max() >= len(form.classes):
        raise DataError(f"{path} has the label {labels.max()}; {form.title} has 0 to {len(form.classes) - 1}")
    images = records[:, form.label_bytes :].reshape(-1, 3, _SIDE, _SIDE)
    return Found(images, labels, "the official binary version")


def _from_jpegs(path: Path, form: Form, part: Part, jpegs: Mapping[tuple[str, str, str], bytes]) -> Found:
    """Decode the images of the class, file and folder that are their keys."""
    found = {label for label, _, _ in jpegs}
    odd = sorted(found ^ set(form.classes)) if part == "train" else sorted(found - set(form.classes))
    if odd:
        problem = "lacks the class" if odd[0] in form.classes else f"has a class that {form.title} has not,"
        raise DataError(f"{path} {problem} {odd[0]}; {form.remedy}")
    keys = sorted(jpegs)
    images = np.stack(
        [
            _decoded(f"{part}/{folder}/{name}", jpegs[label, name, folder], form)
            for label, name, folder in keys
        ]
    )
    labels = np.array([form.classes.index(label) for label, _, _ in keys], dtype=np.int64)
    return Found(images, labels, "re-encoded as JPEG")


def _decoded(name: str, content: bytes, form: Form) -> NDArray[np.uint8]:
    """Return a JPEG file as (3, 32, 32)."""
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.size != (_SIDE, _SIDE):
                raise DataError(f"{name} has {image.size} pixels; {form.title} has {_SIDE}x{_SIDE}")
            return np.asarray(image.convert("RGB"), dtype=np.uint8).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is no JPEG image: {error}; get it again") from error


class _Wanted(NamedTuple):
    """Which files are read.

    Attributes:
        form: Of which set.
        part: Of which part of it.
    """

    form: Form
    part: Part

    def limit(self, name: str) -> int | None:
        """Return how large the file ``name`` may be; ``None`` where it cannot hold images.

        Raises:
            DataError: It is an image that would not be read.
        """
        if _LITTER.fullmatch(name):
            return None
        if self.form.file_of(name) in self.form.files_of(self.part):
            return self.form.records * self.form.record_bytes
        if jpeg := _JPEG.fullmatch(name):
            return _MAX_JPEG_BYTES if jpeg[1].lower() == self.part else None
        image = _IMAGE.fullmatch(name)
        if image and image[1].lower() == self.part:
            raise DataError(
                f"{name[-80:]} is no {self.part}/CLASS/NAME.jpg, and would be left out; {self.form.remedy}"
            )
        return None

    def require_few(self, path: Path, n: int) -> None:
        """Refuse more files than there can be.

        Raises:
            DataError: There are.
        """
        if n >= _MAX_FILES:
            raise DataError(f"{path} holds over {_MAX_FILES} files; {self.form.remedy}")

    def too_large(self, name: str, limit: int) -> DataError:
        """Return the error over a file that is larger than ``limit``."""
        return DataError(
            f"{name[-80:]} is too large; at most {limit} bytes were expected; {self.form.remedy}"
        )


def _files(path: Path, wanted: _Wanted) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files that may hold images, with ``/`` in names."""
    try:
        yield from _of_folder(path, wanted) if path.is_dir() else _of_archive(path, wanted)
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"cannot read {path}: {reason}; {wanted.form.remedy}") from error


def _of_folder(path: Path, wanted: _Wanted) -> Iterator[tuple[str, bytes]]:
    below = "".join(f"[{letter}{letter.upper()}]" for letter in wanted.part)
    patterns = ("*.[bB][iI][nN]", "*/*.[bB][iI][nN]", f"{below}/**/*")
    found = (file for pattern in patterns for file in path.glob(pattern))
    for n, file in enumerate(found):
        name = file.relative_to(path).as_posix()
        wanted.require_few(path, n)
        limit = wanted.limit(name)
        if limit is not None:
            yield name, _content(name, file, limit, wanted)


def _of_archive(path: Path, wanted: _Wanted) -> Iterator[tuple[str, bytes]]:
    with _unpacked(path) as unpacked:
        bounded = _Bounded(unpacked, wanted.form.remedy)
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for n, member in enumerate(archive):
                wanted.require_few(path, n)
                limit = wanted.limit(member.name) if member.isreg() else None
                if limit is None:
                    continue
                if member.size > limit:
                    raise wanted.too_large(member.name, limit)
                content = archive.extractfile(member)
                if content is not None:
                    yield member.name, content.read()


def _content(name: str, file: Path, limit: int, wanted: _Wanted) -> bytes:
    try:
        return read_regular(file, limit)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise wanted.too_large(name, limit) from error
        raise


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

    def __init__(self, stream: _Stream, remedy: str) -> None:
        super().__init__()
        self._stream, self._remedy = stream, remedy
        self._left = _MAX_ARCHIVE_BYTES

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes."""
        content = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"the archive unpacks to over {_MAX_ARCHIVE_BYTES} bytes; {self._remedy}")
        return content
