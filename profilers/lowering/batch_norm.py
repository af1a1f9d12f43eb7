"""Batch normalisations as different as those of trained networks, in networks that are not trained."""

import torch
from torch import nn

#: Made-up statistics are drawn from so far below to so far above those of an untrained network.
_SPREAD = 0.1


@torch.no_grad()
def distinct_statistics(module: nn.Module, seed: int) -> None:
    """Draw the statistics, and the scales and shifts, of each normalisation, so that no two are equal.

    Those of untrained networks are, and a runtime merges what computes the same; of trained ones it cannot.

    Args:
        module: A network to be measured, or an operation of one; its weights stay.
        seed: Of the draw, which depends on nothing else.
    """
    rng = torch.Generator().manual_seed(seed)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for name, tensor in norm.state_dict().items():
                if tensor.is_floating_point():  # the count of batches is not
                    center = 1.0 if name in ("running_var", "weight") else 0.0
                    tensor.copy_(center + _SPREAD * (2 * torch.rand(tensor.shape, generator=rng) - 1))
