"""A folder of images as people have them: class folders, many endings, sizes and kinds of pixels, and litter.

The images are CIFAR-10's as JPEG, of ../shared/data: real ones, but of 32 pixels, and nothing larger that is
real is at hand. They are enlarged to 48 to 128 pixels before they are written, so that what is tried is the
way from messy files to networks of 64 pixels; no figure says what finer detail would be worth.
"""

import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
_ARCHIVE = "cifar10-jpeg.tar.xz"
#: Of the shorter side of an image; pixels.
_LEAST_SIDE, _MOST_SIDE = 48, 128
#: Of one side, how much is cut off at most, so that images are not square.
_CUT_SHARE = 0.2
#: The tag that says how a camera was held, and its value for "turn it to the right to see it upright".
_ORIENTATION, _TURN_RIGHT = 0x0112, 6
#: What programs leave behind, and what is no image; by its place in the folder.
_LITTER: Mapping[str, bytes] = {
    ".DS_Store": b"\0\0\0\1Bud1",
    "train/Thumbs.db": b"\xd0\xcf\x11\xe0",
    "train/{label}/._1.jpg": b"\0\5\x16\7",
    "test/{label}/notes.txt": b"taken in June\n",
}


@dataclass(frozen=True)
class Kind:
    """A kind of image file.

    Attributes:
        name: What it is called in results.
        ending: Of its name.
        file_format: What its content is, as Pillow names it; whatever the ending.
        convert: Makes its pixels of RGB ones.
        exif: Tags by their numbers.
    """

    name: str
    ending: str
    file_format: str
    convert: Callable[[Image.Image], Image.Image] = Image.Image.copy
    exif: Mapping[int, int] = field(default_factory=dict)

    def write(self, image: Image.Image, stem: Path) -> None:
        """Write an RGB image as ``stem`` with the ending of this kind."""
        tags = Image.Exif()
        tags.update(self.exif)
        extra = {"exif": tags} if self.exif else {}
        self.convert(image).save(stem.with_name(stem.name + self.ending), self.file_format, **extra)


def _turned_left(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.ROTATE_90)


def _transparent(image: Image.Image) -> Image.Image:
    found = image.convert("RGBA")
    found.putalpha(200)
    return found


#: An image is of one kind after the other.
KINDS = (
    Kind("JPEG", ".jpg", "JPEG"),
    Kind("grey JPEG", ".JPG", "JPEG", lambda image: image.convert("L")),
    Kind("CMYK JPEG", ".jpeg", "JPEG", lambda image: image.convert("CMYK")),
    Kind("JPEG of a camera held sideways", ".Jpg", "JPEG", _turned_left, {_ORIENTATION: _TURN_RIGHT}),
    Kind("palette PNG", ".png", "PNG", lambda image: image.quantize(128)),
    Kind("transparent PNG", ".PNG", "PNG", _transparent),
    Kind("PNG by a JPEG's name", ".JPEG", "PNG"),
    Kind("WebP", ".webp", "WEBP"),
    Kind("BMP", ".BMP", "BMP"),
)


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        images: By part, ``train`` and ``test``, how many.
        kinds: How many are of which kind.
        litter: Files that are no images.
    """

    images: Mapping[str, int]
    kinds: Mapping[str, int]
    litter: int


def write_messy(root: Path, classes: Sequence[str], images: Mapping[str, int]) -> Written:
    """Write ``root/train/CLASS`` and ``root/test/CLASS``; the same files whenever it is called.

    Args:
        root: The folder.
        classes: Names of classes of CIFAR-10.
        images: By part, how many of each class; those to test on are CIFAR-10's own.
    """
    random = np.random.default_rng(0)
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for part, label, content in _originals(classes, images):
        kind = KINDS[counts[part] % len(KINDS)]
        folder = root / part / label
        folder.mkdir(parents=True, exist_ok=True)
        kind.write(
            _enlarged(Image.open(BytesIO(content)).convert("RGB"), random), folder / f"{counts[part]:05d}"
        )
        counts[part] += 1
        kinds[kind.name] += 1
    for place, content in _LITTER.items():
        (root / place.format(label=classes[0])).write_bytes(content)
    return Written(dict(counts), dict(kinds), len(_LITTER))


def write_damaged(root: Path, label: str) -> Path:
    """Write an image of which the second half is missing, as a download that broke off leaves it."""
    whole = BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    Image.fromarray(noise).save(whole, "JPEG")
    path = root / "train" / label / "broken.jpg"
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    return path


def _originals(classes: Sequence[str], images: Mapping[str, int]) -> Iterator[tuple[str, str, bytes]]:
    """Yield part, class and content of the first images of each class in the archive."""
    left = {(part, label): n for part, n in images.items() for label in classes}
    folder = Path(os.environ.get("CARS_HW_DATA", ROOT.parent / "shared" / "data"))
    with tarfile.open(folder / _ARCHIVE) as archive:
        for member in archive:
            if not any(left.values()):
                return
            part, _, label = os.path.dirname(member.name).rpartition("/")
            content = archive.extractfile(member) if left.get((part, label)) else None
            if content is not None:
                left[part, label] -= 1
                yield part, label, content.read()


def _enlarged(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return an image in a size of its own, and hardly ever square."""
    side = int(random.integers(_LEAST_SIDE, _MOST_SIDE + 1))
    cut = int(side * random.uniform(0, _CUT_SHARE))
    large = image.resize((side + cut, side + cut), Image.Resampling.LANCZOS)
    width, height = (side, side + cut) if random.random() < 0.5 else (side + cut, side)
    return large.crop((0, 0, width, height))
