"""What TFLite executes of every space's networks: counted by operations, and read from exported files."""

from collections.abc import Iterator

import numpy as np
import pytest

from cars_hw import spaces
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import network_spec
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from devices.cpu import Cpu
from profilers.runtimes._runtime import UnitCounter, Workload
from profilers.runtimes.tflite import TfLite
from tests.fakes.networks import learnt
from tests.fakes.small_spaces import small


def members(space: SearchSpace, n: int) -> Iterator[Architecture]:
    """Yield networks of one option everywhere, and ``n`` random ones."""
    for option in range(max(space.choices)):
        yield tuple(min(option, choices - 1) for choices in space.choices)
    rng = np.random.default_rng(0)
    for _ in range(n):
        yield space.sample(rng)


def exported(space: SearchSpace, member: Architecture) -> Workload:
    graph = space.deployed(member)
    return Workload(network_spec(graph), lambda: learnt(Network.untrained(graph), seed=0))


def assert_counted_as_exported(space: SearchSpace, member: Architecture, counter: UnitCounter) -> None:
    counted = counter.executed(space.deployed(member).nodes)
    assert counted == TfLite().executed(exported(space, member), Cpu.connect("")), member


@pytest.mark.parametrize("name", spaces.names())
def test_small_networks_are_counted_as_they_are_exported(name: str) -> None:
    space, counter = small(name), TfLite().counter(modules.build)
    for member in (*members(space, n=1),)[-2:]:
        assert_counted_as_exported(space, member, counter)


@pytest.mark.slow
@pytest.mark.parametrize("name", spaces.names())
def test_many_small_networks_are_counted_as_they_are_exported(name: str) -> None:
    space, counter = small(name), TfLite().counter(modules.build)
    for member in members(space, n=30):
        assert_counted_as_exported(space, member, counter)


@pytest.mark.slow
@pytest.mark.parametrize("name", spaces.names())
def test_networks_of_the_usual_size_are_counted_as_they_are_exported(name: str) -> None:
    space, counter = spaces.load(name), TfLite().counter(modules.build)
    for member in members(space, n=12):
        assert_counted_as_exported(space, member, counter)


@pytest.mark.slow
@pytest.mark.parametrize("name", spaces.names())
def test_each_unit_of_a_space_is_a_model_of_its_own(name: str) -> None:
    space, counter, device = small(name), TfLite().counter(modules.build), Cpu.connect("")
    units = {
        unit
        for member in members(space, n=12)
        for unit in counter.executed(space.deployed(member).nodes).counts
    }
    for unit in units:
        workload = counter.workload(unit)
        assert TfLite().executed(workload, device).counts == {unit: 1}
        with TfLite().prepare(workload, device) as sampler:
            assert sampler(1)[0] > 0
