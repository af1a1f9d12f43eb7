"""Made-up statistics of batch normalisation."""

import torch
from torch import nn

from profilers import distinct_statistics


def test_distinct_statistics_are_no_two_alike_and_follow_from_the_seed() -> None:
    networks = [nn.Sequential(*(nn.BatchNorm2d(4, affine=i > 0) for i in range(3))) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        distinct_statistics(network, seed)
    one, same, other = (network.state_dict() for network in networks)
    drawn = {name: tuple(tensor.tolist()) for name, tensor in one.items() if tensor.is_floating_point()}
    assert len(set(drawn.values())) == len(drawn) == 10
    assert all(torch.equal(one[name], same[name]) for name in drawn)
    assert not any(torch.equal(one[name], other[name]) for name in drawn)


def test_distinct_statistics_keep_the_weights_and_the_size_of_activations() -> None:
    convolution, norms = nn.Conv2d(8, 8, 1), nn.Sequential(*(nn.BatchNorm2d(8) for _ in range(40)))
    before, images = convolution.weight.clone(), torch.randn(2, 8, 4, 4)
    distinct_statistics(nn.Sequential(norms, convolution).eval(), seed=0)
    assert torch.equal(convolution.weight, before)
    assert 0.3 < norms(images).std() / images.std() < 3
