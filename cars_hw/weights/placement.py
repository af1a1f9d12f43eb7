"""Placement: the device that computes, how tensors get there, and how convolutions lie in its memory."""

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from cars_hw.weights.quick import quicken
from cars_hw.weights.training_plan import TrainingPlan
from devices.foundation import ConfigError


def usable_device(name: str) -> torch.device:
    """Return the device that torch calls ``name``.

    Raises:
        ConfigError: This machine, or its torch, has none.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # torch also names devices that this machine or build lacks
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0][:200]
        remedy = 'write "cpu", or "cuda" on a machine with a GPU and a torch built for it'
        raise ConfigError(f"torch_device {name[:64]!r} cannot be used: {reason}; {remedy}") from error
    return device


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host's on ``device``; the host does not wait for what a GPU has to do before."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def wide(device: torch.device) -> torch.dtype:
    """Return the widest numbers that ``device`` adds up in."""
    return torch.float32 if device.type == "mps" else torch.float64


def placed(module: nn.Module, plan: TrainingPlan, device: torch.device, *, is_half: bool) -> nn.Module:
    """Move ``module`` of a SuperNet to ``device``, where it computes as ``plan`` says.

    The weights decide: what a convolution computes has their layout. ``auto`` is ``channels_last`` on a CPU,
    where that is faster, and for numbers of half the size, whose matrix units want it; else ``contiguous``.

    Args:
        module: As ``modules.build`` makes it: in channels-last, where that is safe on a CPU.
        plan: Says the layout, and whether there are quick forms.
        device: Where it computes.
        is_half: Whether it computes in 16 bits.
    """
    layout = plan.layout
    is_contiguous = layout == "contiguous" or (layout == "auto" and device.type != "cpu" and not is_half)
    module = module.to(device)
    quicken(module, is_quick=plan.quick_forms)
    if is_contiguous:
        convert_conv2d_weight_memory_format(module, torch.contiguous_format)
    return module
