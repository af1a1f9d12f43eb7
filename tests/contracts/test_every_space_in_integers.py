"""What TFLite executes of networks of 8-bit integers: counted, and read from what the quantizer wrote."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cars_hw import spaces
from cars_hw.networks.graph import Graph
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from latency_tables import ExecutedGraph, OpSpec
from profilers.errors import UnsupportedOperationError
from profilers.lowering._tflite.reading import read
from profilers.lowering._tflite.units import executed
from profilers.lowering.int8 import quantize
from profilers.lowering.tflite import lower
from profilers.runtimes.tflite import TfLite
from tests.fakes.networks import random_images
from tests.fakes.small_spaces import small

_NETWORKS = 12


def quantized(space: SearchSpace, graph: Graph, seed: int) -> ExecutedGraph:
    """Return what the quantizer makes of a network whose ranges are those of random images.

    Of two equal pools of one tensor the statistics would be equal, and one of both would be executed.
    """
    network = Network.untrained(graph, seed=seed).train()
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    images = random_images(space, n=8, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        network(images)
        for mean in (norm.running_mean for norm in norms if norm.running_mean is not None):
            mean.add_(0.01 * torch.randn(mean.shape, generator=generator))
    model = lower(network.eval(), [graph.nodes[0].spec.input_shape])
    return executed(*read(quantize(model, images[:4].numpy())))


def differences(one: ExecutedGraph, other: ExecutedGraph) -> Counter[OpSpec]:
    """Return how much more often each unit occurs in ``one`` than in ``other``."""
    difference = Counter(one.counts)
    difference.subtract(other.counts)
    return Counter({unit: n for unit, n in difference.items() if n})


@pytest.mark.slow
@pytest.mark.parametrize("name", spaces.names())
def test_counts_are_the_quantizers_but_for_ranges_that_happen_to_be_equal(name: str) -> None:
    space, counter, rng = small(name), TfLite().counter(modules.build), np.random.default_rng(5)
    equal: list[bool] = []
    for seed in range(3 * _NETWORKS):
        graph = space.deployed(space.sample(rng))
        nodes = [replace(node, spec=replace(node.spec, dtype="int8")) for node in graph.nodes]
        try:
            written = quantized(space, graph, seed)
        except UnsupportedOperationError:  # of weights that are all zero, say
            continue
        counted = counter.executed(nodes)
        found = differences(counted, written)
        joins = sum(n for unit, n in counted.counts.items() if unit.kind == "unit.CONCATENATION")
        assert {unit.kind for unit in found} <= {"unit.QUANTIZE"}
        assert all(n > 0 for n in found.values()), found
        assert found.total() <= joins
        equal.append(not found)
        if len(equal) == _NETWORKS:
            break
    assert len(equal) == _NETWORKS
    assert sum(equal) >= _NETWORKS / 2
