"""Where two networks that differ in some decisions come together again."""

from cars_hw.networks.joins import OUTPUT, Join, by_slot, changed, joins
from tests.fakes.chains import CONV3, CONV5, RESIDUAL, SKIP, ChainSpace, SubsetSpace

CHAIN = ChainSpace()


def between(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[Join, ...]:
    graph, other = CHAIN.graph(first), CHAIN.graph(second)
    return joins(graph, other, changed(graph, other))


def test_equal_networks_differ_nowhere() -> None:
    graph = CHAIN.graph((0, SKIP, CONV3, RESIDUAL))
    assert changed(graph, graph) == frozenset()
    assert joins(graph, graph, frozenset()) == ()


def test_two_operations_at_one_slot_join_where_it_is_read() -> None:
    assert between((0, CONV3, CONV3, CONV3), (0, CONV3, CONV5, CONV3)) == (
        Join("layer2", 0, "layer1", "layer1"),
    )


def test_an_operation_and_a_skip_join_in_the_next_operation() -> None:
    assert between((0, CONV3, CONV3, CONV3), (0, CONV3, SKIP, CONV3)) == (
        Join("layer2", 0, "layer1", "layer0"),
    )
    assert between((0, CONV3, SKIP, SKIP), (0, CONV3, SKIP, CONV5)) == (
        Join("classifier", 0, "layer0", "layer2"),
    )


def test_a_tensor_with_two_readers_joins_in_both() -> None:
    assert between((0, CONV3, RESIDUAL, SKIP), (0, CONV5, RESIDUAL, SKIP)) == (
        Join("layer1.expand", 0, "layer0", "layer0"),
        Join("layer1.sum", 0, "layer0", "layer0"),
    )


def test_an_option_of_several_operations_joins_behind_the_last() -> None:
    graph, other = CHAIN.graph((0, RESIDUAL, CONV3, SKIP)), CHAIN.graph((0, CONV3, CONV3, SKIP))
    assert changed(graph, other) == {"layer0.expand", "layer0.project", "layer0.sum"}
    assert joins(graph, other, changed(graph, other)) == (Join("layer1", 0, "layer0.sum", "layer0"),)


def test_a_larger_region_moves_the_join_behind_it() -> None:
    graph, other = CHAIN.graph((0, CONV3, CONV3, CONV3)), CHAIN.graph((0, CONV5, CONV3, CONV3))
    assert joins(graph, other, {"layer0", "layer1"}) == (Join("layer2", 0, "layer1", "layer1"),)


def test_what_differs_up_to_the_end_joins_in_the_output() -> None:
    space = ChainSpace(1, widths=(4, 6))
    graph, other = space.graph((0, CONV3)), space.graph((1, CONV3))
    assert changed(graph, other) == {"stem", "layer0", "classifier"}
    assert joins(graph, other, changed(graph, other)) == (Join(OUTPUT, 0, "classifier", "classifier"),)


def test_another_number_of_branches_joins_behind_their_sum() -> None:
    space = SubsetSpace()
    graph, other = space.graph((1, 1, 0, 0)), space.graph((0, 1, 0, 0))
    assert changed(graph, other) == {"layer0.branch0", "layer0.sum"}
    assert joins(graph, other, changed(graph, other)) == (Join("classifier", 0, "layer0.sum", "layer0.sum"),)


def test_nodes_are_found_by_their_slots() -> None:
    graph = CHAIN.graph((0, SKIP, CONV3, SKIP))
    assert list(by_slot(graph)) == ["stem", "layer1", "classifier"]
    assert by_slot(graph)["layer1"] is graph.nodes[1]
