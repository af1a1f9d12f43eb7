import subprocess
import sys

import pytest

from cars_hw.errors import ArchitectureError
from cars_hw.networks.graph import IMAGE, Graph, Node, network_spec, unique_specs
from latency_tables.spec import OpSpec

CONV = OpSpec.of("relu_conv_bn", (1, 4, 8, 8), out=4, kernel=1, stride=1, affine=1)
SUM = OpSpec.of("sum", (1, 4, 8, 8), inputs=2)


def diamond_with_a_dead_branch() -> Graph:
    return Graph(
        (
            Node("a", CONV, (IMAGE,)),
            Node("dead", CONV, ("a",)),
            Node("deader", CONV, ("dead",)),
            Node("b", CONV, ("a",)),
            Node("out", SUM, ("a", "b")),
        )
    )


def test_a_node_may_read_only_earlier_nodes() -> None:
    with pytest.raises(ArchitectureError, match="'a'"):
        Graph((Node("a", CONV, ("b",)), Node("b", CONV, (IMAGE,))))


def test_a_slot_may_occur_only_once() -> None:
    with pytest.raises(ArchitectureError, match="'a'"):
        Graph((Node("a", CONV, (IMAGE,)), Node("a", CONV, (IMAGE,))))


def test_a_graph_has_nodes() -> None:
    with pytest.raises(ArchitectureError, match="no output"):
        Graph(())


def test_live_drops_what_does_not_reach_the_output() -> None:
    live = diamond_with_a_dead_branch().live
    assert [node.slot for node in live.nodes] == ["a", "b", "out"]
    assert live.live == live


def test_what_a_runtime_executes_goes_by_its_name() -> None:
    graph = diamond_with_a_dead_branch()
    assert graph.executed("live") == graph.live
    assert graph.executed("whole") == graph


def test_a_graph_whose_output_is_made_of_zeros_is_not_connected() -> None:
    zero = Node("zero", OpSpec.of("zero", (1, 4, 8, 8), out=4, stride=1), (IMAGE,))
    conv = Node("conv", CONV, (IMAGE,))
    assert not Graph((conv, zero, Node("out", CONV, ("zero",)))).is_connected
    assert Graph((conv, zero, Node("out", SUM, ("zero", "conv")))).is_connected
    assert diamond_with_a_dead_branch().is_connected


def test_dead_nodes_count_in_parameters_and_macs() -> None:
    graph = diamond_with_a_dead_branch()
    assert graph.parameters() == 4 * (4 * 4 + 2 * 4)
    assert graph.macs() == 4 * (4 * 4 * 8 * 8)
    assert graph.live.parameters() == 2 * (4 * 4 + 2 * 4)


def test_every_tensor_is_released_once_after_its_last_reader() -> None:
    graph = diamond_with_a_dead_branch()
    assert graph.releases == ((IMAGE,), (), ("dead", "deader"), (), ("a", "b"))


def test_a_tensor_read_twice_by_one_node_is_released_once() -> None:
    graph = Graph((Node("a", CONV, (IMAGE,)), Node("out", SUM, ("a", "a"))))
    assert graph.releases == ((IMAGE,), ("a",))


def test_the_key_of_a_network_follows_from_its_nodes_alone() -> None:
    graph = diamond_with_a_dead_branch()
    key = network_spec(graph)
    assert key == network_spec(diamond_with_a_dead_branch())
    assert key != network_spec(graph.live)
    assert key.kind == "network"
    assert key.input_shape == (1, 4, 8, 8)
    assert OpSpec.parse(str(key)) == key


def test_the_key_of_a_network_is_the_same_in_every_process() -> None:
    program = (
        "from cars_hw.spaces import load\n"
        "from cars_hw.networks.graph import network_spec\n"
        "space = load('darts')\n"
        "print(network_spec(space.graph((0,) * len(space.choices))))\n"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


def test_unique_specs_keep_the_order_of_first_occurrence() -> None:
    assert unique_specs(diamond_with_a_dead_branch().nodes) == (CONV, SUM)
