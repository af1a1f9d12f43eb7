"""What all spaces inherit."""

import gc
import weakref

import numpy as np
import pytest
import torch

from cars_hw import spaces
from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph
from cars_hw.objectives import Macs, Parameters, PeakMemoryBytes
from cars_hw.spaces import ImageSettings, Scale
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.testing._tabular import TinySpace
from cars_hw.weights.supernet import SuperNet
from devices.foundation import ConfigError
from profilers import formats


class Witness(TinySpace):
    """Counts how often a network is spelled out."""

    spelled = 0

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        self.spelled += 1
        return super().graph(architecture, scale)


def test_the_deployed_network_is_spelled_out_once_for_all_its_costs() -> None:
    space = Witness()
    for objective in (Parameters(space), Macs(space), PeakMemoryBytes(space)):
        objective((1, 0, 1, 0))
    assert space.spelled == 1
    assert space.deployed((1, 0, 1, 0)) == space.graph((1, 0, 1, 0), "deploy")


def test_few_networks_are_remembered() -> None:
    space = Witness((40, 40), ((0,), (1,)))
    first = weakref.ref(space.deployed((0, 0)))
    for member in range(1, 1000):
        space.deployed((member % 40, member // 40))
    gc.collect()
    assert first() is None


def test_what_is_no_member_is_never_remembered() -> None:
    for _ in range(2):
        with pytest.raises(ArchitectureError):
            TinySpace().deployed((9, 9))


def test_a_space_shows_its_settings_and_how_far_it_is_restricted() -> None:
    space = Nasbench201(deploy="search", channels=8)
    shown = "deploy='search', channels=8, cells=5, image_size=32"
    assert repr(space) == f"Nasbench201(image_channels=3, classes=10, {shown})"
    assert repr(space.restrict([(0,)] * 6)) == f"{space!r} restricted to 6 of 30 options"


def test_a_graph_shows_its_size_and_its_ends() -> None:
    graph = TinySpace().graph((0, 0, 0, 1))
    first, *_, last = graph.specs()
    assert repr(graph) == f"Graph(4 nodes, from {first} to {last})"


#: Of each space, settings of a small search graph and a size that it takes.
_SMALL: dict[str, dict[str, int | str]] = {
    "darts": {"channels": 4, "cells": 3, "image_size": 16},
    "mobilenet": {"channels": 8, "layers": 1, "image_size": 20},
    "nasbench201": {"channels": 4, "cells": 1, "image_size": 16},
    "nse": {"channels": 4, "stages": 2, "depth": 1, "image_size": 12},
}


def test_every_space_has_settings_of_a_small_network() -> None:
    assert set(_SMALL) == set(spaces.names())


@pytest.mark.parametrize("name", spaces.names())
def test_images_that_are_not_square_go_through_every_space_and_both_formats(name: str) -> None:
    space = spaces.load(name, deploy="search", image_width=28, **_SMALL[name])
    assert space.image_shape == (3, _SMALL[name]["image_size"], 28)
    architecture = space.sample(np.random.default_rng(1))
    assert space.graph(architecture).specs()[0].input_shape == (1, *space.image_shape)
    network = SuperNet(space, seed=0).extract(architecture).eval()
    images = torch.randn(1, *space.image_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(images).numpy()
    assert expected.shape == (1, 10)
    for format_name in ("onnx", "tflite"):
        made_by = formats.load(format_name)
        content = made_by.lower(network, [tuple(images.shape)])
        np.testing.assert_allclose(made_by.run(content, images.numpy()), expected, atol=1e-4)


def test_a_width_is_bounded_as_a_height_is() -> None:
    assert Nasbench201(deploy="search", image_size=8, image_width=8).image_shape == (3, 8, 8)
    for width, reason in ((30, "a multiple of 4"), (0, "greater than or equal to 4"), (10**6, "less than")):
        with pytest.raises(ConfigError, match=f"image_width is {width}; as for image_size: .*{reason}"):
            Nasbench201(deploy="search", image_width=width)
    with pytest.raises(ConfigError, match=r"image_width is 12; as for image_size: .* a multiple of 8"):
        spaces.load("darts", stem_stride=2, image_width=12)


class _Unsized(ImageSettings):
    """Settings of a space whose images have one size."""


def test_a_space_without_a_height_takes_no_width() -> None:
    with pytest.raises(ConfigError, match="image_width goes with a setting image_size"):
        _Unsized.checked("mine", {"image_width": 8})
