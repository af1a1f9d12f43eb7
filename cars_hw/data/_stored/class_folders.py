"""Folders of classes: every file below is an image of a class, passed over for a reason, or a problem.

Two layouts are read, whatever the case of the letters: ``CLASS/...`` in one tree; and ``train/CLASS/...``
with ``val`` or ``test`` beside it. Names of litter are those that file managers and editors leave behind.
"""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cars_hw.data._check import Finding
from cars_hw.errors import DataError
from devices.foundation import printable, read_regular

_READ = re.compile(r".+\.(?:jpe?g|jpe|jfif|png|webp|bmp|dib)", re.IGNORECASE | re.DOTALL)
_NOT_READ = re.compile(
    r".+\.(?:gif|tiff?|avif|hei[cf]|jp2|j2k|jxl|ppm|pgm|pbm|pnm|tga|ico|psd|svg|dng|cr2|cr3|nef|arw|npy|dcm)",
    re.IGNORECASE | re.DOTALL,
)
_LITTER = re.compile(
    r"\..*|__macosx|(?:eh)?thumbs\.db|desktop\.ini|@eadir|\$recycle\.bin|system volume information"
    r"|lost\+found|.*(?:~|\.bak|\.swp|\.tmp|\.part|\.crdownload)",
    re.IGNORECASE | re.DOTALL,
)
_TRAINING = ("train", "training")
#: Beside images to train on, those that are kept for the end; the first that is there. With a test part, the
#: images to validate on are searched on too.
_TEST = ("test", "testing")
_VALIDATION = ("val", "valid", "validation")
_MAX_FILES = 20_000_000
_MAX_FILE_BYTES = 1 << 28
#: The coarsest clock of a file system that is in use has ticks of two seconds.
_TICK_NS = 2_500_000_000


@dataclass(frozen=True)
class ImageFile:
    """An image.

    Attributes:
        name: Its path below the data set's folder.
        label: The name of its class.
    """

    name: str
    label: str


@dataclass
class Listing:
    """What lies in a folder.

    Attributes:
        root: The folder.
        training: The images to train and search on, by class, then by name.
        test: Those that neither may see; ``None`` where none are told apart.
        skipped: What is no image, or litter.
        problems: Images that would be lost.
    """

    root: Path
    training: list[ImageFile] = field(default_factory=list)
    test: list[ImageFile] | None = None
    skipped: list[Finding] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes to train on, in the order of their names."""
        return tuple(sorted({file.label for file in self.training}))


def listed(root: Path) -> Listing:
    """Find out what lies in ``root``.

    Raises:
        DataError: It is no folder, or cannot be read.
    """
    listing = Listing(root)
    try:
        folders, files = _sorted_entries(root, "", listing)
        parts = _parts(root, folders)
        if parts is None:
            listing.training = _images_of_classes(folders, files, "", listing)
        else:
            _list_parts(parts, listing, [name for name in folders if name not in parts.values()], files)
    except OSError as error:
        raise DataError(
            f"cannot read {printable(str(error.filename or root))}: {error.strerror}; set data.path to a "
            "folder of class folders"
        ) from error
    for images in (listing.training, listing.test or []):
        images.sort(key=lambda file: (file.label, file.name))
    _compare_classes(listing)
    return listing


def _list_parts(
    parts: Mapping[str, str], listing: Listing, others: Sequence[str], files: Sequence[str]
) -> None:
    """List a folder that tells apart what is trained on."""
    images = {}
    for part, folder in parts.items():
        inner_folders, inner_files = _sorted_entries(listing.root / folder, folder, listing)
        if part != "training" and inner_files and not inner_folders:  # ImageNet's, as they are handed out
            reason = f"holds {len(inner_files)} files in no class's folder, which have no labels"
            listing.skipped.append(Finding(printable(folder), reason))
            continue
        images[part] = _images_of_classes(inner_folders, inner_files, folder, listing)
    listing.training = images["training"]
    if "test" in images:
        listing.test = images["test"]
        listing.training += images.get("validation", [])
    else:
        listing.test = images.get("validation")
    beside = f"lies beside {parts['training']}, and is not read"
    listing.skipped += [Finding(printable(name), beside) for name in others]
    for name in files:
        _judge(name, name, listing)


def _parts(root: Path, folders: Sequence[str]) -> dict[str, str] | None:
    """Return the folders of the parts by what they are for; ``None`` where ``folders`` are classes.

    A folder ``train`` that holds images itself is a class of trains.
    """
    known = {"training": _TRAINING, "validation": _VALIDATION, "test": _TEST}
    found: dict[str, str] = {}
    for part, names in known.items():
        for folder in folders:
            if folder.lower() in names:
                found.setdefault(part, folder)
    if "training" not in found:
        return None
    with os.scandir(root / found["training"]) as entries:
        holds_classes = any(entry.is_dir() and not _LITTER.fullmatch(entry.name) for entry in entries)
    return found if holds_classes else None


def _images_of_classes(
    folders: Sequence[str], files: Sequence[str], prefix: str, listing: Listing
) -> list[ImageFile]:
    """Return the images in ``folders``, of a class each; those among ``files`` have none."""
    for name in files:
        path = f"{prefix}/{name}" if prefix else name
        _judge(name, path, listing)
    found: list[ImageFile] = []
    for folder in folders:
        path = f"{prefix}/{folder}" if prefix else folder
        label = unicodedata.normalize("NFC", folder)
        if not label.isprintable():
            listing.problems.append(Finding(printable(path), "its name cannot be printed; rename it"))
            continue
        before = len(found)
        found += _images_below(path, label, listing)
        if len(found) == before:
            listing.skipped.append(Finding(path, "holds no image, and is no class"))
    return found


def _images_below(path: str, label: str, listing: Listing) -> Iterator[ImageFile]:
    """Yield all images in the folder ``path`` of a class, however deep; a folder is entered once."""
    entered: set[tuple[int, int]] = set()
    pending = [path]
    while pending:
        folder = pending.pop()
        status = (listing.root / folder).stat()
        if (status.st_dev, status.st_ino) in entered:
            listing.skipped.append(Finding(printable(folder), "is a folder that was read already"))
            continue
        entered.add((status.st_dev, status.st_ino))
        folders, files = _sorted_entries(listing.root / folder, folder, listing)
        pending += [f"{folder}/{name}" for name in reversed(folders)]
        for name in files:
            if _judge(name, f"{folder}/{name}", listing, has_class=True):
                yield ImageFile(f"{folder}/{name}", label)


def _sorted_entries(folder: Path, prefix: str, listing: Listing) -> tuple[list[str], list[str]]:
    """Return the names of the folders and files in ``folder``, without litter."""
    folders, files = [], []
    with os.scandir(folder) as entries:
        for n, entry in enumerate(entries):
            if n > _MAX_FILES:
                raise DataError(f"{folder} holds over {_MAX_FILES} files")
            path = f"{prefix}/{entry.name}" if prefix else entry.name
            if _LITTER.fullmatch(entry.name):
                listing.skipped.append(Finding(printable(path), "has a name that programs leave behind"))
            elif entry.is_dir():
                folders.append(entry.name)
            elif entry.is_file():
                files.append(entry.name)
            else:
                listing.problems.append(Finding(printable(path), "is no file, or a link that leads nowhere"))
    return sorted(folders), sorted(files)


def _judge(name: str, path: str, listing: Listing, *, has_class: bool = False) -> bool:
    """Tell whether the file ``name`` is an image of a class; else say what it is."""
    if _READ.fullmatch(name):
        if not has_class:
            reason = "is an image in no class's folder; move it into one that is named after its class"
            listing.problems.append(Finding(printable(path), reason))
        return has_class
    if _NOT_READ.fullmatch(name):
        reason = "is of a format that is not read; convert it to JPEG, PNG, WebP or BMP"
        listing.problems.append(Finding(printable(path), reason))
    else:
        listing.skipped.append(Finding(printable(path), "is no image, by its ending"))
    return False


def _compare_classes(listing: Listing) -> None:
    """Say which classes of the test part are not trained on."""
    names = listing.class_names
    for label in sorted({file.label for file in listing.test or []} - set(names)):
        listing.problems.append(Finding(label, "is a class of the test images, and none to train on"))
    if len(names) == 1 and any("/" in file.name[len(names[0]) + 1 :] for file in listing.training):
        reason = f"is the only class, and has folders in it; is data.path {names[0]} in it?"
        listing.problems.append(Finding(names[0], reason))
    if listing.test is not None and not listing.test:
        listing.test = None


def identity(root: Path, names: Sequence[str], *, now_ns: int) -> Iterator[bytes]:
    """Yield what tells each file from any other content of it, without reading it.

    That is its place, length, times of change and number in the file system; whoever sets the time of a
    change back changes that of the file's status. Where a file changed just now, a further change might fall
    into the same tick of a coarse clock: there, the content counts too.

    Args:
        root: The folder.
        names: Of files below it; one that cannot be read is told from the same one when it can.
        now_ns: The time before they are read, in nanoseconds since 1970.
    """
    yield os.fsencode(root.resolve()) + b"\0"
    for name in names:
        yield os.fsencode(name) + b"\0"
        try:
            status = (root / name).stat()
            times = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)
            yield repr(times).encode()
            if max(status.st_mtime_ns, status.st_ctime_ns) > now_ns - _TICK_NS:
                yield read_content(root / name)
        except OSError as error:
            yield b"?" + str(error.errno).encode()


def read_content(path: Path) -> bytes:
    """Return the content of a file, if it is no larger than an image is.

    Raises:
        OSError: It is, or cannot be read.
    """
    return read_regular(path, _MAX_FILE_BYTES)
