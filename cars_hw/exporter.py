"""Export: a network with its weights to ONNX, verified against torch, with a model card beside it."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from cars_hw.trainer import Json
from devices._errors import ExportError
from devices._files import replace_file
from profilers.lowering.onnx import lower

#: Largest absolute difference of a logit between torch and the exported file.
PARITY_TOLERANCE = 1e-4

_PACKAGES = ("cars-hw", "torch", "onnx", "onnxruntime", "numpy")
_CARD_KIND = "cars_hw model card"
_SCHEMA = 1


@dataclass(frozen=True)
class Export:
    """A written network.

    Attributes:
        path: The ONNX file; its card is the JSON file of the same name.
        max_difference: Largest absolute difference of a logit to torch, over all images.
        error: Share of the images that the file classifies wrongly.
    """

    path: Path
    max_difference: float
    error: float

    def to_json(self) -> dict[str, Json]:
        """Return the figures by name."""
        return {
            "file": str(self.path),
            "error": self.error,
            "max_difference_to_torch": self.max_difference,
        }


class CardSpace(BaseModel):
    """The space of a model card's network."""

    name: str
    settings: dict[str, int | str]


class CardLatency(BaseModel):
    """The latency table that a search used, and the digest of the entries that it used."""

    table: str = ""
    sha256: str = ""


class ModelCard(BaseModel):
    """What is read back of a model card.

    Attributes:
        sha256: Of the file that the card is about.
        scale: Which of the space's two graphs the file is.
        space: Where its architecture is from.
        architecture: In its text form.
        latency: The table of the search.
    """

    sha256: str
    scale: Literal["search", "deploy"]
    space: CardSpace
    architecture: str
    latency: CardLatency = CardLatency()


def export_onnx(
    network: nn.Module, images: Tensor, labels: Tensor, path: Path, *, card: Mapping[str, Json]
) -> Export:
    """Write ``network`` for one image at a time, and prove it on real images.

    Args:
        network: In evaluation mode; images (n, c, h, w) to logits (n, classes).
        images: Normalised, (n, c, h, w).
        labels: (n,).
        path: Ends in ``.onnx``.
        card: What the model card says beside the facts of the export.

    Raises:
        ExportError: The file's logits differ from torch's by more than ``PARITY_TOLERANCE``, or the disk
            refuses; no file is left.
    """
    network, images, labels = network.cpu(), images.cpu(), labels.cpu()
    content = lower(network, [(1, *images.shape[1:])])
    logits = _run(content, images)
    with torch.inference_mode():
        reference = torch.cat([network(batch) for batch in images.split(256)]).numpy()
    max_difference = float(np.abs(logits - reference).max())
    if not max_difference <= PARITY_TOLERANCE:
        raise ExportError(
            f"{path.name} differs from torch by {max_difference:.2e}, over {PARITY_TOLERANCE:.0e}: not kept"
        )
    export = Export(path, max_difference, float((logits.argmax(1) != labels.numpy()).mean()))
    facts = {"kind": _CARD_KIND, "schema": _SCHEMA, **card, **_facts(export, content, images)}
    _write(path, content)
    _write(path.with_suffix(".json"), json.dumps(facts, indent=2, allow_nan=False).encode())
    return export


def read_card(model: Path) -> ModelCard | None:
    """Return the card beside ``model``; ``None`` where there is none of ours.

    Raises:
        ExportError: It is damaged, or belongs to another file.
    """
    path = model.with_suffix(".json")
    if not os.path.exists(path):
        return None
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or content.get("kind") != _CARD_KIND:
            return None
        card = ModelCard.model_validate(content)
        sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise ExportError(f"{error.filename} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ExportError(f"model card {path}: {where}: {first['msg']}; export again") from error
    except (ValueError, RecursionError) as error:
        raise ExportError(f"model card {path} is no JSON: {str(error)[:80]}; export again") from error
    if card.sha256 != sha256:
        raise ExportError(f"model card {path} does not belong to {model}; export again")
    return card


def _facts(export: Export, content: bytes, images: Tensor) -> dict[str, Json]:
    """Return what the card says of the file itself."""
    return {
        "file": export.path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "input": {"shape": [1, *images.shape[1:]], "layout": "NCHW", "dtype": "float32"},
        "verified": {
            "images": len(images),
            "error": export.error,
            "max_difference_to_torch": export.max_difference,
            "tolerance": PARITY_TOLERANCE,
        },
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _PACKAGES},
        },
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _run(content: bytes, images: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return the logits of the ONNX network for ``images``, run one at a time; (n, classes)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image})[0] for image in images.numpy()[:, None]])


def _write(path: Path, content: bytes) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}; choose another folder") from error
