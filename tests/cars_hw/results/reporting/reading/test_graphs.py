"""Drawings of architectures: every operation that is executed is in one of the parts, once."""

import numpy as np
import pytest

from cars_hw import spaces
from cars_hw.results.reporting.reading.graphs import drawing, label
from latency_tables import OpSpec


@pytest.mark.parametrize("name", spaces.names())
def test_the_parts_stand_for_every_operation_of_the_live_network(name: str) -> None:
    space = spaces.load(name)
    graph = space.deployed(space.sample(np.random.default_rng(1)))
    whole, *cells = drawing(graph)
    in_cells = sum(part.times for part in cells)
    assert len(whole.nodes) - in_cells + sum(part.times * len(part.nodes) for part in cells) == len(
        graph.live.nodes
    )
    for part in (whole, *cells):
        assert len({node.id for node in part.nodes}) == len(part.nodes)


@pytest.mark.parametrize("name", spaces.names())
def test_a_part_reads_what_comes_before_or_from_outside(name: str) -> None:
    space = spaces.load(name)
    for part in drawing(space.deployed(space.sample(np.random.default_rng(2)))):
        ids = [node.id for node in part.nodes]
        for place, node in enumerate(part.nodes):
            assert not set(node.inputs) & set(ids[place:])
    assert part.nodes[-1].id == ids[-1]


def test_cells_that_are_alike_are_drawn_once() -> None:
    space = spaces.load("nasbench201", cells=5)
    whole, cell = drawing(space.deployed((3, 0, 1, 0, 2, 4)))
    assert cell.times == 15
    assert cell.title == "cell A: stage0 cell0, stage0 cell1, stage0 cell2, stage0 cell3, ..."
    assert sum(node.label == "cell A" for node in whole.nodes) == 15


def test_a_label_tells_kind_kernel_and_what_is_unusual() -> None:
    spec = OpSpec.of("inverted_residual", (1, 8, 32, 32), expansion=6, kernel=5, out=12, stride=2)
    assert label(spec) == "inverted residual 5x5 x6 /2"
    assert label(OpSpec.of("sum", (1, 8, 32, 32), inputs=2)) == "sum"
