"""What every search space guarantees; a new one is tested by being a file of ``cars_hw/spaces``."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cars_hw import architecture as text_form
from cars_hw import layers, spaces
from cars_hw.graph import IMAGE, Graph, Node
from cars_hw.spaces._space import Scale, SearchSpace
from devices._errors import ArchitectureError, UnknownNameError

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
        shapes[node.slot] = layers.output_shape(node.spec)


@every_space
@few_examples
@given(data=st.data())
def test_the_image_and_the_classes_are_those_announced(name: str, data: st.DataObject) -> None:
    space = load(name)
    nodes = space.graph(data.draw(members(name)), "search").nodes
    assert nodes[0].spec.input_shape == (1, *space.image_shape)
    assert layers.output_shape(nodes[-1].spec) == (1, space.classes)


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
    twin = spaces.load(name, **space.settings())
    assert twin.settings() == space.settings()
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
