"""Small modules to measure, to lower, and to be wrong in a chosen way."""

import torch
from torch import Tensor, nn


def conv() -> nn.Module:
    """Return a convolution of 8 channels to 16, normalised and rectified."""
    return nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())


class Sum(nn.Module):
    """Adds two inputs."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first + second


class Join(nn.Module):
    """Joins two inputs along the channels."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second], 1)


class Pair(nn.Module):
    """Returns two outputs."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Drifting(nn.Module):
    """Computes something else each time: no runtime can agree with it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


class Overflow(nn.Module):
    """Gives no finite number."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 1e38 + 1e38) * 1e38


class InverseError(nn.Module):
    """Has no form outside of torch."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.erfinv(x)
