"""What every search space guarantees; a new one is tested by being a file of ``cars_hw/spaces``."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cars_hw import spaces
from cars_hw.errors import ArchitectureError
from cars_hw.networks import architecture as text_form
from cars_hw.networks import operations
from cars_hw.networks.graph import IMAGE, WEIGHTED_SUM, Graph, Node
from cars_hw.spaces._space import Scale, SearchSpace
from cars_hw.strategies.evnas import decode, places
from cars_hw.strategies.g_evonas import absent, stages
from devices.foundation.errors import UnknownNameError

SCALES: tuple[Scale, ...] = ("search", "deploy")
every_space = pytest.mark.parametrize("name", spaces.names())
few_examples = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@cache
def load(name: str) -> SearchSpace:
    return spaces.load(name)


@cache
def weights(name: str, scale: Scale) -> frozenset[tuple[str, object]]:
    return frozenset((node.slot, node.spec) for node in load(name).all_nodes(scale))


def members(name: str) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(0, n - 1) for n in load(name).choices))


@every_space
def test_it_is_named_after_its_file(name: str) -> None:
    assert load(name).name == name


@every_space
@few_examples
@given(data=st.data())
def test_the_text_form_of_a_member_reads_back(name: str, data: st.DataObject) -> None:
    member = data.draw(members(name))
    assert text_form.from_text(text_form.to_text(member), load(name).choices) == member


@every_space
def test_a_sample_is_a_member_and_follows_from_the_generator(name: str) -> None:
    space = load(name)
    first, again = (
        [space.sample(rng) for _ in range(20)] for rng in (np.random.default_rng(4), np.random.default_rng(4))
    )
    assert first == again
    assert len(set(first)) > 1
    for member in first:
        assert text_form.checked(member, space.choices) == member
        assert all(type(option) is int for option in member)


@every_space
@few_examples
@given(data=st.data())
def test_every_tuple_of_options_is_a_well_formed_network(name: str, data: st.DataObject) -> None:
    space, member = load(name), data.draw(members(name))
    for scale in SCALES:
        graph = space.graph(member, scale)
        assert_shapes_fit(graph)
        assert {(node.slot, node.spec) for node in graph.nodes} <= weights(name, scale)
        assert set(graph.specs()) <= set(space.all_operations(scale))
        assert graph == space.graph(member, scale)


def assert_shapes_fit(graph: Graph) -> None:
    """Check that each node reads, of earlier nodes, tensors of the shapes that its spec says."""
    shapes: dict[str, tuple[int, ...]] = {IMAGE: graph.nodes[0].spec.input_shape}
    for node in graph.nodes:
        assert tuple(shapes[slot] for slot in node.inputs) == node.spec.input_shapes, node
        shapes[node.slot] = operations.output_shape(node.spec)


@every_space
@few_examples
@given(data=st.data())
def test_the_image_and_the_classes_are_those_announced(name: str, data: st.DataObject) -> None:
    space = load(name)
    nodes = space.graph(data.draw(members(name)), "search").nodes
    assert nodes[0].spec.input_shape == (1, *space.image_shape)
    assert operations.output_shape(nodes[-1].spec) == (1, space.classes)


@every_space
def test_each_weight_is_listed_once(name: str) -> None:
    for scale in SCALES:
        nodes: list[Node] = list(load(name).all_nodes(scale))
        assert len(nodes) == len(weights(name, scale))
        assert set(load(name).all_operations(scale)) == {node.spec for node in nodes}


@every_space
def test_every_option_of_every_decision_occurs_in_what_is_listed(name: str) -> None:
    space = load(name)
    seen: set[tuple[str, object]] = set()
    for decision, n in enumerate(space.choices):
        for option in range(n):
            member = tuple(
                option if d == decision else min(option, m - 1) for d, m in enumerate(space.choices)
            )
            seen.update((node.slot, node.spec) for node in space.graph(member, "search").nodes)
    assert seen <= weights(name, "search")


@every_space
def test_groups_partition_the_decisions(name: str) -> None:
    space = load(name)
    grouped = list(itertools.chain.from_iterable(space.groups))
    assert sorted(grouped) == list(range(len(space.choices)))


@every_space
def test_settings_rebuild_the_space(name: str) -> None:
    space = load(name)
    twin = spaces.load(name, **space.settings.values())
    assert twin.settings == space.settings
    assert (twin.choices, twin.groups, twin.image_shape, twin.classes) == (
        space.choices,
        space.groups,
        space.image_shape,
        space.classes,
    )
    member = space.sample(np.random.default_rng(0))
    assert all(twin.graph(member, scale) == space.graph(member, scale) for scale in SCALES)


@every_space
def test_an_unknown_setting_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="no_such_setting"):
        spaces.load(name, no_such_setting=1)


@every_space
def test_what_is_no_member_is_refused(name: str) -> None:
    space = load(name)
    for wrong in ((), (0,) * (len(space.choices) + 1), space.choices):
        with pytest.raises(ArchitectureError):
            space.graph(wrong)


def restricted(space: SearchSpace, seed: int, most: int) -> SearchSpace:
    """Return the space with up to ``most`` random options of each decision."""
    rng = np.random.default_rng(seed)
    return space.restrict(
        [
            sorted(int(option) for option in rng.choice(options, min(most, len(options)), replace=False))
            for options in space.allowed
        ]
    )


@every_space
def test_a_space_allows_all_options_until_it_is_restricted(name: str) -> None:
    space = load(name)
    assert space.allowed == tuple(tuple(range(n)) for n in space.choices)
    assert space.restrict(space.allowed).size() == space.size()


@every_space
@pytest.mark.parametrize("seed", range(3))
def test_a_restriction_samples_counts_and_lists_what_is_allowed(name: str, seed: int) -> None:
    space = load(name)
    smaller = restricted(space, seed, 2)
    assert smaller.choices == space.choices
    assert smaller.size() == np.prod([float(len(options)) for options in smaller.allowed])
    rng = np.random.default_rng(seed)
    for scale in SCALES:
        nodes = list(smaller.all_nodes(scale))
        listed = {(node.slot, node.spec) for node in nodes}
        assert len(listed) == len(nodes)
        assert listed <= weights(name, scale)
        for _ in range(5):
            member = smaller.sample(rng)
            assert all(option in options for option, options in zip(member, smaller.allowed, strict=True))
            graph = smaller.graph(member, scale)
            assert graph == space.graph(member, scale)
            assert {(node.slot, node.spec) for node in graph.nodes} <= listed


@every_space
@pytest.mark.parametrize("seed", range(3))
def test_a_restriction_to_one_architecture_lists_its_nodes_and_no_others(name: str, seed: int) -> None:
    space = load(name)
    (member,) = itertools.product(*restricted(space, seed, 1).allowed)
    only = space.restrict([(option,) for option in member])
    assert only.size() == 1
    for scale in SCALES:
        nodes = {(node.slot, node.spec) for node in space.graph(member, scale).nodes}
        assert {(node.slot, node.spec) for node in only.all_nodes(scale)} == nodes


@every_space
def test_a_restriction_restricts_further_and_never_back(name: str) -> None:
    smaller = restricted(load(name), 0, 2)
    one = restricted(smaller, 1, 1)
    assert all(set(mine) <= set(its) for mine, its in zip(one.allowed, smaller.allowed, strict=True))
    with pytest.raises(ArchitectureError, match="is restricted to"):
        one.restrict(load(name).allowed)


@every_space
def test_what_is_no_restriction_is_refused(name: str) -> None:
    space = load(name)
    for wrong in ([], [(0,)], [()] * len(space.choices), [(max(space.choices),)] * len(space.choices)):
        with pytest.raises(ArchitectureError):
            space.restrict(wrong)


@every_space
def test_stages_partition_the_decisions_and_keep_groups_together(name: str) -> None:
    space = load(name)
    grown = list(itertools.chain.from_iterable(stages(space)))
    assert sorted(grown) == list(range(len(space.choices)))
    for group in space.groups:
        assert sum(not set(group).isdisjoint(stage) for stage in stages(space)) == 1


@every_space
def test_before_it_grows_a_network_is_cheaper_than_with_most_options_grown(name: str) -> None:
    space = load(name)
    base = absent(space)
    text_form.checked(base, space.choices)
    grown = [
        space.graph((*base[:d], option, *base[d + 1 :])).parameters()
        for d, n in enumerate(space.choices)
        for option in range(n)
        if option != base[d]
    ]
    assert space.graph(base).parameters() <= np.median(grown)


@every_space
@pytest.mark.parametrize("seed", range(5))
def test_scores_decode_to_an_allowed_architecture(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for space in (load(name), restricted(load(name), seed, 2)):
        scores = tuple(tuple(rng.random(n).tolist()) for n in places(space))
        member = decode(space, scores)
        assert all(option in options for option, options in zip(member, space.allowed, strict=True))


@every_space
@pytest.mark.parametrize("seed", range(2))
def test_soft_graphs_run_operations_of_the_space_with_positive_weights(name: str, seed: int) -> None:
    for space in (load(name), restricted(load(name), seed, 2)):
        soft = space.soft_graph(space.sample(np.random.default_rng(seed)))
        present = {(node.slot, node.spec) for node in space.all_nodes("search")}
        shapes: dict[str, tuple[int, ...]] = {IMAGE: (1, *space.image_shape)}
        for node in soft.graph.nodes:
            assert tuple(shapes[slot] for slot in node.inputs) == node.spec.input_shapes, node
            if node.spec.kind == WEIGHTED_SUM:
                assert len(soft.weights[node.slot]) == len(node.inputs)
                assert all(0 < weight <= 1 for weight in soft.weights[node.slot])
                shapes[node.slot] = node.spec.input_shape
            else:
                original = soft.original(node)
                assert (original.slot, original.spec) in present
                shapes[node.slot] = operations.output_shape(node.spec)
        assert shapes[soft.graph.nodes[-1].slot] == (1, space.classes)
