"""NetworkTrainer: trains one network from scratch, step by step; whatever it draws follows from its step."""

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cars_hw.data import Data, ImageSet
from cars_hw.errors import CheckpointError
from cars_hw.networks import operations
from cars_hw.networks.graph import Graph
from cars_hw.retraining.crops import resized_crops
from cars_hw.retraining.judging import Judgement, judge
from cars_hw.retraining.network import TrainedNetwork, smoothed_loss
from cars_hw.trainer import TrainerState
from cars_hw.weights.augmentation import Augmentation
from cars_hw.weights.batch_norm import reset_what_is_not_finite
from cars_hw.weights.network import Network
from cars_hw.weights.normalised_images import NormalisedImages
from cars_hw.weights.placement import usable_device
from cars_hw.weights.quick import quicken
from cars_hw.weights.retraining_plan import RetrainingPlan
from cars_hw.weights.stepping.batches import batch_indices
from devices.foundation import ConfigError

#: So many steps in a row without a finite gradient are no accident.
_MOST_SKIPPED = 20
#: Early means are over fewer steps than the decay asks for: (1 + n) / (10 + n) at most, as TensorFlow's are.
_EMA_START = 10
#: The streams of random numbers that follow from a seed: the second classifier's must not be the network's.
_AUXILIARY_STREAM = 1


class DivergedError(ConfigError):
    """A training whose loss or gradient is not finite any more."""


class NetworkTrainer:
    """One network and the images that it is trained and judged on.

    Args:
        graph: The network.
        data: The images to train on, as ``training``, and those that judge it, as ``fitness``.
        plan: How to train.
        initial: Tensors to begin with, by the names of the network's; the others are drawn.

    Attributes:
        steps: Steps of the optimiser, skipped ones among them.
        skipped: Steps without a finite loss or gradient, which changed no weight.
        seen: Images of this epoch, with their sum of losses and how many were classified rightly.
        uses_bf16: Whether it computes in bfloat16.

    Raises:
        ConfigError: The images do not fit the network or the plan, or torch has no such device.
    """

    def __init__(
        self,
        graph: Graph,
        data: Data,
        plan: RetrainingPlan,
        *,
        initial: Mapping[str, NDArray[np.generic]] | None = None,
    ) -> None:
        require_fit(graph, data, plan)
        self.graph, self.data, self.plan = graph, data, plan
        self.steps = self.skipped = self._skipped_in_a_row = 0
        self.seen = EpochSums()
        self._device = usable_device(plan.torch_device)
        network = Network.untrained(graph, seed=plan.seed)
        quicken(network, is_quick=True)
        self.taken = _take(network, initial or {})
        auxiliary_seed = int(np.random.SeedSequence([plan.seed, _AUXILIARY_STREAM]).generate_state(1)[0])
        self._trained = TrainedNetwork(
            network, has_auxiliary=plan.auxiliary_weight > 0, seed=auxiliary_seed
        ).to(self._device)
        self._mean_weights = copy.deepcopy(network) if plan.ema_decay else None
        self._optimizer = _optimizer(self._trained, plan)
        self._augment = Augmentation(plan.crop_padding, plan.cutout, data.training.flips)
        self._images = self._normalised(data.training)
        self._labels = self._images.labels
        self.uses_bf16 = plan.bf16 and has_bf16(self._device)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the training images."""
        return math.ceil(len(self._labels) / self.plan.batch_size)

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_per_epoch * self.plan.epochs

    @property
    def learning_rate(self) -> float:
        """Rate of the next step."""
        plan, warm_up = self.plan, round(self.plan.warm_up_epochs * self.steps_per_epoch)
        if self.steps < warm_up:
            return plan.learning_rate * (self.steps + 1) / warm_up
        progress = (self.steps - warm_up) / (self.total_steps - warm_up)
        left = (1 + math.cos(math.pi * progress)) / 2 if plan.schedule == "cosine" else 1 - progress
        return plan.final_learning_rate + (plan.learning_rate - plan.final_learning_rate) * left

    def step(self) -> float:
        """Take one step of the optimiser; return its loss, NaN where it was skipped.

        Raises:
            ConfigError: Many steps in a row were skipped.
        """
        loss, right = self._gradient()
        norm = math.nan
        if math.isfinite(loss):
            parameters = [one for one in self._trained.parameters() if one.grad is not None]
            norm = float(nn.utils.clip_grad_norm_(parameters, self.plan.clip_norm))
        if math.isfinite(norm):
            for group in self._optimizer.param_groups:
                group["lr"] = self.learning_rate
            self._optimizer.step()
            self._skipped_in_a_row = 0
            self.seen.add(self.plan.batch_size, loss, right)
            self._average()
        else:
            self._skip()
        self._optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        return loss if math.isfinite(norm) else math.nan

    def judge(self, between_batches: Callable[[], None]) -> Judgement:
        """Judge what would be kept now on the images that are not trained on."""
        images, size = self._normalised(self.data.fitness), self.plan.evaluation_batch_size
        slices = (slice(start, start + size) for start in range(0, len(images), size))
        return judge(
            self.kept().eval(),
            ((images.batch(one), images.labels[one]) for one in slices),
            classes=classes_of(self.graph),
            between_batches=between_batches,
        )

    def kept(self) -> Network:
        """Return the network that is kept: with means of the weights, or the last ones."""
        return self._trained.network if self._mean_weights is None else self._mean_weights

    def state(self) -> TrainerState:
        """Return copies of weights, statistics, the optimiser's tensors, means, and all counters."""
        arrays = {f"weights/{name}": array(one) for name, one in self._trained.state_dict().items()}
        for name, parameter in self._trained.named_parameters():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    arrays[f"optimizer/{key}/{name}"] = array(value)
        if self._mean_weights is not None:
            means = self._mean_weights.state_dict()
            arrays |= {f"means/{name}": array(one) for name, one in means.items()}
        return TrainerState(
            arrays,
            {
                "steps": self.steps,
                "skipped": self.skipped,
                "skipped_in_a_row": self._skipped_in_a_row,
                "seen": [self.seen.images, self.seen.right],
                "losses": self.seen.losses,
            },
        )

    def restore(self, state: TrainerState) -> None:
        """Continue as the trainer that returned ``state`` would have.

        Raises:
            CheckpointError: The state is of another network or plan.
        """
        try:
            self._trained.load_state_dict(_tensors_below("weights/", state))
            if self._mean_weights is not None:
                self._mean_weights.load_state_dict(_tensors_below("means/", state))
            counts = [int(str(state.values[name])) for name in ("steps", "skipped", "skipped_in_a_row")]
            self.steps, self.skipped, self._skipped_in_a_row = counts
            match state.values["seen"], state.values["losses"]:
                case [int(images), int(right)], (int() | float()) as losses:
                    self.seen = EpochSums(images, right, float(losses))
                case _:
                    raise ValueError("what was seen of the epoch is no number")
            self._restore_optimizer(_tensors_below("optimizer/", state))
        except (RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"the checkpoint does not fit this network: {reason}") from error

    def _restore_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        parameters = dict(self._trained.named_parameters())
        self._optimizer.state.clear()
        for name, tensor in tensors.items():
            key, _, owner = name.partition("/")
            # Counts of steps have no shape, and stay on the host.
            placed = tensor.to(self._device) if tensor.ndim else tensor
            self._optimizer.state[parameters[owner]][key] = placed

    def _gradient(self) -> tuple[float, int]:
        """Add up the gradient of the next batch; return its mean loss, and how many images are right."""
        self._trained.train()
        plan, generator = self.plan, self._generator()
        chosen = batch_indices(plan.seed, self.steps, size=plan.batch_size, n=len(self._labels))
        total, right = 0.0, 0
        for part in np.array_split(chosen, plan.accumulation):
            indices = torch.from_numpy(part).to(self._device)
            images, labels = self._augmented(self._images.batch(indices), generator), self._labels[indices]
            with self._precision():
                outputs = self._trained(images, drop_path=self._drop_path(), generator=generator)
            loss = smoothed_loss(
                outputs,
                labels,
                smoothing=plan.label_smoothing,
                auxiliary_weight=plan.auxiliary_weight,
            ) * (len(part) / plan.batch_size)
            total += loss.item()
            if not math.isfinite(total):
                break
            loss.backward()
            right += int((outputs[0].argmax(1) == labels).sum())
        return total, right

    def _generator(self) -> torch.Generator:
        """Return the generator of all that this step draws."""
        seed = np.random.SeedSequence([self.plan.seed, self.steps]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed >> 1))

    def _augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return normalised images as they are augmented, (n, c, h, w)."""
        if self.plan.least_crop_share:
            images = resized_crops(images, self.plan.least_crop_share, generator)
        return self._augment(images, generator)

    def _precision(self) -> AbstractContextManager[None]:
        precision: AbstractContextManager[None] = torch.autocast(
            self._device.type, torch.bfloat16, enabled=self.uses_bf16
        )
        return precision

    def _drop_path(self) -> float:
        return self.plan.drop_path * self.steps / self.total_steps

    def _average(self) -> None:
        """Take the weights and statistics into their means."""
        if self._mean_weights is None:
            return
        taken = self.steps - self.skipped + 1
        decay = min(self.plan.ema_decay, (1 + taken) / (_EMA_START + taken))
        present = self._trained.network.state_dict()
        for name, mean in self._mean_weights.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(present[name], 1 - decay)
            else:
                mean.copy_(present[name])

    def _skip(self) -> None:
        reset_what_is_not_finite(self._trained)
        self.skipped += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row == _MOST_SKIPPED:
            raise DivergedError(
                f"no loss or gradient was finite in the last {_MOST_SKIPPED} steps, of {self.steps + 1}: the "
                f"training diverged; give a smaller learning_rate than {self.plan.learning_rate:g}"
            )

    def _normalised(self, images: ImageSet) -> NormalisedImages:
        return NormalisedImages(images, self.data.channel_mean, self.data.channel_std, self._device)


@dataclass
class EpochSums:
    """What was seen of an epoch.

    Attributes:
        images: How many.
        right: Those classified rightly, as they were augmented, before the step.
        losses: Sum of their losses.
    """

    images: int = 0
    right: int = 0
    losses: float = 0.0

    def add(self, images: int, loss: float, right: int) -> None:
        """Add a batch with its mean loss."""
        self.images += images
        self.right += right
        self.losses += loss * images


def has_bf16(device: torch.device) -> bool:
    """Tell whether ``device`` has instructions for bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    found: Mapping[str, object] = torch.cpu.get_capabilities()
    return any(value is True for name, value in found.items() if name.endswith("bf16"))


def require_fit(graph: Graph, data: Data, plan: RetrainingPlan) -> None:
    """Refuse what cannot be trained.

    Raises:
        ConfigError: The images are not of the network's shape, have other classes, or are fewer than a batch;
            or torch has no such device.
    """
    usable_device(plan.torch_device)
    shape, classes = graph.nodes[0].spec.input_shape[1:], classes_of(graph)
    for images in (data.training, data.fitness):
        if images.image_shape != shape:
            raise ConfigError(
                f"the deployed network takes images of {shape}, {images.name} has {images.image_shape}; "
                "name other images, or a space that deploys another network"
            )
    if data.training.classes != classes or data.fitness.classes > classes:
        raise ConfigError(
            f"the deployed network has {classes} classes, {data.name} has {data.training.classes}"
        )
    if plan.batch_size > len(data.training.labels):
        raise ConfigError(
            f"batch_size {plan.batch_size} exceeds the {len(data.training.labels)} training images; make "
            "retraining.batch_size smaller"
        )


def classes_of(graph: Graph) -> int:
    """Return how many classes a network tells apart."""
    return operations.output_shape(graph.nodes[-1].spec)[1]


def array(tensor: Tensor) -> NDArray[np.generic]:
    """Return a copy of ``tensor``, of its shape, in the host's memory."""
    return tensor.detach().cpu().numpy().copy(order="C")


def _take(network: Network, initial: Mapping[str, NDArray[np.generic]]) -> int:
    """Copy those of ``initial`` that ``network`` has in the same shape; return how many."""
    own = network.state_dict()
    fitting = {
        name: torch.from_numpy(np.array(given))
        for name, given in initial.items()
        if name in own and own[name].shape == given.shape
    }
    network.load_state_dict({**own, **fitting})
    return len(fitting)


def _optimizer(trained: nn.Module, plan: RetrainingPlan) -> torch.optim.Optimizer:
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(trained.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    return torch.optim.SGD(
        trained.parameters(),
        lr=plan.learning_rate,
        momentum=plan.momentum,
        nesterov=plan.nesterov,
        weight_decay=plan.weight_decay,
    )


def _tensors_below(prefix: str, state: TrainerState) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(one))
        for name, one in state.arrays.items()
        if name.startswith(prefix)
    }
