"""Facts of a file that an app needs, for its card and for the file itself."""

import hashlib
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Literal

import torch

from cars_hw.ledger import Json
from cars_hw.results.exporting.images import JudgingImages, PixelJudging
from cars_hw.results.exporting.options import FileOptions
from profilers import Description, FileFormat, nhwc_shape

_PACKAGES = ("cars-hw", "numpy")
_WHITE = 255.0

OutputsAre = Literal["logits", "probabilities"]


def app_facts(judging: JudgingImages, made_by: FileFormat, options: FileOptions) -> dict[str, Json]:
    """Return what an app gives a file, and what it gets.

    Args:
        judging: Images as the network takes them.
        made_by: The file's format.
        options: What the file holds beside the network.
    """
    shape = (options.images_at_once, *judging.image_shape)
    of_file = nhwc_shape(shape) if made_by.layout == "NHWC" else shape
    is_dynamic = options.batch == "dynamic"
    output: dict[str, Json] = {"are": outputs_are(options)}
    if isinstance(judging, PixelJudging):
        output["classes"] = list(judging.images.class_names)
    return {
        "input": {
            "shape": [None if is_dynamic else of_file[0], *of_file[1:]],
            "batch": options.batch,
            "layout": made_by.layout,
            "dtype": "uint8" if options.with_preprocessing else "float32",
            **(_image_facts(judging, options) if isinstance(judging, PixelJudging) else {}),
        },
        "output": output,
    }


def outputs_are(options: FileOptions) -> OutputsAre:
    """Return what a file gives for each class."""
    return "probabilities" if options.with_softmax else "logits"


def description(
    name: str, facts: Mapping[str, Json], judging: PixelJudging, options: FileOptions
) -> Description:
    """Return what a file says of itself.

    Args:
        name: Of the file, without its suffix.
        facts: All of them.
        judging: Images as the network takes them.
        options: What the file holds beside the network.
    """
    channels, height, width = judging.image_shape
    takes = "pixels of 0..255" if options.with_preprocessing else "normalised pixels"
    text = (
        f"Classifies {_colours(channels)} images of {height}x{width} ({judging.images.rule}) into "
        f"{judging.images.classes} classes; takes {takes}, gives {outputs_are(options)}. "
        f"Weights: {facts.get('weights', 'unknown')}."
    )
    is_inside = options.with_preprocessing
    return Description(
        name,
        text,
        facts,
        mean=tuple(0.0 if is_inside else one * _WHITE for one in judging.mean),
        std=tuple(1.0 if is_inside else one * _WHITE for one in judging.std),
        class_names=judging.images.class_names,
        outputs_are=outputs_are(options),
    )


def file_facts(name: str, content: bytes, made_by: FileFormat) -> dict[str, Json]:
    """Return what is known of a file when it is written, for its card."""
    return {
        "file": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in (*_PACKAGES, *made_by.packages)},
            # Its distribution does not say whether it is built for CUDA, or for a processor alone.
            "torch": str(torch.__version__),
        },
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _image_facts(judging: PixelJudging, options: FileOptions) -> dict[str, Json]:
    """Return how an image file becomes the input, in the order in which it is done."""
    rule = judging.images.rule
    formula = "none: the file takes pixels" if options.with_preprocessing else "(pixel / 255 - mean) / std"
    return {
        "colours": _colours(judging.image_shape[0]),
        "height": rule.height,
        "width": rule.width,
        "resize": rule.values(),
        "normalisation": formula,
        "mean": list(judging.mean),
        "std": list(judging.std),
        "is_normalised_in_file": options.with_preprocessing,
    }


def _colours(channels: int) -> str:
    return {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
