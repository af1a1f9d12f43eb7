"""Networks stitched to be counted or measured are executed as exported ones: every space, ONNX Runtime."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from torch import nn

from cars_hw import spaces
from cars_hw.latency.contents import network_workload
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph, network_spec
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from devices.cpu import Cpu
from latency_tables import Unit
from profilers import Workload, runtimes
from tests.fakes.networks import learnt
from tests.fakes.small_spaces import small


def members(space: SearchSpace, n: int) -> Iterator[Architecture]:
    """Yield the first, second, ... option everywhere, with degenerate networks, and ``n`` random ones."""
    for option in range(max(space.choices)):
        yield tuple(min(option, options - 1) for options in space.choices)
    rng = np.random.default_rng(20)
    for _ in range(n):
        yield space.sample(rng)


def require_equal(space: SearchSpace, architectures: Iterator[Architecture]) -> None:
    """Check that networks of all ``architectures`` are executed alike: counted, measured and exported."""
    runtime, device = runtimes.load("onnxruntime"), Cpu.connect("")
    counter = runtime.counter(modules.build)
    for seed, architecture in enumerate(dict.fromkeys(architectures)):
        graph = space.deployed(architecture)
        key, build = network_spec(graph), partial(network, graph, seed)
        counts = counter.executed(graph.nodes).counts
        assert counts == runtime.executed(Workload(key, build), device).counts, architecture
        as_whole = Workload(key, partial(undivided, build))
        assert counts == runtime.executed(as_whole, device).counts, architecture


def network(graph: Graph, seed: int) -> nn.Module:
    return learnt(Network.untrained(graph), seed)


def undivided(build: Callable[[], nn.Module]) -> nn.Module:
    """Return a module that does not tell what it is made of: it is exported as a whole."""
    return nn.Sequential(build())


@pytest.mark.parametrize("name", spaces.names())
def test_a_few_small_networks_of_a_space_are_counted_as_exported(name: str) -> None:
    space = small(name)
    require_equal(space, iter([*members(space, 1)][-2:]))


@pytest.mark.parametrize("is_distinct", [True, False])
@pytest.mark.parametrize("name", spaces.names())
def test_untrained_networks_that_are_measured_are_executed_as_exported(name: str, is_distinct: bool) -> None:
    space = small(name)
    runtime, device = runtimes.load("onnxruntime", batch=2), Cpu.connect("")
    for architecture in [*members(space, 1)][-2:]:
        workload = replace(network_workload(space, architecture, is_distinct=is_distinct), recipe="")
        build = workload.source
        assert callable(build)
        as_whole = replace(workload, source=partial(undivided, build))
        one, other = (runtime.executed(each, device).counts for each in (workload, as_whole))
        assert one == other, architecture


@pytest.mark.slow
@pytest.mark.parametrize("name", spaces.names())
def test_many_small_networks_of_a_space_are_counted_as_exported(name: str) -> None:
    space = small(name)
    require_equal(space, members(space, 15))


#: As people search them.
USUAL: dict[str, list[dict[str, int | str]]] = {
    "darts": [
        {"deploy": "search", "channels": 8, "cells": 3, "stem_stride": 2, "image_channels": 1},
        {"deploy": "search", "channels": 16, "cells": 8},
        {"deploy": "cifar"},
    ],
    "mobilenet": [{"deploy": "search"}, {"deploy": "imagenet"}],
    "nasbench201": [{"deploy": "search"}, {"deploy": "nasbench201"}],
    "nse": [{"deploy": "search"}, {"deploy": "imagenet", "variant": "nsenet-gpu"}],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"), [(name, settings) for name, each in USUAL.items() for settings in each]
)
def test_networks_of_usual_size_are_counted_as_exported(name: str, settings: dict[str, int | str]) -> None:
    space = spaces.load(name, **settings)
    require_equal(space, members(space, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", spaces.names())
def test_every_unit_of_a_space_is_measured_alone(name: str) -> None:
    space = small(name)
    runtime, device = runtimes.load("onnxruntime"), Cpu.connect("")
    counter = runtime.counter(modules.build)
    units = {
        unit
        for architecture in members(space, 5)
        for unit in counter.executed(space.deployed(architecture).nodes).counts
    }
    for unit in sorted(units, key=str):
        assert Unit.of(unit).spec() == unit
        with device.quiet(1), runtime.prepare(counter.workload(unit), device) as sampler:
            assert sampler(1)[0] > 0
