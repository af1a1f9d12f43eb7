"""Statistics of batch normalisation: whose they are after a recalibration, and when they stay."""

import math

import pytest
import torch
from torch import nn

from cars_hw.weights.batch_norm import (
    frozen,
    recalibrate,
    reset_what_is_not_finite,
)


def test_recalibration_sets_statistics_to_those_of_the_images() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
    images = torch.randn(64, 1, 8, 8)
    recalibrate(network, images, batch_size=16)
    outputs = network[0](images)
    torch.testing.assert_close(network[1].running_mean, outputs.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert not network.training


def test_recalibration_weighs_every_image_alike_whatever_the_batch_size() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1))
    images = torch.zeros(66, 1, 4, 4)
    images[33:] = 1.0  # batches of 64 and 2 would give a mean of 0.74
    recalibrate(network, images, batch_size=64)
    torch.testing.assert_close(network[0].running_mean, torch.tensor([0.5]))


@pytest.mark.parametrize(("n", "batch_size"), [(65, 64), (2, 1), (3, 2), (7, 1)])
def test_recalibration_never_takes_one_image_alone(n: int, batch_size: int) -> None:
    network = nn.Sequential(nn.BatchNorm2d(3))
    recalibrate(network, torch.randn(n, 3, 1, 1), batch_size)
    assert not network.training


def test_frozen_statistics_stay_while_batches_normalise_themselves() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3)).train()
    network(torch.randn(8, 3, 2, 2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = torch.randn(8, 3, 2, 2) * 5 + 3
    with frozen(network):
        outputs = network(images)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    torch.testing.assert_close(outputs.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    network(images)
    assert not torch.equal(network.state_dict()["0.running_mean"], before["0.running_mean"])


def test_an_error_thaws_them() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match="4D"), frozen(network):
        network(torch.zeros(2))
    assert network[0].track_running_stats


def test_only_statistics_that_are_not_finite_are_reset() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2)).train()
    network(torch.randn(4, 2, 3, 3))
    kept = network.state_dict()["1.running_mean"].clone()
    network[0](torch.full((4, 2, 3, 3), math.inf))
    reset_what_is_not_finite(network)
    assert torch.equal(network.state_dict()["0.running_mean"], torch.zeros(2))
    assert torch.equal(network.state_dict()["1.running_mean"], kept)
