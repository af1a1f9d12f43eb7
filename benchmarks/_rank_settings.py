"""Ways to train a SuperNet of NAS-Bench-201 at equal cost, one factor at a time, and what is judged by each.

All are on CIFAR-10 with one cell in each stage, 16 channels in the first; the unit of the budget is an image
that passes through one path, forwards and backwards, at 16x16 pixels.
"""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cars_hw.config import SearchConfig
from cars_hw.networks.architecture import Architecture
from cars_hw.weights.batch_norm import recalibrate
from cars_hw.weights.supernet_trainer import SuperNetTrainer

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: The images, which a job reads; no accuracy lies in this file.
IMAGES = Path(os.environ.get("CARS_HW_DATA", Path(__file__).parents[2] / "shared" / "data"))
ARCHIVE = IMAGES / "cifar10-jpeg.tar.xz"

#: Steps of one path at 16x16 pixels, by which settings are compared: 8 minutes of one thread.
STEPS = 16_000
BATCH, FITNESS_IMAGES = 64, 1_000
#: Batches in a pass over the 49 000 training images.
STEPS_PER_EPOCH = 766
#: Networks of the space: their codes are the numbers below it, in base 5.
_CODES = 5**6
#: The order in which networks are drawn is that of this seed; the pilot's are never judged.
_SEED, PILOT, JUDGED = 201, 200, 1_000
_WORST_LOSS = 100.0


@dataclass(frozen=True)
class Setting:
    """One way to train.

    Attributes:
        what: The factor, in words.
        values: What it changes of the base, by dotted keys.
        cost: Of a step, in those of one path of 64 images at 16x16 pixels.
        steps: Of the budget, where it is not all of ``STEPS``, as a factor.
        trained_as: The setting whose weights it has, where it only judges otherwise.
        warm_up: Share of the steps on the whole space; the rest is on members of a search.
    """

    what: str
    values: Mapping[str, Any] = field(default_factory=dict)
    cost: float = 1.0
    steps: float = 1.0
    trained_as: str = ""
    warm_up: float = 1.0

    def config(self, seed: int, *, budget: int = STEPS, images: Path = ARCHIVE) -> SearchConfig:
        """Return the search that trains so."""
        epochs = budget * self.steps / self.cost / STEPS_PER_EPOCH
        generations = 0 if self.warm_up == 1 else 6
        drawn_at_once = int(self.values.get("strategy.members_per_step", 1))  # members, if there are any
        overrides: dict[str, Any] = {
            **_BASE,
            "data.path": str(images),
            "search.seed": seed,
            "search.warm_up_epochs": epochs * self.warm_up,
            "search.epochs_per_generation": epochs * (1 - self.warm_up) / max(generations, 1),
            "search.generations": generations,
            "strategy.population_size": 24 if generations else max(2, drawn_at_once),
            **self.values,
        }
        side = overrides.pop("side")
        overrides |= {"data.image_size": side, "space.image_size": side}
        if overrides["strategy.name"] != "cars":
            overrides.pop("strategy.population_size")
        return SearchConfig.load(None, overrides)


_BASE: Mapping[str, Any] = {
    "space.name": "nasbench201",
    "space.channels": 16,
    "space.cells": 1,
    "side": 16,
    "strategy.name": "cars",
    "data.name": "cifar10",
    "data.resize": "fit",
    "data.fitness_images": FITNESS_IMAGES,
    "training.batch_size": BATCH,
    "training.learning_rate": 0.025,
    "training.recalibration_images": 512,
    "search.objectives": ["error", "parameters"],
}

#: Strict fairness trains one path for each of five options.
_FAIR = {"strategy.warm_up_paths": "fair"}
_AVERAGED = {"training.weight_averaging": 0.99}
#: The names are those of files of results.
SETTINGS: Mapping[str, Setting] = {
    "paper": Setting("one random path a step, as in the paper"),
    "averaged": Setting("weights averaged", _AVERAGED),
    "fair": Setting("strict fairness: five paths a step that cover all options", _FAIR, cost=5),
    "fair-rate5": Setting(
        "strict fairness, five times the rate: the sum of gradients, as in FairNAS",
        {**_FAIR, "training.learning_rate": 0.125},
        cost=5,
    ),
    "fair-triple": Setting(
        "the same, three times the steps, weights averaged",
        {**_FAIR, **_AVERAGED, "training.learning_rate": 0.125},
        cost=5,
        steps=3.0,
    ),
    "fair-hour": Setting(
        "the same for an hour of one thread: twelve times the steps, weights averaged",
        {**_FAIR, **_AVERAGED, "training.learning_rate": 0.125},
        cost=5,
        steps=12.0,
    ),
    "rate2": Setting("twice the learning rate", {"training.learning_rate": 0.05}),
    "rate4": Setting("four times the learning rate", {"training.learning_rate": 0.1}),
    "batch128": Setting("128 images a step, half as many steps", {"training.batch_size": 128}, cost=2),
    "members4": Setting("four random paths a step", {"strategy.members_per_step": 4}, cost=4),
    "crop2": Setting("crops shifted by 2 pixels at most, not 4", {"training.crop_padding": 2}),
    "side32": Setting("32x32 pixels, a quarter of the steps", {"side": 32}, cost=4),
    "cells2": Setting("two cells a stage, half of the steps", {"space.cells": 2}, cost=2),
    "channels8": Setting("8 channels, twice the steps", {"space.channels": 8}, cost=0.5),
    "half": Setting("half of the steps", steps=0.5),
    "double": Setting("twice the steps", steps=2.0),
    "searched": Setting(
        "half of the steps on members of a search", {"strategy.trained": "members"}, warm_up=0.5
    ),
    "recalibration64": Setting(
        "statistics of 64 images", {"training.recalibration_images": 64}, trained_as="paper"
    ),
    "recalibration2048": Setting(
        "statistics of 2 048 images", {"training.recalibration_images": 2048}, trained_as="paper"
    ),
}


def drawn(which: str) -> tuple[Architecture, ...]:
    """Return the networks of the ``"pilot"``, on which settings are chosen, or the ``"judged"`` ones."""
    order = np.random.default_rng(_SEED).permutation(_CODES)
    taken = order[:PILOT] if which == "pilot" else order[PILOT : PILOT + JUDGED]
    return tuple(_architecture(int(number)) for number in taken)


def _architecture(number: int) -> Architecture:
    """Return the network whose code is ``number`` in base 5."""
    return tuple(number // 5**place % 5 for place in reversed(range(6)))


@torch.inference_mode()
def examined(
    trainer: SuperNetTrainer, architectures: Sequence[Architecture], *, plain: bool = False
) -> dict[str, Any]:
    """Judge networks on all fitness images.

    Args:
        trainer: Holds weights and images.
        architectures: What is judged, n of them.
        plain: Whether by the weights themselves where these are averaged.

    Returns:
        ``right``: which images are classified rightly, packed bits of (n, images) in base 64; ``loss``: the
        mean loss of each; ``images``: how many there are.
    """
    images, labels = trainer.fitness
    right, losses = np.zeros((len(architectures), len(labels)), np.bool_), []
    for row, architecture in enumerate(architectures):
        network = _plain(trainer, architecture) if plain else trainer.network(architecture)
        logits = torch.cat([network(part) for part in images.split(trainer.plan.evaluation_batch_size)])
        right[row] = ((logits.argmax(1) == labels) & logits.isfinite().all(1)).numpy()
        losses.append(_mean_loss(logits, labels))
    return {"right": _packed(right), "loss": losses, "images": len(labels)}


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what ``examined`` of all networks would have returned, from what it returned of some each."""
    losses = [loss for part in parts for loss in part["loss"]]
    right = np.concatenate([unpacked(part) for part in parts])
    return {"right": _packed(right), "loss": losses, "images": right.shape[1]}


def unpacked(found: Mapping[str, Any]) -> Bools:
    """Return what ``examined`` packed, (n, images)."""
    n, images = len(found["loss"]), int(found["images"])
    bits = np.frombuffer(base64.b64decode(found["right"]), np.uint8).reshape(n, -1)
    return np.unpackbits(bits, axis=1, count=images).astype(np.bool_)


def _packed(right: Bools) -> str:
    return base64.b64encode(np.packbits(right, axis=1).tobytes()).decode()


def _plain(trainer: SuperNetTrainer, architecture: Architecture) -> nn.Module:
    network = trainer.supernet.extract(architecture)
    recalibrate(network, trainer.recalibration_images, trainer.plan.recalibration_batch_size)
    return network


def _mean_loss(logits: Tensor, labels: Tensor) -> float:
    losses = functional.cross_entropy(logits, labels, reduction="none")
    return float(losses.nan_to_num(_WORST_LOSS, _WORST_LOSS).clamp(max=_WORST_LOSS).mean())
