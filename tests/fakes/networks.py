"""Networks whose outputs depend on all of their weights, though nobody trained them."""

import numpy as np
import torch
from torch import Tensor, nn

from cars_hw.spaces._space import SearchSpace
from cars_hw.weights.network import Network


def normalised_network(space: SearchSpace, seed: int) -> Network:
    """Return a random network that normalises by true statistics of random images.

    With those of an untrained one, features fade to nothing on their way, and any two lowerings agree.
    """
    graph = space.graph(space.sample(np.random.default_rng(seed)))
    network = Network.untrained(graph, seed=seed).train()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        network(random_images(space, n=8, seed=seed + 1))
    return network.eval()


def random_images(space: SearchSpace, *, n: int = 1, seed: int = 0) -> Tensor:
    """Return ``n`` images of the size that ``space`` takes."""
    return torch.randn((n, *space.image_shape), generator=torch.Generator().manual_seed(seed))


def learnt(module: nn.Module, seed: int) -> nn.Module:
    """Fill all that ``module`` learns with random numbers of its own, as training does; return it."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=generator)
    return module.eval()
