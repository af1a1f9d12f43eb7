"""Random crop, flip and cutout of a batch, as tensor operations: no workers, no per-image loop.

All is drawn on the host, so that a seed draws the same on every device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cars_hw.weights.placement import sent


@dataclass(frozen=True)
class Augmentation:
    """What is done to training images.

    Attributes:
        crop_padding: Zeros added on each side before a crop of the old size; pixels.
        cutout: Side of the square set to zero (DeVries and Taylor, arXiv 1708.04552); pixels, 0 for none.
        flip: Whether half of the images are mirrored.
    """

    crop_padding: int
    cutout: int
    flip: bool

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return augmented copies of normalised ``images`` ``(n, c, h, w)``."""
        if self.crop_padding:
            images = _crop(images, self.crop_padding, generator)
        if self.flip:
            mirrored = sent(torch.rand(len(images), generator=generator) < 0.5, images.device)
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        if self.cutout:
            images = images * _cutout_mask(images, self.cutout, generator)
        return images


def _crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Return a random window of each image ``(n, c, h, w)``, of its size, after padding with zeros."""
    n, c, height, width = images.shape
    device = images.device
    padded = functional.pad(images, (padding,) * 4)
    tops, lefts = sent(torch.randint(2 * padding + 1, (2, n), generator=generator), device)
    rows = (tops[:, None] + torch.arange(height, device=device))[:, None, :, None]
    columns = (lefts[:, None] + torch.arange(width, device=device))[:, None, None, :]
    channels = torch.arange(c, device=device)[None, :, None, None]
    return padded[torch.arange(n, device=device)[:, None, None, None], channels, rows, columns]


def _cutout_mask(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return ``(n, 1, h, w)``: zero in a square around a random pixel, cut at the border, else one."""
    n, _, height, width = images.shape
    centre_y = torch.randint(height, (n, 1), generator=generator)
    centre_x = torch.randint(width, (n, 1), generator=generator)
    rows = _in_window(torch.arange(height), centre_y, side)
    columns = _in_window(torch.arange(width), centre_x, side)
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return sent(~hole, images.device).to(images.dtype)


def _in_window(positions: Tensor, centre: Tensor, side: int) -> Tensor:
    """Return ``(n, p)``: which positions ``(p,)`` are among the ``side`` pixels around centres ``(n, 1)``."""
    return (positions >= centre - side // 2) & (positions < centre - side // 2 + side)
