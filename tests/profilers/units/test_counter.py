"""What a counter reads of a network."""

import pytest

from cars_hw.networks.graph import IMAGE as NAME_OF_IMAGE
from cars_hw.networks.graph import Node
from latency_tables.spec import OpSpec
from latency_tables.units.graph import IMAGE
from profilers.errors import ProfilingError
from profilers.units.counter import LiveNode, live_nodes

RELU, POOL = OpSpec.of("relu", (1, 8, 4, 4)), OpSpec.of("pool", (1, 8, 4, 4))


def test_nodes_that_do_not_reach_the_output_are_left_out_and_names_are_positions() -> None:
    nodes = [
        Node("stem", RELU, (NAME_OF_IMAGE,)),
        Node("dead", POOL, ("stem",)),
        Node("deader", RELU, ("dead",)),
        Node("pool", POOL, ("stem",)),
        Node("sum", OpSpec.of("sum", (1, 8, 4, 4), inputs=2), ("pool", "stem")),
    ]
    assert live_nodes(nodes) == (
        LiveNode(RELU, (IMAGE,)),
        LiveNode(POOL, (0,)),
        LiveNode(OpSpec.of("sum", (1, 8, 4, 4), inputs=2), (1, 0)),
    )


def test_networks_that_differ_in_names_alone_are_one() -> None:
    one = [Node("a", RELU, ("image",)), Node("b", POOL, ("a",))]
    other = [Node("x", RELU, ("picture",)), Node("y", POOL, ("x",))]
    assert live_nodes(one) == live_nodes(other)


def test_a_network_without_nodes_is_refused() -> None:
    with pytest.raises(ProfilingError, match="computes nothing"):
        live_nodes([])
