"""Peak memory, by hand and by playing the network tensor by tensor."""

import math

import numpy as np
import pytest

from cars_hw import spaces
from cars_hw.networks import operations
from cars_hw.networks.graph import IMAGE, Graph
from cars_hw.networks.layers import BatchNorm, Relu, Relu6, shape_after
from cars_hw.objectives import PeakMemoryBytes
from cars_hw.testing._tabular import TinySpace
from latency_tables import OpSpec
from tests.fakes.chains import RESIDUAL, SKIP, ChainSpace


def test_of_a_chain_it_is_what_one_layer_reads_and_writes() -> None:
    # 4x8x8 images; each node has 4 x 4 weights and 8 of normalisation.
    assert PeakMemoryBytes(TinySpace())((0, 0, 0, 0)) == 4 * (2 * 256 + 4 * 24)


def test_what_a_later_node_reads_is_held_until_then() -> None:
    # While 6 channels become 4, what the residual adds is held: 6 + 4 + 4 channels of 4x4.
    space = ChainSpace(n_layers=1)
    stem, expand, project, classifier = 2 * 4 + 8, 4 * 6 + 12, 6 * 4 + 8, 4 * 3 + 3
    weights = stem + expand + project + classifier
    assert PeakMemoryBytes(space)((0, RESIDUAL)) == 4 * (16 * (6 + 4 + 4) + weights)
    assert PeakMemoryBytes(space)((0, SKIP)) == 4 * (16 * (2 + 4) + stem + classifier)


def test_tensors_inside_an_operation_count() -> None:
    spec = OpSpec.of("inverted_residual", (1, 2, 4, 4), out=2, expansion=6, kernel=3, stride=1)
    assert operations.tensor_shapes(spec) == ((1, 12, 4, 4), (1, 12, 4, 4), (1, 2, 4, 4))
    rectified = OpSpec.of("call_overhead", (1, 2, 4, 4))
    assert operations.tensor_shapes(rectified) == ((1, 2, 4, 4),)


@pytest.mark.parametrize("name", spaces.names())
def test_it_equals_the_peak_of_the_network_played_tensor_by_tensor(name: str) -> None:
    space = spaces.load(name)
    rng = np.random.default_rng(3)
    for _ in range(3):
        member = space.sample(rng)
        graph = space.graph(member, "deploy")
        expected = 4 * (played_elements(graph) + graph.live.parameters())
        assert PeakMemoryBytes(space)(member) == expected


def played_elements(graph: Graph) -> int:
    """Write down every layer with what it reads and writes, then hold each tensor up to its last reader."""
    output = graph.nodes[-1].slot
    needed = reaching(graph, output)
    sizes = {IMAGE: math.prod(graph.nodes[0].spec.input_shape)}
    steps: list[tuple[list[str], str]] = []
    for node in graph.nodes:
        if node.slot not in needed:
            continue
        shape, reads = node.spec.input_shape, list(node.inputs)
        layers = operations.layers_of(node.spec)
        moves = [i for i, layer in enumerate(layers) if not isinstance(layer, BatchNorm | Relu | Relu6)]
        for i, layer in enumerate(layers):
            shape = shape_after(layer, shape, n_inputs=len(node.inputs))
            if i in moves:
                writes = node.slot if i == moves[-1] else f"{node.slot}/{i}"
                sizes[writes] = math.prod(shape)
                steps.append((reads, writes))
                reads = [writes]
    first = {IMAGE: -1} | {writes: step for step, (_, writes) in enumerate(steps)}
    last = first | {tensor: step for step, (reads, _) in enumerate(steps) for tensor in reads}
    return max(
        sum(size for tensor, size in sizes.items() if first[tensor] <= step <= last[tensor])
        for step in range(len(steps))
    )


def reaching(graph: Graph, slot: str) -> set[str]:
    nodes = {node.slot: node for node in graph.nodes}
    found, pending = set(), [slot]
    while pending:
        found.add(slot := pending.pop())
        pending += [] if slot == IMAGE else [before for before in nodes[slot].inputs if before not in found]
    return found
