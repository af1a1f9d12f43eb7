"""Stepper: takes steps along mean gradients; the host asks for them, and waits for none."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from cars_hw.networks.architecture import Architecture
from cars_hw.weights.placement import wide
from cars_hw.weights.stepping.arithmetic import Arithmetic
from cars_hw.weights.stepping.averages import Averages
from cars_hw.weights.stepping.cuda_graphs import CudaRecorder
from cars_hw.weights.stepping.gradients import EagerGradients, Gradients, Member, RecordedGradients
from cars_hw.weights.stepping.loss_scale import LossScale
from cars_hw.weights.stepping.rates import Rates
from cars_hw.weights.stepping.sgd import Sgd
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.training_plan import TrainingPlan


class Stepper:
    """Clipped SGD on shared weights.

    Args:
        supernet: The weights.
        plan: How to train.
        arithmetic: In which numbers, and where.
    """

    def __init__(self, supernet: SuperNet, plan: TrainingPlan, arithmetic: Arithmetic) -> None:
        self._supernet, self._plan, self._arithmetic = supernet, plan, arithmetic
        self._scale = LossScale(arithmetic.device) if arithmetic.is_scaled else None
        self._gradients: Gradients = EagerGradients(supernet, arithmetic, self._scale)
        if plan.cuda_graphs and arithmetic.device.type == "cuda":
            recorder = CudaRecorder(arithmetic.device)
            self._gradients = RecordedGradients(self._gradients, recorder, plan.cuda_graphs)
        self._sgd = Sgd(momentum=plan.momentum, weight_decay=plan.weight_decay)
        self._rates = Rates(arithmetic.device)
        self.averages = Averages(plan.weight_averaging) if plan.weight_averaging else None

    def step(
        self, architectures: Sequence[Architecture], images: Tensor, labels: Tensor, *, soft_path: bool
    ) -> Tensor:
        """Take one step, unless the loss or a gradient is not finite.

        Args:
            architectures: The members.
            images: Normalised and augmented, (b, c, h, w).
            labels: (b,).
            soft_path: Whether soft graphs are trained.

        Returns:
            The mean loss, of no shape; NaN where the step was skipped.
        """
        with self._arithmetic.chosen():
            loss = self._mean_gradient(architectures, images, labels, soft_path=soft_path)
            parameters = self._with_gradients(architectures, soft_path=soft_path)
            self._unscale(parameters)
            norm = nn.utils.clip_grad_norm_(parameters, self._plan.clip_norm)
            is_taken = loss.isfinite() & norm.isfinite()
            self._sgd.step(parameters, self._rates.next(), is_taken)
            self._rates.add(is_taken)
            if self.averages is not None:
                self.averages.add(parameters)
            if self._scale is not None:
                self._scale.add(is_taken)
            for parameter in parameters:
                parameter.grad = None
            return torch.where(is_taken, loss, math.nan)

    def go_by(self, rate: Callable[[int], float], taken: int) -> None:
        """Go on by the learning rates of ``rate``, by the number of steps, after the first ``taken``."""
        self._rates.begin(rate, taken)

    def forget_what_is_gone(self) -> None:
        """Forget momenta and recordings of weights that the SuperNet does not have any more."""
        self._sgd.keep(list(self._supernet.parameters()))
        if self.averages is not None:
            self.averages.keep(list(self._supernet.parameters()))
        self._gradients.forget()

    def tensors(self) -> dict[str, Tensor]:
        """Return what decides the next step, beside the weights, and what it adds to.

        These are ``momentum/NAME``, ``average/NAME`` and ``scale/NAME``.
        """
        averages = {} if self.averages is None else self.averages.tensors
        found = {
            f"{kind}/{name}": tensors[parameter]
            for kind, tensors in (("momentum", self._sgd.momenta), ("average", averages))
            for name, parameter in self._supernet.named_parameters()
            if parameter in tensors
        }
        scale = {} if self._scale is None else self._scale.tensors()
        return found | {f"scale/{name}": tensor for name, tensor in scale.items()}

    @torch.no_grad()
    def restore(
        self, momenta: Mapping[str, Tensor], averages: Mapping[str, Tensor], scale: Mapping[str, Tensor]
    ) -> None:
        """Take up what ``tensors`` returned.

        Args:
            momenta: By the names of parameters.
            averages: The same; empty where weights are not averaged.
            scale: That of the loss; empty where it was not scaled.

        Raises:
            RuntimeError: A tensor has another shape.
        """
        self._sgd.momenta = {
            parameter: torch.empty_like(parameter).copy_(momenta[name])
            for name, parameter in self._supernet.named_parameters()
            if name in momenta
        }
        if self.averages is not None:
            self.averages.restore(self._supernet, averages)
        if self._scale is not None:
            self._scale.restore(scale)

    def _mean_gradient(
        self, architectures: Sequence[Architecture], images: Tensor, labels: Tensor, *, soft_path: bool
    ) -> Tensor:
        """Accumulate the mean of the architectures' gradients (CARS, eq. 3); return the mean loss."""
        if not self._supernet.training:  # to tell all modules takes longer than to run some of them
            self._supernet.train()
        device = self._arithmetic.device
        total = torch.zeros((), dtype=wide(device), device=device)
        for architecture in architectures:
            member = Member(architecture, soft_path, len(architectures))
            total = total + self._gradients.add(member, images, labels).to(total.dtype)
        return total

    def _with_gradients(
        self, architectures: Sequence[Architecture], *, soft_path: bool
    ) -> list[nn.Parameter]:
        """Return the members' weights in the SuperNet's order, without those that nothing flowed to."""
        paths = [self._supernet.path(architecture, soft_path=soft_path) for architecture in architectures]
        found = (
            paths[0].parameters
            if len(paths) == 1
            else self._supernet.in_order(parameter for path in paths for parameter in path.parameters)
        )
        return [parameter for parameter in found if parameter.grad is not None]

    def _unscale(self, parameters: Sequence[nn.Parameter]) -> None:
        if self._scale is None:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.div_(self._scale.factor)
