"""Whether an exported file, and the script beside it, tell what torch tells of raw image files."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import cars_hw
from cars_hw.assembly import make_space
from cars_hw.results.model_card import card_path
from cars_hw.retraining.records import ImagesUsed
from profilers import formats


def agreement(place: Path) -> dict[str, Any]:
    """Hold the exported file, and the script beside it, against torch on the raw files of unseen images.

    Torch has the retrained weights as they were kept, and the pixels as the configuration's rule makes them.
    """
    run = cars_hw.Run.open(place / "runs" / "my")
    record = cars_hw.retrained_of(run.path)["knee"]
    space = make_space(run.config)
    member = cars_hw.from_text(record.architecture, space.choices)
    network = cars_hw.restored_network(record, space.graph(member, "deploy"))
    paths = [path for path in sorted((place / "photos" / "test").glob("*/*")) if path.stem.isdecimal()]
    rule = run.config.data.rule()
    if rule is None:
        sys.exit("the configuration has no rule for images of any size")
    pixels = np.stack([rule.pixels(path.read_bytes()) for path in paths])
    normalised = _normalised(pixels, record.images)
    with torch.inference_mode():
        by_torch = network(torch.from_numpy(normalised)).argmax(1).numpy()
    names = [one.name for one in record.classes]
    labels = np.array([names.index(path.parent.name) for path in paths])
    found: dict[str, Any] = {"images": len(paths), "torch_error": float((by_torch != labels).mean())}
    for model in sorted((run.path / "export").glob("knee.*")):
        if model.suffix not in (".onnx", ".tflite"):
            continue
        card = json.loads(card_path(model).read_text())
        given = pixels if card["input"]["dtype"] == "uint8" else normalised
        by_file = formats.of_file(model).run(model.read_bytes(), given).argmax(1)
        by_example = _examples_classes(card_path(model).with_suffix(".example.py"), paths, names)
        found[model.suffix[1:]] = {
            "file_same": int((by_file == by_torch).sum()),
            "example_same": int((by_example == by_torch).sum()),
            "example_error": float((by_example != labels).mean()),
            "card_error": card["verified"]["error"],
        }
    return found


def _examples_classes(script: Path, paths: Sequence[Path], names: Sequence[str]) -> NDArray[np.int64]:
    """Return the classes that the script beside a file gives to images, (n,); -1 where it gives none."""
    command = [sys.executable, str(script), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    if len(lines) != len(paths):
        sys.exit(f"{script} prints {len(lines)} lines for {len(paths)} images")
    numbers = {f"{path}: {name}": i for path in paths for i, name in enumerate(names)}
    return np.array([numbers.get(line, -1) for line in lines])


def _normalised(pixels: NDArray[np.uint8], images: ImagesUsed) -> NDArray[np.float32]:
    """Return pixels (n, c, h, w) as the network was trained on them."""
    mean, std = (np.array(one, np.float32)[:, None, None] for one in (images.mean, images.std))
    return ((pixels.astype(np.float32) / 255 - mean) / std).astype(np.float32, copy=False)
