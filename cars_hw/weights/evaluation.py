"""Evaluation: an architecture on its way to an accuracy, batch by batch, so that it can be saved half-way."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Protocol

import torch
from pydantic import Field, TypeAdapter
from torch import Tensor
from torch.nn import functional

from cars_hw.ledger import Json, Weights
from cars_hw.networks import operations
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import WEIGHTED_SUM, Graph
from cars_hw.weights.batch_norm import Recalibration, recalibration_batches, statistics
from cars_hw.weights.network import Network
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.training_plan import TrainingPlan

#: Names of what a network is judged on, where it goes to another process.
FITNESS, LABELS, RECALIBRATION = "images/fitness", "images/labels", "images/recalibration"

#: The most that one image adds to a sum of losses: one whose logits are not finite adds that much.
LARGEST_LOSS = 16.0
#: Losses are summed in whole units of 1 / 65 536: then the sum does not depend on the batches.
LOSS_UNITS = 1 << 16

_Count = Annotated[int, Field(ge=0)]


@dataclass
class Progress:
    """How far an evaluation has come.

    Attributes:
        architecture: What is evaluated.
        weights: With which weights.
        batches: Batches done, those of the recalibration first.
        right: Images that were classified rightly.
        seconds: Time in them.
        by_all: Whether all images are used, where the plan spares some.
        loss_units: Sum of losses.
    """

    architecture: Architecture
    weights: Weights
    batches: _Count = 0
    right: _Count = 0
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    by_all: bool = False
    loss_units: _Count = 0

    def is_of(self, architecture: Architecture, weights: Weights, *, by_all: bool = False) -> bool:
        """Tell whether it is this evaluation of ``architecture`` with ``weights``."""
        return (self.architecture, self.weights, self.by_all) == (architecture, weights, by_all)

    def to_json(self) -> Json:
        """Return the figures by name."""
        values: Json = _PROGRESS.dump_python(self, mode="json")
        return values


_PROGRESS = TypeAdapter(Progress)


def read_progress(values: Json) -> Progress:
    """Return what ``Progress.to_json`` wrote.

    Raises:
        ValueError: It is something else.
    """
    return _PROGRESS.validate_python(values)


class Images(Protocol):
    """Normalised images and their labels."""

    @property
    def labels(self) -> Tensor:
        """(n,)."""
        ...

    def __len__(self) -> int: ...

    def batch(self, rows: slice) -> Tensor:
        """Return the images numbered ``rows``, (b, c, h, w)."""
        ...


@dataclass(frozen=True)
class HeldImages:
    """Images in memory.

    Attributes:
        images: Normalised, (n, c, h, w).
        labels: (n,).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: slice) -> Tensor:
        """Return the images numbered ``rows``, (b, c, h, w)."""
        return self.images[rows]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread of the CPU until left: as every worker does, so that all get the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Examination:
    """What networks are judged on, and how.

    Attributes:
        recalibration: Normalised training images (n, c, h, w).
        fitness: Images and labels.
        plan: Says how.
    """

    recalibration: Tensor
    fitness: Images
    plan: TrainingPlan

    def begun(self, progress: Progress, supernet: SuperNet, *, soft_path: bool) -> "Evaluation":
        """Return an evaluation with the weights of ``supernet`` that goes on where ``progress`` is."""
        network = supernet.share(progress.architecture, soft_path=soft_path)
        size = self.plan.evaluation_batch_size
        if self.plan.evaluation_tensor_mib and self.recalibration.device.type == "cpu":
            size = min(size, images_within(network.graph.live, self.plan.evaluation_tensor_mib * 2**20))
        batches = recalibration_batches(self.recalibration, self.recalibration_batch)
        return Evaluation(progress, network, batches, self.fitness, batch_size=size)

    @property
    def recalibration_batch(self) -> int:
        """The most images whose statistics are taken at once."""
        return self.plan.recalibration_batch_size or self.plan.evaluation_batch_size


class Evaluation:
    """A network that is recalibrated, then judged, batch by batch.

    How many images it classified rightly is counted on the device, until ``settle``; so are losses.

    Args:
        progress: What is done.
        network: The architecture, with statistics of its own.
        recalibration: Batches of normalised training images (b, c, h, w).
        fitness: Images and labels to judge it on.
        batch_size: The most images in a batch that judges.
    """

    def __init__(
        self,
        progress: Progress,
        network: Network,
        recalibration: Sequence[Tensor],
        fitness: Images,
        *,
        batch_size: int,
    ) -> None:
        self.progress = progress
        self._network = network
        self._recalibration = recalibration
        self._fitness = fitness
        self._batch_size = batch_size
        self._counted: Tensor | None = None
        self._recalibrating = Recalibration(network)

    @property
    def is_done(self) -> bool:
        """Whether there is no batch left."""
        return self.progress.batches == self._batches

    @property
    def _batches(self) -> int:
        """Batches in all."""
        return len(self._recalibration) + math.ceil(len(self._fitness) / self._batch_size)

    @torch.inference_mode()
    def advance(self) -> None:
        """Take the next batch.

        An image with a logit that is not finite is classified wrongly, whichever class comes first.
        """
        number = self.progress.batches
        if number < len(self._recalibration):
            self._recalibrating.take(self._recalibration[number], number)
        else:
            if self._network.training:
                self._recalibrating.end()
            start = (number - len(self._recalibration)) * self._batch_size
            rows = slice(start, start + self._batch_size)
            images, labels = self._fitness.batch(rows), self._fitness.labels[rows]
            counted = self._count(self._network(images), labels)
            self._counted = counted if self._counted is None else self._counted + counted
        self.progress.batches = number + 1

    def settle(self) -> None:
        """Enter into ``progress`` what was counted on the device, which is waited for."""
        if self._counted is not None:
            right, loss_units = self._counted.tolist()
            self.progress.right += right
            self.progress.loss_units += loss_units
            self._counted = None

    def _count(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return how many images are right, and the sum of losses, (2,)."""
        is_finite = logits.isfinite().all(1)
        right = ((logits.argmax(1) == labels) & is_finite).sum()
        losses = functional.cross_entropy(logits, labels, reduction="none").clamp(max=LARGEST_LOSS)
        units = (losses.where(is_finite, LARGEST_LOSS) * LOSS_UNITS).round().long()
        return torch.stack([right, units.sum()])

    def statistics(self) -> dict[str, Tensor]:
        """Return the statistics of normalisation so far, by their names."""
        return statistics(self._network)

    @torch.no_grad()
    def restore(self, found: Mapping[str, Tensor]) -> None:
        """Take up the statistics that ``statistics`` returned.

        Raises:
            ValueError: They are those of another network, or more batches are done than there are.
        """
        own = self.statistics()
        if own.keys() != found.keys() or any(own[name].shape != found[name].shape for name in own):
            raise ValueError("the statistics of an evaluation are those of another network")
        if self.progress.batches > self._batches:
            raise ValueError(f"{self.progress.batches} batches of an evaluation are done; there are fewer")
        for name, tensor in own.items():
            tensor.copy_(found[name])


def images_within(graph: Graph, size_bytes: float) -> int:
    """Return of how many images no tensor that ``graph`` computes is larger, in 32 bits; at least one."""
    shapes = (
        shape
        for node in graph.nodes
        for shape in (
            node.spec.input_shapes if node.spec.kind == WEIGHTED_SUM else operations.tensor_shapes(node.spec)
        )
    )
    largest = max(math.prod(shape[1:]) for shape in shapes)
    return max(1, int(size_bytes / (4 * largest)))
