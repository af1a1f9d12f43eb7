"""Sgd: steps that the device takes or leaves out, without telling the host.

As ``torch.optim.SGD`` without dampening, to the bit where a step is taken. Whether it is taken, and at which
rate, are tensors: a step that is left out adds nothing to weights or momenta.
"""

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import Parameter


class Sgd:
    """Momentum and weight decay for whatever parameters have a gradient.

    Args:
        momentum: Share of the momentum that stays from step to step.
        weight_decay: Factor of the weights that is added to their gradient.

    Attributes:
        momenta: Of each parameter that has been stepped, of its shape.
    """

    def __init__(self, *, momentum: float, weight_decay: float) -> None:
        self._momentum, self._weight_decay = momentum, weight_decay
        self.momenta: dict[Parameter, Tensor] = {}

    @torch.no_grad()
    def step(self, parameters: Collection[Parameter], rate: Tensor, is_taken: Tensor) -> None:
        """Move parameters down their gradients.

        Args:
            parameters: Each with a gradient, which may be anything where the step is not taken.
            rate: The learning rate, 32-bit, of no shape.
            is_taken: Whether the step is taken, of no shape.
        """
        down = torch.where(is_taken, -rate, 0.0)
        nothing = torch.zeros_like(down)
        kept = torch.where(is_taken, self._momentum, 1.0)  # share of the momentum
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None:
                continue
            if self._weight_decay:
                gradient = gradient.add(parameter, alpha=self._weight_decay)
            gradient = torch.where(is_taken, gradient, nothing)
            parameter.addcmul_(self._with_momentum(parameter, gradient, kept), down)

    def keep(self, parameters: Collection[Parameter]) -> None:
        """Forget the momenta of all parameters but these."""
        kept = set(parameters)
        self.momenta = {one: momentum for one, momentum in self.momenta.items() if one in kept}

    def _with_momentum(self, parameter: Parameter, gradient: Tensor, kept: Tensor) -> Tensor:
        """Return what a parameter moves by, of its shape; its momentum is a new one from then on."""
        if not self._momentum:
            return gradient
        momentum = self.momenta.get(parameter)
        if momentum is None:
            self.momenta[parameter] = gradient
            return gradient
        return momentum.mul_(kept).add_(gradient)
