"""Export: a network with its weights to a file, verified against torch, with a model card beside it."""

import copy
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cars_hw.ledger import Json
from cars_hw.results.model_card import card_content, card_path
from cars_hw.runs import writing_into
from devices.foundation import plugin_name, replace_file
from profilers import ExportError, FileFormat, formats, nhwc_shape

#: Largest difference of a logit between torch and the exported file, as a share of the largest logit. Kernels
#: add in another order, which makes a few 1e-7 of trained networks; what is wrong is wrong by 1e-3 and more.
PARITY_TOLERANCE = 1e-5

#: A file's roundings and torch's add up, and neither is at its worst on the same image.
_ROUNDINGS = 4
#: More than this share of the largest logit is never put down to rounding.
_MOST_ROUNDING = 1e-4

#: Images that set the ranges of 8-bit activations, at most.
_MAX_RANGE_IMAGES = 256

_BATCH = 256
_PACKAGES = ("cars-hw", "torch", "numpy")

#: (n, classes).
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Export:
    """A written network.

    Attributes:
        path: The file; its card is a JSON file beside it.
        size_bytes: Size of the file.
        max_difference: Largest absolute difference of a logit to torch, over all images.
        error: Share of the images that the file classifies wrongly.
        file_format: Name of its format.
        measured: What was measured of the member of a front that it is, by the names of latencies.
    """

    path: Path
    size_bytes: int
    max_difference: float
    error: float
    file_format: str
    measured: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return the figures by name."""
        return {
            "file": str(self.path),
            "size_bytes": self.size_bytes,
            "error": self.error,
            "max_difference_to_torch": self.max_difference,
            **({"measured": dict(self.measured)} if self.measured else {}),
        }


def export_network(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    path: Path,
    *,
    card: Mapping[str, Json],
    made_by: FileFormat | None = None,
) -> Export:
    """Write ``network`` for one image at a time, and prove it on real images.

    Args:
        network: In evaluation mode; images (n, c, h, w) to logits (n, classes).
        images: Normalised, (n, c, h, w).
        labels: (n,).
        path: Where the file goes.
        card: What the model card has beside the facts of the export.
        made_by: The format; if not given, that which the suffix of ``path`` means.

    Raises:
        ExportError: The file's logits differ from torch's by more than ``PARITY_TOLERANCE`` of the largest,
            beyond what rounding explains, or the disk refuses; no file is left.
        UnknownNameError: No format has that suffix.
        UnsupportedOperationError: An operation of the network has no form in the format.
    """
    made_by = made_by or formats.of_file(path)
    with made_folder(path.parent):
        return _export_network(network, images, labels, path, card=card, made_by=made_by)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make the folder of files that take a while to make; where none is made in the end, leave no folder.

    Raises:
        ExportError: The disk refuses a folder, or files in it.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        make_folder(folder)
        yield
    except BaseException:
        for one in missing:  # the innermost first
            try:
                one.rmdir()
            except OSError:
                break  # it holds something, or was never made
        raise


def make_folder(folder: Path) -> None:
    """Make the folder of files that will take a while to make.

    Raises:
        ExportError: The disk refuses a folder, or files in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ExportError(f"cannot write to {folder}: {error.strerror}; choose another folder") from error


def require_files_possible(*paths: Path) -> None:
    """Refuse files whose name, or whose card's name, is taken by a folder.

    Raises:
        ExportError: It is.
    """
    for one in (*paths, *map(card_path, paths)):
        if os.path.isdir(one):
            raise ExportError(f"cannot write {one}: it is a folder; choose another folder for the files")


def _export_network(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    path: Path,
    *,
    card: Mapping[str, Json],
    made_by: FileFormat,
) -> Export:
    network, images, labels = network.cpu(), images.cpu(), labels.cpu()
    content = made_by.lower(network, [(1, *images.shape[1:])])
    reference = _torch_logits(network, images)
    export = _examined(path, content, images, labels, reference, made_by)
    # An error is judged relative to the largest logit: the smaller ones are sums that cancel out.
    scale = float(np.abs(reference).max())
    rounding = min(_rounding(network, images, reference), _MOST_ROUNDING * scale)
    tolerance = PARITY_TOLERANCE * scale + rounding
    # Not ``>``: a difference that is NaN has to be refused too.
    if not export.max_difference <= tolerance:
        raise ExportError(
            f"{path.name} differs from torch by {export.max_difference:.2e}, over {tolerance:.0e}: not kept"
        )
    _write(export, content, images, made_by, card={**card, "tolerance": tolerance})
    return export


def export_int8(
    before: Export,
    images: Tensor,
    labels: Tensor,
    *,
    range_images: Tensor,
    max_error_growth_share: float,
) -> Export:
    """Write an exported float file anew, with 8-bit integers inside, beside it; so for its card.

    Args:
        before: The float file.
        images: Normalised, (n, c, h, w).
        labels: (n,).
        range_images: Images (m, c, h, w) whose activations set the ranges: none of those that judge.
        max_error_growth_share: Share of ``images``, 0..1, that may be classified wrongly in addition.

    Returns:
        The file; its ``max_difference`` is to the float file.

    Raises:
        ExportError: The error grows by more, the format has no such files, the quantizer is not installed, or
            the disk refuses; no file of 8-bit integers is left.
        UnsupportedOperationError: The quantizer does not take the network.
    """
    images, labels, used = images.cpu(), labels.cpu(), range_images[:_MAX_RANGE_IMAGES].cpu()
    made_by = formats.load(before.file_format)
    model = before.path.read_bytes()
    content = made_by.quantize(model, used.numpy())
    path = before.path.with_suffix(f".int8{made_by.suffix}")
    export = _examined(path, content, images, labels, made_by.run(model, images.numpy()), made_by)
    # The ranges come from other images than those that judge, so that the growth is that on unseen ones.
    growth_share = export.error - before.error
    if not growth_share <= max_error_growth_share:
        raise ExportError(
            f"with 8-bit integers, {before.path.name} errs on {export.error:.2%} of the images instead of "
            f"{before.error:.2%}, which grows by more than {max_error_growth_share * 100:g} points: not "
            "kept; keep the float file, or allow the error to grow by more"
        )
    quantisation: dict[str, Json] = {
        "weights": "int8, a scale per output channel",
        "activations": "int8",
        "calibration_images": len(used),
        "float_file": before.path.name,
        "float_size_bytes": before.size_bytes,
        "float_error": before.error,
        "max_error_growth": max_error_growth_share,
    }
    facts = {**_read_facts(before.path), "quantisation": quantisation}
    _write(export, content, images, made_by, card=facts)
    return export


def _examined(
    path: Path, content: bytes, images: Tensor, labels: Tensor, reference: Logits, made_by: FileFormat
) -> Export:
    """Run a file on all images; hold its logits against ``reference`` and its classes against the labels.

    Args:
        path: Where the file will go.
        content: The file; it is not written here, so that a wrong one never lies on the disk.
        images: (n, c, h, w).
        labels: (n,).
        reference: (n, classes), of torch or of the float file.
        made_by: Runs the file, one image at a time.
    """
    logits = made_by.run(content, images.numpy())
    difference = float(np.abs(logits - reference).max())
    error = float((logits.argmax(1) != labels.numpy()).mean())
    return Export(path, len(content), difference, error, plugin_name(type(made_by)))


def _torch_logits(network: nn.Module, images: Tensor) -> Logits:
    """Return the logits (n, classes) of ``images`` (n, c, h, w), in batches that fit the memory."""
    with torch.inference_mode():
        return torch.cat([network(batch) for batch in images.split(_BATCH)]).numpy()


def _rounding(network: nn.Module, images: Tensor, reference: Logits) -> float:
    """Return how far rounding alone may take two float32 networks apart, as a difference of logits.

    Barely trained networks magnify it: torch's own logits are then that far from its logits in float64, and
    a file that sums in another order is off by as much again.

    Args:
        network: In float32, on the CPU.
        images: (n, c, h, w).
        reference: Its logits in float32, (n, classes).
    """
    # A copy, since ``double`` changes the network in place.
    exact = _torch_logits(copy.deepcopy(network).double(), images.double())
    return _ROUNDINGS * float(np.abs(reference - exact).max())


def _write(
    export: Export, content: bytes, images: Tensor, made_by: FileFormat, *, card: Mapping[str, Json]
) -> None:
    """Write a file and its card, which has the facts of the file after those of ``card``.

    Args:
        export: Where the file goes, and its figures.
        content: The file.
        images: Those that it was verified on, (n, c, h, w).
        made_by: Its format.
        card: Facts of the network.
    """
    facts = {**card, **_facts(export, content, images, made_by)}
    # The card goes last: one that is older than its file is refused by its digest, and so is never believed.
    for path, written in (
        (export.path, content),
        (card_path(export.path), card_content(facts)),
    ):
        try:
            with writing_into(path.parent):
                path.parent.stat()  # one that was there, and is not any more, is not made again
                replace_file(path, written)
        except OSError as error:
            raise ExportError(f"cannot write {path}: {error.strerror}; choose another folder") from error


def _read_facts(path: Path) -> dict[str, Json]:
    """Return the card of a file that was written just now."""
    facts: dict[str, Json] = json.loads(card_path(path).read_bytes())
    return facts


def _facts(export: Export, content: bytes, images: Tensor, made_by: FileFormat) -> dict[str, Json]:
    """Return the facts of the file itself, for its card; ``images`` (n, c, h, w) verified it."""
    shape = (1, *images.shape[1:])
    return {
        "file": export.path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": export.size_bytes,
        "input": {
            "shape": list(nhwc_shape(shape) if made_by.layout == "NHWC" else shape),
            "layout": made_by.layout,
            "dtype": "float32",
        },
        "verified": {
            "images": len(images),
            "error": export.error,
            "max_difference_to_torch": export.max_difference,
        },
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in (*_PACKAGES, *made_by.packages)},
        },
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
