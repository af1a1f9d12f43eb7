"""Which weights a network is exported with, and on which images these are judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from cars_hw.config import SearchConfig
from cars_hw.data import Data, ImageSet
from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.networks.graph import Graph, network_spec
from cars_hw.results.exporting.images import PixelJudging
from cars_hw.retraining.images import JudgedOn, RetrainingImages
from cars_hw.retraining.records import Retrained, is_finished, read_retrained
from cars_hw.retraining.retrain import restored_network
from cars_hw.retraining.trainer import classes_of
from cars_hw.spaces import Scale
from cars_hw.weights.batch_norm import recalibrate
from cars_hw.weights.network import Network
from cars_hw.weights.supernet_trainer import SuperNetTrainer

WeightsKind = Literal["retrained", "search", "untrained"]

#: Images that set the ranges of 8-bit activations, at most.
_MAX_RANGE_IMAGES = 256
#: Drawn images, where there are no real ones: enough for statistics of normalisation.
_DRAWN_IMAGES = 16


@dataclass(frozen=True)
class WeightsWanted:
    """Which weights of a member are exported.

    Attributes:
        scale: Those of the network that a run deploys, or of the small one that it trained.
        kind: ``"any"``: what was retrained, where there is some, else the search's.
        folder: Holds what was retrained, or is of one retraining; ``None``: that of the run.
    """

    scale: Scale = "deploy"
    kind: Literal["any", "retrained", "search"] = "any"
    folder: Path | None = None


@dataclass(frozen=True)
class Weights:
    """Which weights a file has.

    Attributes:
        kind: Where they are from.
        text: The same in a line.
        judged_on: Which images judge them; empty where none do.
        facts: More of them, for a card.
    """

    kind: WeightsKind
    text: str
    judged_on: JudgedOn | Literal[""] = ""
    facts: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return all by name."""
        return {"weights": self.text, "weights_are": self.kind, **self.facts}


@dataclass(frozen=True)
class Subject:
    """A network that is exported.

    Attributes:
        network: In evaluation mode; takes normalised images (n, c, h, w), returns logits (n, classes).
        graph: What it computes.
        weights: Which ones it has.
        judging: The images that verify its files.
        range_images: None of these; normalised alike.
        data: Of the images; ``None`` where they were drawn.
    """

    network: nn.Module
    graph: Graph
    weights: Weights
    judging: PixelJudging
    range_images: PixelJudging
    data: Data | None


def subject_of_search(trainer: SuperNetTrainer, architecture: Architecture, generation: int) -> Subject:
    """Return a network with the search's weights, which its fitness images judge.

    Args:
        trainer: Holds the weights.
        architecture: Of the network.
        generation: After which the weights are.
    """
    text = (
        f"shared weights of the search after generation {generation}, not retrained; "
        "normalisation statistics recalibrated on this architecture's own path"
    )
    return _on(
        trainer.data,
        trainer.network(architecture),
        trainer.space.graph(architecture, "search"),
        Weights("search", text, "fitness images"),
        seed=trainer.seed,
    )


def subject_retrained(retrained: Retrained, graph: Graph, images: RetrainingImages) -> Subject:
    """Return a network with retrained weights, which the images judge that judged its retraining.

    Args:
        retrained: What was kept of the retraining.
        graph: The deployed graph of its architecture.
        images: Those of the configuration.

    Raises:
        CheckpointError: The weights are damaged, or the images are others than it was retrained on.
    """
    data, used = images.data, retrained.images
    if data.digest() != used.sha256:
        raise CheckpointError(
            f"{retrained.folder} was retrained on other images than {data.name} holds now; restore these, or "
            "retrain in another folder"
        )
    epochs = len(retrained.curve)
    facts: dict[str, Json] = {
        "retrained": {
            "folder": str(retrained.folder),
            "weights_sha256": retrained.weights_sha256,
            "error": retrained.error,
            "top5_error": retrained.top5_error,
            "judged_on": used.judged_on,
            "judging_images_are_unseen": used.are_unseen,
            "training_images": used.training,
            "epochs": epochs,
            "plan": dict(retrained.plan),
        }
    }
    text = f"retrained for {epochs} epochs at the deployed size; its weights began as {retrained.initial}"
    weights = Weights("retrained", text, images.judged_on, facts)
    return _on(data, restored_network(retrained, graph), graph, weights, seed=0)


def subject_untrained(graph: Graph, seed: int) -> Subject:
    """Return a network with weights drawn from ``seed``: for measuring alone.

    Its files are verified on drawn pixels, which set its statistics of normalisation as well.
    """
    shape = network_spec(graph).input_shape[1:]
    drawn = np.random.default_rng(seed).integers(0, 256, (_DRAWN_IMAGES, *shape), dtype=np.uint8)
    images = ImageSet(
        "drawn",
        drawn,
        np.zeros(_DRAWN_IMAGES, np.int64),
        flips=False,
        source="drawn from a seed",
        class_names=tuple(map(str, range(classes_of(graph)))),
    )
    channels = shape[0]
    judging = PixelJudging(images, [0.5] * channels, [0.25] * channels, has_labels=False)
    network = Network.untrained(graph, seed=seed)
    recalibrate(network, torch.cat(list(judging.normalised())), _DRAWN_IMAGES)
    weights = Weights("untrained", f"untrained: drawn from the seed {seed}, for measuring alone")
    return Subject(network.eval(), graph, weights, judging, judging, None)


def find_retrained(
    folder: Path, architecture: Architecture, config: SearchConfig, *, name: str
) -> Retrained | None:
    """Return what was retrained of a network; of several retrainings, that which is named like the file.

    Args:
        folder: Of one retraining, or of several; it need not be there.
        architecture: Of the network.
        config: Names its space.
        name: Of the file that is written.

    Raises:
        CheckpointError: A record is damaged.
    """
    folders = [folder] if is_finished(folder) else sorted(one for one in folder.glob("*") if is_finished(one))
    for one in sorted(folders, key=lambda one: one.name != name):
        found = read_retrained(one)
        if found.architecture == to_text(architecture) and found.is_of(config):
            return found
    return None


def _on(data: Data, network: nn.Module, graph: Graph, weights: Weights, *, seed: int) -> Subject:
    """Return a network whose input is normalised by ``data``, and that its fitness images judge."""
    judging = PixelJudging(data.fitness, data.channel_mean.tolist(), data.channel_std.tolist())
    sample = np.random.default_rng(seed).permutation(len(data.training.labels))
    ranges = data.training.subset(np.sort(sample[:_MAX_RANGE_IMAGES]))
    return Subject(network.cpu().eval(), graph, weights, judging, judging.like(ranges), data)
