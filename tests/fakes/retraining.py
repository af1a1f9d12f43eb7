"""The smallest retraining there is: digits of 8x8 pixels, networks of a few thousand parameters."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cars_hw.data import Data, ImageSet
from cars_hw.networks.graph import Graph, Node
from cars_hw.retraining.monitor import Monitor, Progress
from cars_hw.retraining.session import Session
from cars_hw.retraining.trainer import NetworkTrainer
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights.retraining_plan import RetrainingPlan
from latency_tables import OpSpec
from tests.fakes.small_spaces import small

#: Two epochs of five steps, with all that has a state of its own.
PLAN: dict[str, object] = {
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.05,
    "cutout": 2,
    "crop_padding": 1,
    "ema_decay": 0.9,
    "seed": 3,
}


class Killed(BaseException):
    """Stands for a kill: whoever is passed by it does nothing."""


def images(n: int = 40, *, classes: int = 10, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> Data:
    """Return ``n`` images to train on, and 20 to judge: their classes differ in stripes and brightness."""
    rng = np.random.default_rng(seed)
    bright, wide = np.ones(shape[1:], np.int64), np.arange(shape[1])[:, None] % 2
    stripes = (0 * bright, bright, wide * bright, wide.T * bright)

    def part(m: int) -> ImageSet:
        labels = np.arange(m) % classes
        pixels = rng.integers(0, 40, (m, *shape))
        for image, label in zip(pixels, labels, strict=True):
            image += (100 + 50 * (label // 4)) * stripes[label % 4]
        return ImageSet("stripes", pixels.astype(np.uint8), labels, flips=False, source="made up")

    return Data(part(n), part(20))


def space() -> SearchSpace:
    """Return the space of the networks."""
    return small("nasbench201")


def graph() -> Graph:
    """Return a network with sums of several paths."""
    return space().deployed((3, 2, 1, 4, 3, 2))


def plain_graph(classes: int = 10) -> Graph:
    """Return a network without normalisation: a convolution, and a classifier."""
    conv = OpSpec.of("conv_relu", (1, 1, 8, 8), out=4, kernel=3, stride=1)
    classifier = OpSpec.of("classifier", (1, 4, 8, 8), out=classes)
    return Graph((Node("conv", conv, ("image",)), Node("classifier", classifier, ("conv",))))


def plan(**values: object) -> RetrainingPlan:
    """Return the small plan with other ``values``."""
    return RetrainingPlan.checked("retraining", {**PLAN, **values})


def trainer(**values: object) -> NetworkTrainer:
    """Return a trainer at its beginning."""
    return NetworkTrainer(graph(), images(), plan(**values))


@contextmanager
def session(
    folder: Path, made: NetworkTrainer, monitor: Monitor, *, identity: str = "identity"
) -> Iterator[Session]:
    """Open the retraining in ``folder`` on its newest checkpoint; its clock goes a second at each look."""
    checkpoints, seconds = CheckpointFolder(folder), itertools.count()
    with checkpoints.owned():
        yield Session(
            "small", made, checkpoints, identity=identity, monitor=monitor, clock=lambda: float(next(seconds))
        )


def killing_at(step: int) -> Monitor:
    """Return a monitor that kills the retraining when it tells of ``step``, before it can be saved."""

    def kill(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return Monitor(kill)


def ending_at(step: int) -> Monitor:
    """Return a monitor that asks for the end at ``step``."""

    def end(progress: Progress) -> None:
        if progress.step == step:
            monitor.request_end()

    monitor = Monitor(end)
    return monitor
