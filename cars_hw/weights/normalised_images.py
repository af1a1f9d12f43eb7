"""Images as networks take them: normalised, all at once where they fit, else batch by batch."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cars_hw.data import ImageSet
from cars_hw.weights.placement import sent

#: As 32-bit numbers, images that lie in a file are held in memory up to this; images that are in memory
#: already are always held.
_MOST_HELD_BYTES = 2 << 30


class NormalisedImages:
    """The images of a set, less the mean and in units of the standard deviation of each channel.

    Args:
        images: The set.
        mean: Of each channel scaled to 0..1, (c,).
        std: Of each channel scaled to 0..1, (c,).
        device: Where they are needed.
        most_held_bytes: What mapped images may take there all at once; others are read when they are needed.

    Attributes:
        labels: (n,), on the device.
    """

    def __init__(
        self,
        images: ImageSet,
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        device: torch.device,
        *,
        most_held_bytes: int = _MOST_HELD_BYTES,
    ) -> None:
        self._images, self._device = images, device
        self._mean = torch.from_numpy(mean)[:, None, None].to(device)
        self._std = torch.from_numpy(np.maximum(std, 1e-6))[:, None, None].to(device)
        self.labels = torch.from_numpy(images.labels).to(device)
        size_bytes = 4 * len(images.labels) * int(np.prod(images.image_shape))
        is_held = not images.is_mapped or size_bytes <= most_held_bytes
        self._held = self._normalised(torch.from_numpy(images.images).to(device)) if is_held else None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<{self._images!r}, normalised, {'held' if self._held is not None else 'read'}>"

    @property
    def is_held(self) -> bool:
        """Whether all are in memory."""
        return self._held is not None

    def batch(self, rows: Tensor | slice) -> Tensor:
        """Return the images numbered ``rows``, (b,), as (b, c, h, w).

        Numbers that are on the host need no waiting for a GPU.
        """
        if self._held is None:
            taken = self._images.take(rows if isinstance(rows, slice) else rows.cpu().numpy())
            return self._normalised(sent(torch.from_numpy(taken), self._device))
        return self._held[self._sent(rows)]

    def labels_of(self, rows: Tensor | slice) -> Tensor:
        """Return the labels of the images numbered ``rows``, (b,), on the device."""
        return self.labels[self._sent(rows)]

    def all(self) -> Tensor:
        """Return all images, (n, c, h, w), whatever memory they take."""
        return self.batch(slice(None))

    def _normalised(self, pixels: Tensor) -> Tensor:
        return (pixels.to(torch.float32) / 255 - self._mean) / self._std

    def _sent(self, rows: Tensor | slice) -> Tensor | slice:
        return rows if isinstance(rows, slice) else sent(rows, self._device)
