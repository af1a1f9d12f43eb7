"""LossScale: a factor of the loss by which small gradients survive in float16, kept on the device.

By the rules of ``torch.amp.GradScaler``: a step with gradients that are not finite halves the factor, and
2000 steps in a row that were taken double it. That one asks the device after each step; this one does not.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

_FIRST, _GROWTH, _BACKOFF, _INTERVAL = 2.0**16, 2.0, 0.5, 2000


class LossScale:
    """The factor, and how long it has stayed.

    Args:
        device: Where it is needed.

    Attributes:
        factor: Of the loss, 32-bit, of no shape; always the same tensor.
        taken: Steps that were taken since it changed, of no shape; always the same tensor.
    """

    def __init__(self, device: torch.device) -> None:
        self.factor = torch.full((), _FIRST, device=device)
        self.taken = torch.zeros((), dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, is_taken: Tensor) -> None:
        """Take note of a step; ``is_taken``, of no shape, says whether its gradients were finite."""
        taken = torch.where(is_taken, self.taken + 1, 0)
        is_grown = taken >= _INTERVAL
        change = torch.where(is_taken, torch.where(is_grown, _GROWTH, 1.0), _BACKOFF)
        changed = self.factor * change
        self.factor.copy_(torch.where(changed.isfinite(), changed, self.factor))
        self.taken.copy_(torch.where(is_grown, 0, taken))

    def tensors(self) -> dict[str, Tensor]:
        """Return both by their names."""
        return {"factor": self.factor, "taken": self.taken}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what ``tensors`` returned; from the beginning, where there is none."""
        self.factor.fill_(_FIRST)
        self.taken.zero_()
        for name, tensor in tensors.items():
            self.tensors()[name].copy_(tensor)
