"""RetrainingPlan: how one network is trained from scratch, and presets. No torch: a configuration has it.

Sources of the presets:

* CARS (arXiv 1909.04977): on CIFAR-10 as in ``huawei-noah/vega``, its configuration of the full training; the
  paper trains 250 epochs on ImageNet and does not tell the rest, for which P-DARTS' (arXiv 1904.12760) stands
* EvNAS (arXiv 2012.12540): the defaults of its released code, on CIFAR-10 and on ImageNet
"""

from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, JsonValue, model_validator

from devices.foundation import Settings

Preset = Literal["cars-cifar", "cars-imagenet", "evnas-cifar", "evnas-imagenet", "small"]

#: Of ImageNet: linear decay, label smoothing, crops of any size.
_IMAGENET: Mapping[str, JsonValue] = {
    "epochs": 250,
    "schedule": "linear",
    "weight_decay": 3e-5,
    "label_smoothing": 0.1,
    "least_crop_share": 0.08,
    "crop_padding": 0,
    "cutout": 0,
    "drop_path": 0.0,
}

#: What each preset sets otherwise than the defaults of the plan, which are those of ``cars-cifar``.
PRESETS: Mapping[Preset, Mapping[str, JsonValue]] = {
    "cars-cifar": {},
    # Parts of 128 images: batch normalisation sees what each of P-DARTS' eight GPUs saw.
    "cars-imagenet": {
        **_IMAGENET,
        "batch_size": 1024,
        "accumulation": 8,
        "learning_rate": 0.5,
        "warm_up_epochs": 5.0,
    },
    "evnas-cifar": {},
    "evnas-imagenet": {**_IMAGENET, "batch_size": 256, "learning_rate": 0.1},
    "small": {
        "epochs": 12,
        "batch_size": 128,
        "learning_rate": 0.1,
        "nesterov": True,
        "weight_decay": 5e-4,
        "warm_up_epochs": 1.0,
        "cutout": 0,
        "drop_path": 0.0,
        "auxiliary_weight": 0.0,
        "evaluate_every_epochs": 3,
    },
}


def preset_names() -> tuple[Preset, ...]:
    """List the presets."""
    return get_args(Preset)


class RetrainingPlan(Settings):
    """How one network is trained from scratch. Defaults: CARS on CIFAR-10.

    A preset sets all keys; those that are given beside it override it.

    Attributes:
        preset: Where the other keys start from.
        epochs: Passes over the training images.
        batch_size: Images of one step of the optimiser.
        accumulation: Parts that a batch is computed in, one after the other; batch normalisation sees a part.
        optimizer: SGD with momentum, or AdamW, whose decay is apart from its gradients.
        learning_rate: The largest rate.
        final_learning_rate: Rate after the last step.
        schedule: How the rate falls, step by step: along half a cosine, or a line.
        warm_up_epochs: Epochs in which it first rises, along a line.
        momentum: Momentum of SGD.
        nesterov: Whether that is Nesterov's.
        weight_decay: Decay of all weights.
        clip_norm: Largest norm of the gradient.
        label_smoothing: Share of the target that is spread over all classes.
        crop_padding: Zeros around an image before a random crop of its size; pixels.
        least_crop_share: A random crop has at least this share of the image's area, and is stretched to its
            size; 0 for crops of the image's own size.
        cutout: Side of the square set to zero; pixels, 0 for none.
        drop_path: Share of the paths into a sum that are left out, at the end; it rises from 0 along a line.
        auxiliary_weight: Weight of the loss of a second classifier, inside the network; 0: there is none. It
            is no part of what is kept.
        ema_decay: What is kept are means over the steps, in which each step's weights count so much less than
            the next one's; 0: the last weights.
        bf16: Whether to compute in bfloat16 where the device has that.
        evaluate_every_epochs: Epochs from one evaluation to the next; the last is evaluated whatever it is.
        evaluation_batch_size: Images of one forward pass of an evaluation.
        seed: Of initial weights, batches, augmentation and dropped paths.
        torch_device: Where to compute, as torch names it.
        checkpoint_every_s: Seconds from one checkpoint to the next inside an epoch; a kill loses no more than
            that, and a step.
    """

    model_config = ConfigDict(strict=False)

    preset: Preset = "cars-cifar"
    epochs: int = Field(default=600, ge=1, le=100_000)
    batch_size: int = Field(default=96, ge=2, le=1 << 20)
    accumulation: int = Field(default=1, ge=1, le=1 << 16)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.025, gt=0)
    final_learning_rate: float = Field(default=0.0, ge=0)
    schedule: Literal["cosine", "linear"] = "cosine"
    warm_up_epochs: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=3e-4, ge=0)
    clip_norm: float = Field(default=5.0, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    crop_padding: int = Field(default=4, ge=0, le=256)
    least_crop_share: float = Field(default=0.0, ge=0, le=1)
    cutout: int = Field(default=16, ge=0, le=1024)
    drop_path: float = Field(default=0.2, ge=0, lt=1)
    auxiliary_weight: float = Field(default=0.4, ge=0)
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    bf16: bool = False
    evaluate_every_epochs: int = Field(default=1, ge=1, le=100_000)
    evaluation_batch_size: int = Field(default=256, ge=1, le=1 << 16)
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    torch_device: str = "cpu"
    checkpoint_every_s: float = Field(default=60.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, values: Any) -> Any:
        """Put what is given over what its preset sets."""
        if not isinstance(values, dict) or values.get("preset") not in PRESETS:
            return values
        return {**PRESETS[values["preset"]], **values}

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.batch_size < 2 * self.accumulation:
            raise ValueError(
                f"batch_size is {self.batch_size}, in {self.accumulation} parts; a part has at least two "
                "images"
            )
        if self.warm_up_epochs >= self.epochs:
            raise ValueError(
                f"warm_up_epochs is {self.warm_up_epochs:g}, of {self.epochs} epochs; give fewer"
            )
        if self.nesterov and not (self.momentum and self.optimizer == "sgd"):
            raise ValueError("nesterov is of SGD with momentum; leave it out")
        return self
