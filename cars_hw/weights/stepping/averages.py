"""Averages: weights averaged over the steps that moved them, which fluctuate less than the weights do.

B. T. Polyak, A. B. Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM Journal on Control
and Optimization 30, 1992; here weighted exponentially. In a SuperNet most weights rest in most steps: each is
averaged over its own.
"""

from collections.abc import Collection, Mapping
from copy import deepcopy

import torch
from torch import Tensor
from torch.nn import Parameter

from cars_hw.weights.supernet import SuperNet


class Averages:
    """The averages of weights.

    Args:
        decay: Share of an average that stays from one step of its weight to the next.

    Attributes:
        tensors: Of each parameter that was stepped, of its shape.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self.tensors: dict[Parameter, Tensor] = {}

    @torch.no_grad()
    def add(self, parameters: Collection[Parameter]) -> None:
        """Take note of parameters that were stepped; a step that was skipped left them where they were."""
        for parameter in parameters:
            average = self.tensors.get(parameter)
            if average is None:
                self.tensors[parameter] = parameter.detach().clone()
            else:
                average.lerp_(parameter, 1.0 - self._decay)

    def keep(self, parameters: Collection[Parameter]) -> None:
        """Forget the averages of all parameters but these."""
        kept = set(parameters)
        self.tensors = {one: average for one, average in self.tensors.items() if one in kept}

    @torch.no_grad()
    def applied(self, supernet: SuperNet) -> SuperNet:
        """Return a copy of ``supernet`` with the averages in the place of its weights."""
        averaged = deepcopy(supernet)
        for own, parameter in zip(averaged.parameters(), supernet.parameters(), strict=True):
            own.copy_(self.tensors.get(parameter, parameter))
        return averaged

    @torch.no_grad()
    def restore(self, supernet: SuperNet, found: Mapping[str, Tensor]) -> None:
        """Take up averages by the names of their weights.

        Raises:
            RuntimeError: One has another shape than its weight.
        """
        self.tensors = {
            parameter: torch.empty_like(parameter).copy_(found[name])
            for name, parameter in supernet.named_parameters()
            if name in found
        }
