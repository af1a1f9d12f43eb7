"""Random crops of any size, stretched to the image's own: the crop of GoogLeNet's training on ImageNet.

Szegedy et al., "Going Deeper with Convolutions", arXiv 1409.4842, section 6, with the aspect ratios that it
names. Differs from it: a crop that would leave the image is cut to it, and images are of the size that they
are stored in before, so that a crop is enlarged.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

_ASPECTS = (3 / 4, 4 / 3)


def resized_crops(images: Tensor, least_share: float, generator: torch.Generator) -> Tensor:
    """Return a random window of each image, stretched to its size.

    Args:
        images: (n, c, h, w).
        least_share: Of the image's area, what a window has at least.
        generator: Of the CPU.
    """
    n = len(images)
    draws = torch.rand(4, n, generator=generator)
    areas = least_share + (1 - least_share) * draws[0]
    low, high = (math.log(aspect) for aspect in _ASPECTS)
    aspects = torch.exp(low + (high - low) * draws[1])
    widths, heights = (areas * aspects).sqrt().clamp(max=1), (areas / aspects).sqrt().clamp(max=1)
    # In coordinates from -1 to 1, the window's centre may lie so far from the image's.
    across, down = ((2 * draws[2] - 1) * (1 - widths), (2 * draws[3] - 1) * (1 - heights))
    zeros = torch.zeros(n)
    maps = torch.stack([widths, zeros, across, zeros, heights, down], dim=1).reshape(n, 2, 3)
    grid = functional.affine_grid(maps.to(images), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
