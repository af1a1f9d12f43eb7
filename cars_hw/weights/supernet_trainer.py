"""SuperNetTrainer: trains the shared weights on batches of real images and judges architectures with them.

Batch normalisation: an architecture is judged, and exported, with running statistics recomputed on its own
path over training images (recalibration), not with batch statistics. The statistics that training leaves in
the SuperNet mix all paths that went through; batch statistics would rank networks that cannot be deployed one
image at a time. So the error that selects is the error of the network that ships.
"""

import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor, nn

from cars_hw.data import Data
from cars_hw.errors import ArchitectureError, CheckpointError
from cars_hw.ledger import Json, Ledger, Weights
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from cars_hw.trainer import Asked, Judged, Judges, OptionGradients, TrainerState
from cars_hw.weights import option_gradients
from cars_hw.weights.augmentation import Augmentation
from cars_hw.weights.batch_norm import recalibrate, reset_what_is_not_finite
from cars_hw.weights.evaluation import (
    FITNESS,
    LABELS,
    LOSS_UNITS,
    RECALIBRATION,
    Evaluation,
    Examination,
    Progress,
    one_thread,
    read_progress,
)
from cars_hw.weights.normalised_images import NormalisedImages
from cars_hw.weights.placement import placed, usable_device
from cars_hw.weights.stepping.arithmetic import Arithmetic
from cars_hw.weights.stepping.batches import batch_indices
from cars_hw.weights.stepping.readings import Reading, Readings
from cars_hw.weights.stepping.stepper import Stepper
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.training_plan import Precision, TrainingPlan
from devices.foundation import ConfigError

#: Beside a search's seed, so that the images that judge are not drawn as others are.
_SHARE_STREAM = 1
_ALLOWED = TypeAdapter(tuple[tuple[int, ...], ...])


def _go_on() -> None:
    """Do nothing between two batches."""


class SuperNetTrainer:
    """Shared weights of a space and the images they are trained and judged on. Fulfils ``PausableTrainer``.

    Every batch and its augmentation follow from ``seed`` and the batch's number alone, so that the number is
    all the random state there is.

    Args:
        space: Whose architectures share the weights.
        data: Training and fitness images.
        plan: How to train.
        total_steps: Steps over which the learning rate falls, where no ``reset`` says otherwise.
        seed: Seed of initialisation, batches and augmentation.
        device: Where to compute, as torch names it.

    Attributes:
        between_batches: Called between the batches of an evaluation, where the state is whole.
        judges: Who makes evaluations that were announced by ``expect``, where anybody does.
        last_loss: The mean loss of the last evaluation.
        numerics: 1 where a plan asks for nothing that numbers of its time were without: runs of then go on.

    Raises:
        ConfigError: The space does not fit the images, there are fewer than one batch of them, or torch has
            no such device.
    """

    has_fixed_errors = False
    #: How many processes train together, each on a batch of its own.
    ranks = 1

    def __init__(
        self,
        space: SearchSpace,
        data: Data,
        plan: TrainingPlan,
        *,
        total_steps: int,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        _check_fit(space, data, plan)
        self.space, self.data, self.plan, self.seed = space, data, plan, seed
        is_newer = plan.evaluation_tensor_mib or plan.recalibration_batch_size or plan.quick_forms
        self.numerics = 2 if is_newer else 1
        self._whole_space = space
        self._rate_start, self._rate_steps = 0, total_steps
        self._soft_path = False
        self.ledger = Ledger()
        self._device = usable_device(device)
        self._arithmetic = Arithmetic(self._device, plan.precision, plan.deterministic)
        self.supernet = SuperNet(
            space,
            seed=seed,
            place=partial(placed, plan=plan, device=self._device, is_half=self._arithmetic.is_half),
        )
        self.between_batches: Callable[[], None] = _go_on
        self.judges: Judges | None = None
        self.last_loss = 0.0
        self._previous: SuperNet | None = None
        self._averaged: SuperNet | None = None
        self._evaluation: Evaluation | None = None
        self._batches = 0
        self._fitness_batches = 0
        self._stepper = Stepper(self.supernet, plan, self._arithmetic)
        self._stepper.go_by(self._rate_after, 0)
        self._losses, self._repaired_skips = Readings(), 0
        self._augment = Augmentation(plan.crop_padding, plan.cutout, data.training.flips)
        self._training, self._fitness = (
            NormalisedImages(part, data.channel_mean, data.channel_std, self._device)
            for part in (data.training, data.fitness)
        )
        # A random sample: data sets come sorted by class, and the first images would all be of one.
        sample = np.random.default_rng(seed).permutation(len(data.training.labels))
        self._recalibration = self._training.batch(torch.from_numpy(sample[: plan.recalibration_images]))
        self._examination = Examination(self._recalibration, self._fitness, plan)
        self._share, self._by_all = self._share_of_fitness(), False

    def __repr__(self) -> str:
        steps = f"{self.ledger.steps} steps taken"
        return f"<weights of {self.space.name} on {self.data.name}, {self._device}: {steps}>"

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the training images."""
        return math.ceil(len(self._training) / self.plan.batch_size)

    def activate(self, space: SearchSpace, *, soft_path: bool = False) -> None:
        """Keep weights for the operations of ``space`` alone; run soft paths where asked."""
        self._soft_path = soft_path
        self._forget_evaluations()
        if space.allowed != self.space.allowed:
            self.supernet.activate(space)
            self._previous = None
            self._forget_what_is_gone()
        self.space = space

    def reset(self, steps: int) -> None:
        """Draw all weights anew, forget momenta and previous weights; the rate falls anew over ``steps``."""
        self._settle()
        self.supernet.reset()
        self._rate_start, self._rate_steps = self.ledger.steps, steps
        self._stepper.go_by(self._rate_after, self.ledger.steps)
        self._previous = None
        self._forget_evaluations()
        self._forget_what_is_gone()

    def remember(self) -> None:
        """Keep the present weights as the previous ones."""
        self._settle()
        self._forget_evaluations()
        present = self._weights("current")
        if self._previous is None:
            self._previous = deepcopy(present)
        else:
            self._previous.copy_from(present)

    def step(self, architectures: Sequence[Architecture]) -> Reading:
        """Take one step of clipped SGD along the mean gradient of ``architectures`` on the next batch.

        Returns:
            The mean loss, read from the device when ``float`` asks for it; NaN where the step was skipped
            because a loss or gradient was not finite.
        """
        start_s = time.perf_counter()
        self._forget_evaluations()
        images, labels = self._next_batch()
        loss = self._stepper.step(architectures, images, labels, soft_path=self._soft_path)
        reading = self._losses.add(loss)
        seconds = time.perf_counter() - start_s
        self.ledger.add_step(len(labels) * len(architectures), seconds, loss=reading)
        return reading

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        """Return what share of ``judging_images`` the recalibrated ``architecture`` classifies rightly.

        Where soft paths are active, that is its soft graph: not the network that ships. An image with a logit
        that is not finite is classified wrongly, whichever class comes first. Where a restored state, or an
        interruption, has left this very evaluation unfinished, it goes on from there.

        Raises:
            RuntimeError: Previous weights are asked for before ``remember``.
        """
        self._settle()
        judged = self._judged(architecture, weights)
        images, recalibration = len(self._judged_on(self._by_all)), self._recalibrated_on(self._by_all)
        self.last_loss = judged.loss_units / LOSS_UNITS / images
        self.ledger.add_evaluation(images + len(recalibration), judged.seconds, weights=weights)
        return judged.right / images

    @property
    def is_sparing(self) -> bool:
        """Whether the plan spares images while a search goes on."""
        return self.plan.is_sparing

    def judge_by_all(self, by_all: bool) -> None:
        """Judge by all images from now on, or by the plan's shares of them again."""
        if by_all != self._by_all and self.judges is not None:
            self.judges.forget()
        self._by_all = by_all

    def expect(self, asked: Sequence[Asked]) -> None:
        """Tell ``judges`` which evaluations are asked for next; nothing: they may end.

        They have no images to judge by where these do not fit into memory.
        """
        if self.judges is not None and self._judged_on(self._by_all).is_held:
            self.judges.expect(asked, self._to_judge)

    def network(self, architecture: Architecture, weights: Weights = "current") -> nn.Module:
        """Return ``architecture`` as a stand-alone recalibrated network in evaluation mode.

        It owns copies of the weights, takes normalised images (n, c, h, w) and returns logits (n, classes).
        """
        network = self._weights(weights).extract(architecture)
        with self._judging.chosen(), one_thread():
            recalibrate(network, self._recalibration, self._examination.recalibration_batch)
        return network

    def option_gradients(self, chosen: Architecture, other: Architecture) -> OptionGradients:
        """Compare two architectures on the next batch of fitness images; no weight or statistic changes."""
        start_s = time.perf_counter()
        size = min(self.plan.batch_size, len(self._fitness))
        batch = self._batch(self._fitness_batches, size=size, n=len(self._fitness))
        self._fitness_batches += 1
        images, labels = self._fitness.batch(batch), self._fitness.labels_of(batch)
        with self._judging.chosen():
            found = option_gradients.option_gradients(self.supernet, chosen, other, images, labels)
        self.ledger.add_option_step(size, time.perf_counter() - start_s)
        return found

    @property
    def fitness(self) -> tuple[Tensor, Tensor]:
        """Normalised fitness images (n, c, h, w) and their labels (n,)."""
        return self._fitness.all(), self._fitness.labels

    @property
    def judging_images(self) -> tuple[Tensor, Tensor]:
        """Normalised images that ``accuracy`` judges by, (n, c, h, w), and their labels (n,)."""
        images = self._judged_on(self._by_all)
        return images.all(), images.labels

    @property
    def recalibration_images(self) -> Tensor:
        """Normalised training images (n, c, h, w), a random sample, which no architecture is judged on.

        They set the statistics of ``network``, and of what ``accuracy`` judges the plan's share of them.
        """
        return self._recalibration

    def state(self) -> TrainerState:
        """Return copies of weights, normalisation statistics and momenta, and all counters."""
        self._settle()
        arrays = {f"weights/{name}": _array(tensor) for name, tensor in self.supernet.state_dict().items()}
        arrays |= {name: _array(tensor) for name, tensor in self._stepper.tensors().items()}
        values: dict[str, Json] = {
            "allowed": _ALLOWED.dump_python(self.space.allowed, mode="json"),
            "resets": self.supernet.resets,
            "batches": self._batches,
            "fitness_batches": self._fitness_batches,
            "rate_start": self._rate_start,
            "rate_steps": self._rate_steps,
            "ledger": self.ledger.to_json(),
        }
        return TrainerState(arrays, values)

    def state_within(self) -> TrainerState:
        """Return the previous weights and the unfinished evaluation as well."""
        state = self.state()
        arrays, values = dict(state.arrays), dict(state.values)
        if self._previous is not None:
            previous = self._previous.state_dict()
            arrays |= {f"previous/{name}": _array(tensor) for name, tensor in previous.items()}
        if self._evaluation is not None:
            self._evaluation.settle()
            values["evaluation"] = self._evaluation.progress.to_json()
            found = self._evaluation.statistics()
            arrays |= {f"evaluation/{name}": _array(tensor) for name, tensor in found.items()}
        return TrainerState(arrays, values)

    def restore(self, state: TrainerState) -> None:
        """Continue as the trainer that returned ``state`` would have.

        Raises:
            CheckpointError: The state is of another space or trainer.
        """
        try:
            allowed = _ALLOWED.validate_python(state.values["allowed"])
            self.activate(self._whole_space.restrict(allowed), soft_path=self._soft_path)
            self.supernet.load_state_dict(_tensors_below("weights/", state))
            self.supernet.resets = int(str(state.values["resets"]))
            self._batches = int(str(state.values["batches"]))
            self._fitness_batches = int(str(state.values["fitness_batches"]))
            # States of versions that never started the learning rate anew lack these two.
            self._rate_start = int(str(state.values.get("rate_start", self._rate_start)))
            self._rate_steps = int(str(state.values.get("rate_steps", self._rate_steps)))
            self.ledger.restore(state.values["ledger"])
            kinds = ("momentum/", "average/", "scale/")
            self._stepper.restore(*(_tensors_below(kind, state) for kind in kinds))
            self._restore_within(state)
        except (ArchitectureError, RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit this space: {str(error).splitlines()[0]}"
            ) from error
        self._losses, self._repaired_skips = Readings(), self.ledger.skipped_steps
        self._stepper.go_by(self._rate_after, self.ledger.steps)

    def _restore_within(self, state: TrainerState) -> None:
        """Restore what ``state_within`` adds; ``state`` has neither."""
        previous = _tensors_below("previous/", state)
        self._previous = deepcopy(self.supernet) if previous else None
        if self._previous is not None:
            self._previous.load_state_dict(previous)
        if "evaluation" in state.values:
            progress = read_progress(state.values["evaluation"])
            self._evaluation = self._begun(progress)
            self._evaluation.restore(_tensors_below("evaluation/", state))

    def _share_of_fitness(self) -> NormalisedImages:
        """Return the plan's share of the fitness images: of each class alike, drawn by the seed."""
        if self.plan.fitness_share == 1:
            return self._fitness
        fitness, rng = self.data.fitness, np.random.default_rng([self.seed, _SHARE_STREAM])
        n = len(fitness.labels)
        taken = max(1, round(self.plan.fitness_share * n))
        by_class = np.lexsort((rng.permutation(n), fitness.labels))
        rows = np.sort(by_class[((np.arange(taken) + rng.random()) * n / taken).astype(np.int64)])
        mean, std = self.data.channel_mean, self.data.channel_std
        return NormalisedImages(fitness.subset(rows), mean, std, self._device)

    def _judged_on(self, by_all: bool) -> NormalisedImages:
        return self._fitness if by_all else self._share

    def _recalibrated_on(self, by_all: bool) -> Tensor:
        """Return the images that set statistics; the first ones of a random sample are one, too."""
        share = 1.0 if by_all else self.plan.recalibration_share
        return self._recalibration[: max(2, round(share * len(self._recalibration)))]

    def _judged(self, architecture: Architecture, weights: Weights) -> Judged:
        """Return what comes of an evaluation, wherever it is made."""
        there = self._evaluation
        is_begun = there is not None and there.progress.is_of(architecture, weights, by_all=self._by_all)
        if self.judges is not None and not is_begun:
            judged = self.judges.judge((architecture, weights), self.between_batches)
            if judged is not None:
                return judged
        evaluation = self._unfinished(architecture, weights)
        progress = evaluation.progress
        while True:
            start_s = time.perf_counter()
            with self._judging.chosen(), one_thread():
                evaluation.advance()
            if evaluation.is_done:
                evaluation.settle()
            progress.seconds += time.perf_counter() - start_s
            if evaluation.is_done:
                break
            self.between_batches()
        self._evaluation = None
        return Judged(progress.right, progress.seconds, progress.loss_units)

    def _to_judge(self) -> TrainerState:
        """Return what judges need: weights and images by name, and how networks are made and judged.

        Weights are packed; images are not copies.
        """
        supernets = {"current": self._weights("current"), "previous": self._previous}
        tensors = {
            f"{weights}/{name}": packed
            for weights, supernet in supernets.items()
            if supernet is not None
            for name, packed in supernet.packed().items()
        }
        judging, labels = self.judging_images
        images = {FITNESS: judging, RECALIBRATION: self._recalibrated_on(self._by_all)}
        values: dict[str, Json] = {
            "space": self.space.name,
            "settings": self.space.settings.model_dump(mode="json"),
            "allowed": _ALLOWED.dump_python(self.space.allowed, mode="json"),
            "plan": self.plan.model_dump(mode="json"),
            "soft_path": self._soft_path,
            "is_half": self._arithmetic.is_half,
            "channels_last": [name for name, batch in images.items() if not batch.is_contiguous()],
        }
        all_tensors = {**tensors, **images, LABELS: labels}
        return TrainerState({name: one.detach().cpu().numpy() for name, one in all_tensors.items()}, values)

    def _forget_evaluations(self) -> None:
        """Forget one that is unfinished, and those that judges made or make: the weights move."""
        self._evaluation = self._averaged = None
        if self.judges is not None:
            self.judges.forget()

    def _unfinished(self, architecture: Architecture, weights: Weights) -> Evaluation:
        """Return the evaluation that was left unfinished, if it is this one; else a new one in its place."""
        there = self._evaluation
        if there is None or not there.progress.is_of(architecture, weights, by_all=self._by_all):
            progress = Progress(architecture, weights, by_all=self._by_all)
            there = self._evaluation = self._begun(progress)
        return there

    def _begun(self, progress: Progress) -> Evaluation:
        supernet = self._weights(progress.weights)
        examination = replace(
            self._examination,
            recalibration=self._recalibrated_on(progress.by_all),
            fitness=self._judged_on(progress.by_all),
        )
        return examination.begun(progress, supernet, soft_path=self._soft_path)

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        """Return augmented training images (b, c, h, w) and their labels (b,)."""
        chosen = self._batch(self._batches, size=self.plan.batch_size, n=len(self._training))
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence([self.seed, self._batches]).generate_state(1, np.uint64)[0] >> 1)
        )
        self._batches += 1
        return self._augment(self._training.batch(chosen), generator), self._training.labels_of(chosen)

    def _batch(self, number: int, *, size: int, n: int) -> Tensor:
        """Return the indices (size,) of the images in the batch ``number`` of epochs over ``n`` images."""
        return torch.from_numpy(batch_indices(self.seed, number, size=size, n=n))

    def _forget_what_is_gone(self) -> None:
        """Forget momenta of parameters that are gone, and what was measured or recorded with them."""
        self._stepper.forget_what_is_gone()
        self.ledger.forget_loss()

    def _settle(self) -> None:
        """Read the losses that were not read yet, and repair what steps that were skipped have left."""
        start_s, there_were = time.perf_counter(), len(self._losses)
        self._losses.read()
        if there_were:
            self.ledger.add_waiting(time.perf_counter() - start_s)
            self._stepper.go_by(self._rate_after, self.ledger.steps)
        if self.ledger.skipped_steps > self._repaired_skips:
            # No step and no evaluation reads these statistics; they only are saved.
            reset_what_is_not_finite(self.supernet)
            self._repaired_skips = self.ledger.skipped_steps

    def _weights(self, weights: Weights) -> SuperNet:
        if weights == "previous":
            if self._previous is None:
                raise RuntimeError("no previous weights: remember() was never called")
            return self._previous
        averages = self._stepper.averages
        if averages is None:
            return self.supernet
        if self._averaged is None:
            self._averaged = averages.applied(self.supernet)
        return self._averaged

    @property
    def _judging(self) -> Arithmetic:
        """In which numbers an evaluation computes: those of files, or what a GPU makes of them."""
        precision: Precision = "float32" if self.plan.precision == "float32" else "tf32"
        return replace(self._arithmetic, precision=precision)

    @property
    def learning_rate(self) -> float:
        """Rate of the next step: a cosine from the first to the final rate, anew after each ``reset``."""
        return self._rate_after(self.ledger.steps)

    def _rate_after(self, taken: int) -> float:
        """Return the rate of the step after the first ``taken``."""
        progress = min((taken - self._rate_start) / max(self._rate_steps, 1), 1.0)
        span = self.plan.learning_rate - self.plan.final_learning_rate
        return self.plan.final_learning_rate + span * (1 + math.cos(math.pi * progress)) / 2


def _check_fit(space: SearchSpace, data: Data, plan: TrainingPlan) -> None:
    shape = data.training.image_shape
    if shape != space.image_shape:
        raise ConfigError(
            f"the space takes images of {space.image_shape}, {data.name} has {shape}; set [space] to fit"
        )
    if data.training.classes != space.classes:
        raise ConfigError(f"the space has {space.classes} classes, {data.name} has {data.training.classes}")
    if plan.batch_size > len(data.training.labels):
        raise ConfigError(
            f"batch_size {plan.batch_size} exceeds the {len(data.training.labels)} training images; make "
            "training.batch_size smaller"
        )


def _array(tensor: Tensor) -> NDArray[np.generic]:
    """Return a copy of ``tensor``, of its shape, in the host's memory."""
    return tensor.detach().cpu().numpy().copy()


def _tensors_below(prefix: str, state: TrainerState) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(array))
        for name, array in state.arrays.items()
        if name.startswith(prefix)
    }
