"""What stands before a network and behind it in a file that an app uses: pixels in, probabilities out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: Brightness of the lightest pixel.
_WHITE = 255.0


class WithPreprocessing(nn.Module):
    """A network that takes pixels instead of normalised images.

    Args:
        network: Takes ``(pixel / 255 - mean) / std``.
        mean: By channel, (c,), of pixels between 0 and 1.
        std: Likewise.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        spread = torch.tensor(list(std), dtype=torch.float64)
        scale = 1.0 / (_WHITE * spread)
        shift = -torch.tensor(list(mean), dtype=torch.float64) / spread
        self.register_buffer("scale", scale.float().reshape(1, -1, 1, 1))
        self.register_buffer("shift", shift.float().reshape(1, -1, 1, 1))
        self.train(network.training)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return what the network gives for pixels (n, c, h, w) of 0..255, of type uint8."""
        result: Tensor = self.network(pixels.to(torch.float32) * self.scale + self.shift)
        return result


class WithSoftmax(nn.Module):
    """A network that gives probabilities instead of logits.

    Args:
        network: Gives logits (n, classes).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.train(network.training)

    def forward(self, images: Tensor) -> Tensor:
        """Return the probability of each class, (n, classes)."""
        return torch.softmax(self.network(images), dim=1)
