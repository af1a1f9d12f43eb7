"""What all spaces inherit."""

import gc
import weakref

import pytest

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph
from cars_hw.objectives import Macs, Parameters, PeakMemoryBytes
from cars_hw.spaces import Scale
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.testing._tabular import TinySpace


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
