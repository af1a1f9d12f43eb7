"""What a generation at the paper's scale has cost, part by part, and what is reckoned from that."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from _step_cost import images

from cars_hw.networks.architecture import Architecture, from_text
from cars_hw.spaces.darts import Darts
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan
from profilers.runtimes._torch.model import Launches

#: The search by its configuration: ``tests/configs/test_cars_cifar10.py`` counts both.
STEPS, EVALUATIONS = 98_000, 17_408
#: Members that a search ends with, which all fitness images judge where a share of them has.
LAST = 128
#: What a GPU's driver takes to start one operation, in seconds; assumed.
LAUNCH_S = 6e-6
_COUNTED, _DRAWN_IMAGES, _FEW = 4, 256, 2


@dataclass(frozen=True)
class Work:
    """What is computed, on the mean.

    Attributes:
        macs: Multiply-accumulates of a network for one image.
        step_launches: Operations of torch in a step that is known to it.
        batch_launches: The same in a batch of an evaluation.
    """

    macs: float
    step_launches: float
    batch_launches: float


@dataclass(frozen=True)
class Ledger:
    """CPU seconds of a generation's parts.

    Attributes:
        steps: Training steps.
        evaluations: Evaluations, with current and previous weights.
        previous: Those among them with previous weights.
        training_s: Of all steps.
        recalibration_s: Of what sets statistics, in all evaluations.
        judging_s: Of the rest of them.
        offspring_s: Of making offspring.
        selection_s: Of the selection.
        share: Of the fitness images, that judged.
    """

    steps: int
    evaluations: int
    previous: int
    training_s: float
    recalibration_s: float
    judging_s: float
    offspring_s: float
    selection_s: float
    share: float

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Return that of what was kept of a run."""
        done = [one for one in raw["evaluations"] if one["error"] is not None]
        recalibration_s = sum(one["recalibration_s"] for one in done)
        return cls(
            len(raw["step_s"]),
            len(done),
            sum(one["weights"] == "previous" for one in done),
            sum(raw["step_s"]),
            recalibration_s,
            sum(one["cpu_s"] for one in done) - recalibration_s,
            raw["offspring_s"],
            raw["selection_s"],
            raw["asked"]["training"]["fitness_share"],
        )

    @property
    def evaluation_s(self) -> float:
        """CPU seconds of all evaluations."""
        return self.recalibration_s + self.judging_s

    @property
    def total_s(self) -> float:
        """CPU seconds of all parts."""
        return self.training_s + self.evaluation_s + self.offspring_s + self.selection_s

    def search_s(self, workers: int, *, is_training_shared: bool = False) -> float:
        """Reckon the seconds that the whole search takes on a clock, on so many cores.

        Args:
            workers: Processes of one thread that evaluate, without any loss between them.
            is_training_shared: Whether as many train together, which is another search.
        """
        training_s = STEPS * self.training_s / self.steps / (workers if is_training_shared else 1)
        evaluations_s = EVALUATIONS * self.evaluation_s
        if self.share < 1:
            evaluations_s += LAST * (self.recalibration_s + self.judging_s / self.share)
        return training_s + evaluations_s / self.evaluations / workers


def gpu_s(work: Work, plan: Mapping[str, Any], tflops: float) -> tuple[float, float]:
    """Reckon the seconds of all steps and of all evaluations of the search on a GPU.

    The slower of what it computes, and of what the host starts, decides each.

    Args:
        work: What is computed.
        plan: Of the training, with ``fitness_images``.
        tflops: What it sustains, in 10^12 operations a second.
    """
    flop = 2 * work.macs / (tflops * 1e12)  # of an image, forwards; backwards takes twice as long
    step_s = max(3 * flop * plan["batch_size"], work.step_launches * LAUNCH_S)
    recalibration, share = plan["recalibration_images"], plan["fitness_share"]

    def evaluation_s(judged: int) -> float:
        batches = math.ceil(recalibration / plan["recalibration_batch_size"])
        batches += math.ceil(judged / plan["evaluation_batch_size"])
        return float(max(flop * (recalibration + judged), batches * work.batch_launches * LAUNCH_S))

    evaluations_s = EVALUATIONS * evaluation_s(round(share * plan["fitness_images"]))
    if share < 1:
        evaluations_s += LAST * evaluation_s(plan["fitness_images"])
    return STEPS * step_s, evaluations_s


def work_of(space: Mapping[str, Any], evaluated: Sequence[str]) -> Work:
    """Count what networks compute that were evaluated; operations of a few of them.

    Args:
        space: Its settings.
        evaluated: Architectures, as ``to_text`` writes them.
    """
    darts = Darts(**space)
    networks = [from_text(one, darts.choices) for one in dict.fromkeys(evaluated)]
    macs = float(np.mean([darts.graph(one, "search").live.macs() for one in networks]))
    plan = TrainingPlan(
        batch_size=_FEW,
        evaluation_batch_size=_DRAWN_IMAGES,
        recalibration_images=_FEW,
        evaluation_tensor_mib=0,
    )
    trainer = SuperNetTrainer(darts, images(_DRAWN_IMAGES), plan, total_steps=1)
    launches = np.mean([list(_launches(trainer, one)) for one in networks[:_COUNTED]], axis=0)
    return Work(macs, float(launches[0]), float(launches[1]) / 2)


def _launches(trainer: SuperNetTrainer, architecture: Architecture) -> Iterator[int]:
    """Yield the operations of a step, and of an evaluation of two batches."""
    trainer.step([architecture])  # what a path needs is looked up once
    with Launches() as step:
        trainer.step([architecture])
    yield step.n
    with Launches() as evaluation:
        trainer.accuracy(architecture)
    yield evaluation.n
