"""Proof: what a file gives, held against torch on real images, and its classes against their labels."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cars_hw.results.exporting.images import JudgingImages
from cars_hw.results.exporting.options import FileOptions
from profilers import FileFormat, formats

#: Largest difference of a logit between torch and the exported file, as a share of the largest logit. Kernels
#: add in another order, which makes a few 1e-7 of trained networks; what is wrong is wrong by 1e-3 and more.
PARITY_TOLERANCE = 1e-5

#: A file's roundings and torch's add up, and neither is at its worst on the same image.
_ROUNDINGS = 4
#: More than this share of the largest logit is never put down to rounding.
_MOST_ROUNDING = 1e-4
#: Of so many images, spread evenly, rounding is estimated.
_ROUNDED_IMAGES = 1024
#: Softmax makes at most half of a difference between logits one between probabilities, and rounds itself.
_SOFTMAX_SLOPE, _SOFTMAX_ROUNDING = 0.5, 1e-6

_BATCH = 256
#: Images at once of a file that takes any number: it has to take one, and more.
_SEVERAL = 8

#: (n, classes).
Outputs = NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """What a file has to give.

    Attributes:
        outputs: Logits or probabilities, (n, classes).
        tolerance: Largest difference of one of them.
        scale: The largest of them, without its sign.
    """

    outputs: Outputs
    tolerance: float
    scale: float


@dataclass(frozen=True)
class Figures:
    """What was found of a file.

    Attributes:
        outputs: What it gives, (n, classes).
        difference: Largest difference of an output to what it was held against.
        error: Share of the images that it classifies wrongly; ``None`` where they have no labels.
    """

    outputs: Outputs
    difference: float
    error: float | None


def torch_reference(network: nn.Module, judging: JudgingImages, *, with_softmax: bool) -> Reference:
    """Return what torch gives for normalised images, and how far rounding may take a file from it.

    Args:
        network: In evaluation mode, in float32, on the CPU: normalised images (n, c, h, w) to logits
            (n, classes).
        judging: The images.
        with_softmax: Whether the file gives probabilities.
    """
    logits = np.concatenate([_logits(network, images) for images in judging.normalised()])
    # An error is judged relative to the largest logit: the smaller ones are sums that cancel out.
    scale = float(np.abs(logits).max())
    rounding = min(_rounding(network, judging, logits), _MOST_ROUNDING * scale)
    tolerance = PARITY_TOLERANCE * scale + rounding
    if not with_softmax:
        return Reference(logits, tolerance, scale)
    outputs = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    return Reference(outputs, _SOFTMAX_SLOPE * tolerance + _SOFTMAX_ROUNDING, float(outputs.max()))


def examined(
    content: bytes, judging: JudgingImages, held_against: Outputs, made_by: FileFormat, options: FileOptions
) -> Figures:
    """Run a file on all images; hold what it gives against other outputs, and its classes against the labels.

    Args:
        content: The file; it is not written here, so that a wrong one never lies on the disk.
        judging: The images.
        held_against: Of torch or of the float file, (n, classes).
        made_by: Runs the file.
        options: What the file takes.
    """
    parts = judging.inputs(are_pixels=options.with_preprocessing)
    outputs = np.concatenate([_outputs(content, images.numpy(), made_by, options) for images in parts])
    labels = judging.labels
    error = None if labels is None else float((outputs.argmax(1) != labels).mean())
    return Figures(outputs, float(np.abs(outputs - held_against).max()), error)


def _outputs(content: bytes, images: formats.Images, made_by: FileFormat, options: FileOptions) -> Outputs:
    """Return what a file gives; one that takes any number of images gets one, and then several at once."""
    if options.batch != "dynamic":
        return made_by.run(content, images)
    parts = [made_by.run(content, images[:1])]
    if len(images) > 1:
        parts.append(made_by.run(content, images[1:], batch=_SEVERAL))
    return np.concatenate(parts)


def _logits(network: nn.Module, images: Tensor) -> Outputs:
    """Return the logits (n, classes) of ``images`` (n, c, h, w), in batches that fit the memory."""
    with torch.inference_mode():
        return torch.cat([network(batch) for batch in images.split(_BATCH)]).numpy()


def _rounding(network: nn.Module, judging: JudgingImages, logits: Outputs) -> float:
    """Return how far rounding alone may take two float32 networks apart, as a difference of logits.

    Barely trained networks magnify it: torch's own logits are then that far from its logits in float64, and
    a file that sums in another order is off by as much again.

    Args:
        network: In float32, on the CPU.
        judging: The images.
        logits: Its logits in float32, (n, classes).
    """
    # A copy, since ``double`` changes the network in place.
    exact, step = copy.deepcopy(network).double(), -(-len(judging) // _ROUNDED_IMAGES)
    start, most = 0, 0.0
    for images in judging.normalised():
        rows = slice(-start % step, None, step)
        known = logits[start : start + len(images)][rows]
        if len(known):
            most = max(most, float(np.abs(known - _logits(exact, images[rows].double())).max()))
        start += len(images)
    return _ROUNDINGS * most
