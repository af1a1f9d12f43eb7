"""TrainingPlan: how shared weights are trained. No torch, since a configuration holds one."""

from typing import Literal

from pydantic import ConfigDict, Field

from devices.foundation import Settings, added

#: In which numbers a step computes.
Precision = Literal["float32", "tf32", "bfloat16", "float16"]
#: How the weights of convolutions lie in memory.
Layout = Literal["auto", "channels_last", "contiguous"]


class TrainingPlan(Settings):
    """How the shared weights are trained. Defaults: the CARS search on CIFAR-10.

    A configuration's numbers are taken as pydantic converts them: 64.0 for a count.

    Attributes:
        batch_size: Images per step. Batch normalisation takes two: one has no variance where the feature maps
            are of one pixel.
        learning_rate: Rate of the first step.
        final_learning_rate: Rate after the last; in between, it falls along a cosine.
        momentum: Momentum of the optimiser, SGD.
        weight_decay: L2 penalty, on the weights of the step's paths alone.
        clip_norm: Largest norm of the mean gradient.
        crop_padding: Padding of the random crop, in pixels.
        cutout: Side of the cutout, in pixels; 0 for none.
        recalibration_images: Training images that set an evaluated path's normalisation statistics.
        evaluation_batch_size: The most images per forward pass of an evaluation.
        precision: In which numbers a step computes; with ``float16``, its loss is scaled. ``tf32`` is float32
            on a GPU with inputs of convolutions and products cut to 10 bits, and ``float32`` elsewhere.
            Evaluations are in float32, as files are, with ``tf32`` where this is not ``float32``.
        layout: How weights of convolutions lie in memory, which what they compute follows. ``auto``:
            ``contiguous`` on a GPU in 32 bits, else ``channels_last``.
        deterministic: Whether a GPU uses only algorithms that give the same bits each time. A CPU always
            does.
        cuda_graphs: The most members whose steps are kept as CUDA graphs, on a GPU by CUDA; 0 for none.
        evaluation_tensor_mib: The most that a tensor of an evaluation takes on a CPU, in MiB, if one image is
            no larger: memory of larger ones goes back to the system each time, and comes page by page. 0:
            ``evaluation_batch_size`` alone decides.
        recalibration_batch_size: Images whose statistics are taken at once, before the mean of all is formed;
            0: ``evaluation_batch_size``.
        quick_forms: Whether shared weights, on a CPU, compute pools, concatenations, and factorized and
            dilated convolutions in forms that are faster there; the last bits differ. Networks that are
            exported have torch's.
        fitness_share: Share of the fitness images that architectures are judged on while the search goes on:
            a random one, of each class alike, that stays the same. What a search ends with is judged on all.
        recalibration_share: Share of ``recalibration_images`` that set statistics where ``fitness_share``
            counts; all set those of what a search ends with, and of networks that are exported.
        weight_averaging: Share that an average of each weight keeps in a step that moves the weight; 0: there
            is none. Networks are judged, and exported, by the averages, which fluctuate less.
    """

    model_config = ConfigDict(strict=False)

    batch_size: int = Field(default=128, ge=2, le=1 << 16)
    learning_rate: float = Field(default=0.025, gt=0)
    final_learning_rate: float = Field(default=0.001, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=3e-4, ge=0)
    clip_norm: float = Field(default=5.0, gt=0)
    crop_padding: int = Field(default=4, ge=0, le=256)
    cutout: int = Field(default=0, ge=0, le=1024)
    recalibration_images: int = Field(default=1024, ge=2)
    evaluation_batch_size: int = Field(default=256, ge=1, le=1 << 16)
    precision: Precision = added("float32", before="float32")
    layout: Layout = added("auto", before="channels_last")
    deterministic: bool = added(False, before=False)
    cuda_graphs: int = added(0, before=0, ge=0, le=4096)
    evaluation_tensor_mib: float = added(16.0, before=0.0, ge=0, le=1 << 20)
    recalibration_batch_size: int = added(64, before=0, ge=0, le=1 << 16)
    quick_forms: bool = added(True, before=False)
    fitness_share: float = added(1.0, before=1.0, gt=0, le=1)
    recalibration_share: float = added(1.0, before=1.0, gt=0, le=1)
    weight_averaging: float = added(0.0, before=0.0, ge=0, lt=1)

    @property
    def is_sparing(self) -> bool:
        """Whether some images are spared while the search goes on."""
        return min(self.fitness_share, self.recalibration_share) < 1
