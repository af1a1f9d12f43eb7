"""Judging: the classes that a network gives to images, right or among the first five."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_FIRST = 5


@dataclass(frozen=True)
class Judgement:
    """How a network did on some images, by class.

    Attributes:
        images: Images of each class, (classes,).
        right: Of these, those whose class has the greatest logit, (classes,).
        among_five: Those whose class is among the five greatest, (classes,); of all where there are no more.
    """

    images: NDArray[np.int64]
    right: NDArray[np.int64]
    among_five: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Share of the images that are classified wrongly."""
        return 1 - float(self.right.sum() / self.images.sum())

    @property
    def top5_error(self) -> float:
        """Share of the images whose class is not among the five greatest logits."""
        return 1 - float(self.among_five.sum() / self.images.sum())


@torch.inference_mode()
def judge(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    classes: int,
    between_batches: Callable[[], None],
) -> Judgement:
    """Judge ``network``, in evaluation mode; an image with a logit that is not finite is classified wrongly.

    Args:
        network: Maps normalised images (n, c, h, w) to logits (n, classes).
        batches: Normalised images (n, c, h, w) and labels (n,).
        classes: How many there are.
        between_batches: Called after each batch.
    """
    counts = torch.zeros(3, classes, dtype=torch.int64)
    for images, labels in batches:
        logits = network(images)
        is_finite = logits.isfinite().all(1)
        # Not by place among the sorted: of equal logits, the first one wins, on every device.
        right = (logits.argmax(1) == labels) & is_finite
        five = logits.topk(min(_FIRST, classes), dim=1).indices
        among = ((five == labels[:, None]).any(1) & is_finite) | right
        for row, chosen in enumerate((torch.ones_like(right), right, among)):
            counts[row] += torch.bincount(labels[chosen].cpu(), minlength=classes)
        between_batches()
    images_of, right_of, among_of = counts.numpy()
    return Judgement(images_of, right_of, among_of)
