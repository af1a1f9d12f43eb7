"""DistributedStepper: steps along the mean gradient of what all ranks have run.

Why not ``torch.nn.parallel.DistributedDataParallel``: it sends the gradients of all weights, of which a step
trains those of a few paths, and looks through the graph of each loss for those that got none. Here the
weights that some rank has trained are sent, in one piece; ``tests`` hold both against each other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cars_hw.networks.architecture import Architecture
from cars_hw.weights.distributed.team import Team
from cars_hw.weights.stepping.arithmetic import Arithmetic
from cars_hw.weights.stepping.stepper import Stepper
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.training_plan import TrainingPlan


class DistributedStepper(Stepper):
    """Clipped SGD on weights of which every rank has a copy, all the same to the bit.

    Each rank runs every ``team.size``-th of a step's architectures on images of its own.

    Args:
        supernet: The copy of this rank.
        plan: How to train.
        arithmetic: In which numbers, and where.
        team: The ranks.
    """

    def __init__(self, supernet: SuperNet, plan: TrainingPlan, arithmetic: Arithmetic, team: Team) -> None:
        super().__init__(supernet, plan, arithmetic)
        self._team = team
        self._weights: tuple[nn.Parameter, ...] = ()

    def forget_what_is_gone(self) -> None:
        """Forget momenta and recordings of weights that the SuperNet does not have any more."""
        super().forget_what_is_gone()
        self._weights = ()

    def _mean_gradient(
        self, architectures: Sequence[Architecture], images: Tensor, labels: Tensor, *, soft_path: bool
    ) -> Tensor:
        """Accumulate the mean gradient of all ranks; return the mean loss, the same on each.

        Args:
            architectures: Those of the step, at least one for each rank.
            images: Of this rank, (b, c, h, w).
            labels: (b,).
            soft_path: Whether soft graphs are trained.
        """
        own = architectures[self._team.rank :: self._team.size]
        loss = super()._mean_gradient(own, images, labels, soft_path=soft_path)
        share = len(own) / len(architectures)
        self._add_up_gradients(share)
        loss = loss * share
        self._team.add_up(loss)
        return loss

    @torch.no_grad()
    def _add_up_gradients(self, share: float) -> None:
        """Put the sum over all ranks in the place of each gradient that one of them has.

        Args:
            share: What the gradients of this rank are multiplied by before.
        """
        self._weights = self._weights or tuple(self._supernet.parameters())
        # On the processor's side: a GPU is not waited for.
        has_gradient = torch.tensor([weight.grad is not None for weight in self._weights], dtype=torch.int32)
        self._team.add_up(has_gradient)
        trained = [weight for weight, n in zip(self._weights, has_gradient.tolist(), strict=True) if n]
        if not trained:
            return
        for weight in trained:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        gradients = [weight.grad for weight in trained if weight.grad is not None]
        together = torch.cat([gradient.reshape(-1) for gradient in gradients]).mul_(share)
        self._team.add_up(together)
        parts = torch.split(together, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))
