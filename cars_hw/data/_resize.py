"""How an image file becomes an array of a given size. Pillow does it, so that an app can do the very same."""

import io
import struct
import zlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field

from devices.foundation import Settings

ResizeMode = Literal["fit", "crop", "stretch", "pad"]
Interpolation = Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
#: Of the arrays that networks take: grey, or red, green and blue.
Channels = Literal[1, 3]

#: Whose decoders may look at a file, whatever its ending.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
#: Kinds of pixels of 8 bits; what Pillow makes of others when it converts them, nobody would expect.
_KINDS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_MODES = {1: "L", 3: "RGB"}
#: What Pillow raises over a file that is no image, or a damaged one.
UNREADABLE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class ResizeRule(Settings):
    """How an image of any size becomes one of ``height`` x ``width``.

    Attributes:
        mode: ``fit`` scales an image until all of it fits, and puts black around it; ``crop`` scales it until
            it covers everything, and keeps the middle; ``stretch`` scales height and width apart; ``pad``
            scales nothing, and puts black around it.
        height: Of the result; pixels.
        width: Of the result; pixels.
        interpolation: As Pillow names it; where an image shrinks, all pixels count, but for ``nearest``.
    """

    mode: ResizeMode
    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    interpolation: Interpolation = "bilinear"

    def __str__(self) -> str:
        by = "" if self.mode == "pad" else f", {self.interpolation}"
        return f"{self.mode} to {self.height}x{self.width}{by}"

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return ``image``, upright and grey or RGB, in the rule's size.

        Raises:
            ValueError: It is larger, and the rule scales nothing; or so narrow that nothing of it is left.
        """
        size, method = (self.width, self.height), Image.Resampling[self.interpolation.upper()]
        match self.mode:
            case "fit":
                return ImageOps.pad(image, size, method, color=0)
            case "crop":
                return ImageOps.fit(image, size, method)
            case "stretch":
                return image.resize(size, method)
        if refusal := self.refusal(image.height, image.width):
            raise ValueError(refusal)
        left, top = (image.width - self.width + 1) // 2, (image.height - self.height + 1) // 2
        return image.crop((left, top, left + self.width, top + self.height))

    def refusal(self, height: int, width: int) -> str:
        """Return why an image of this size is not taken; empty where it is."""
        if self.mode != "pad" or (height <= self.height and width <= self.width):
            return ""
        return f"it has {height}x{width} pixels, and {self} leaves nothing out; take fit, crop or stretch"

    def pixels(self, content: bytes, channels: Channels = 3) -> NDArray[np.uint8]:
        """Return an image file as networks are given it, before normalisation: (channels, height, width).

        Raises:
            ValueError: As for a call.
            OSError: It is no image, or not a whole one; see ``UNREADABLE`` for what else Pillow raises.
        """
        return planes(self(decoded(content, channels)))

    def of_arrays(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return images (n, c, h, w) as (n, c, height, width); each channel by itself, which is the same.

        Raises:
            ValueError: As for a call.
        """
        n, channels = images.shape[:2]
        resized = np.empty((n, channels, self.height, self.width), np.uint8)
        for i, image in enumerate(images):
            for k, plane in enumerate(image):
                resized[i, k] = np.asarray(self(Image.fromarray(plane)))
        return resized

    def python(self, image: str = "image") -> str:
        """Return this rule as an expression of Python that needs Pillow alone.

        Args:
            image: Name of the variable that holds the image, upright and of the network's channels.
        """
        size, method = f"({self.width}, {self.height})", f"Image.Resampling.{self.interpolation.upper()}"
        match self.mode:
            case "fit":
                return f"ImageOps.pad({image}, {size}, {method}, color=0)"
            case "crop":
                return f"ImageOps.fit({image}, {size}, {method})"
            case "stretch":
                return f"{image}.resize({size}, {method})"
        corner = (
            f"x := ({image}.width - {self.width - 1}) // 2, y := ({image}.height - {self.height - 1}) // 2"
        )
        return f"{image}.crop(({corner}, x + {self.width}, y + {self.height}))"


def decoding_python(channels: int, file: str = "file") -> str:
    """Return how ``decoded`` opens a file, as an expression of Python that needs Pillow alone."""
    return f'ImageOps.exif_transpose(Image.open({file})).convert("{_MODES[channels]}")'


def decoded(content: bytes, channels: Channels = 3) -> Image.Image:
    """Return an image file of any kind upright, as grey or as RGB; transparency is left out.

    Raises:
        ValueError: Its pixels have more than 8 bits.
        OSError: It is no image, or not a whole one; see ``UNREADABLE`` for what else Pillow raises.
    """
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        _require_bytes(image)
        upright = ImageOps.exif_transpose(image)
        if "transparency" in upright.info:  # else Pillow warns; the colours are the same
            upright = upright.convert("RGBA")
        return upright.convert(_MODES[channels])


def seen(content: bytes, *, whole: bool) -> tuple[int, int, str]:
    """Return height and width of an image file, upright, and its kind of pixels, as Pillow names it.

    Args:
        content: The file's.
        whole: Whether all of it is decoded, or the header alone is looked at.

    Raises:
        ValueError: Its pixels have more than 8 bits.
        OSError: It is no image, or not a whole one; see ``UNREADABLE`` for what else Pillow raises.
    """
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        _require_bytes(image)
        if whole:
            image.load()
        width, height = image.size
        if image.getexif().get(_ORIENTATION, 1) in _LYING:
            width, height = height, width
        return height, width, image.mode


def _require_bytes(image: Image.Image) -> None:
    """Refuse pixels of more than 8 bits.

    Raises:
        ValueError: They are.
    """
    if image.mode not in _KINDS:
        raise ValueError(f"its pixels are of the kind {image.mode}, not of 8 bits; convert it")


def planes(image: Image.Image) -> NDArray[np.uint8]:
    """Return a grey or RGB image as (c, h, w)."""
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


#: The tag that says how a camera was held, and its values for images that lie on their side.
_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)
