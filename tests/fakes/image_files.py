"""Small image files of every kind, drawn here."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: The tag by which a camera says how it was held.
ORIENTATION = 0x0112


def pixels(seed: int, height: int = 10, width: int = 12) -> NDArray[np.uint8]:
    """Return a smooth image (height, width, 3), another for each seed."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def image_file(
    seed: int,
    *,
    kind: str = "PNG",
    mode: str = "RGB",
    size: tuple[int, int] = (10, 12),
    orientation: int | None = None,
) -> bytes:
    """Return an image file.

    Args:
        seed: What it shows.
        kind: As Pillow names it.
        mode: Its pixels, as Pillow names them.
        size: Height and width.
        orientation: How the camera was held.
    """
    image = Image.fromarray(pixels(seed, *size)).convert(mode)
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, kind, **({"exif": exif} if orientation is not None else {}))
    return file.getvalue()


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write ``files`` by their paths below ``folder``, and return it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def two_classes(folder: Path, n: int = 6, *, prefix: str = "") -> Path:
    """Write ``n`` images of each of two classes, of several sizes, and return the folder."""
    files = {
        f"{prefix}{label}/{i}.png": image_file(100 * k + i, size=(8 + i % 3, 10))
        for k, label in enumerate(("cat", "dog"))
        for i in range(n)
    }
    return write_files(folder, files)
