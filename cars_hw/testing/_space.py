"""What every search space guarantees."""

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from cars_hw import spaces
from cars_hw.errors import ArchitectureError
from cars_hw.networks import architecture as text_form
from cars_hw.networks import operations
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import IMAGE, WEIGHTED_SUM, Graph
from cars_hw.spaces._space import Scale, SearchSpace
from cars_hw.strategies.evnas import decode, score_rows
from cars_hw.strategies.g_evonas import absent, stages
from devices.foundation import UnknownNameError
from latency_tables import OpSpec

_SCALES: tuple[Scale, ...] = ("search", "deploy")

#: By class of tests and plug-in.
_spaces: dict[tuple[type, str], SearchSpace] = {}


class SpaceContract:
    """Tests of a search space.

        class TestMySpace(SpaceContract):
            name = "my_lab.my_space"

            def space(self) -> SearchSpace:
                return spaces.load(self.name, cells=3)

    Attributes:
        name: The plug-in's.
    """

    name: str

    def space(self) -> SearchSpace:
        """Return the space; here, with its default settings."""
        return spaces.load(self.name)

    def _space(self) -> SearchSpace:
        """Return one space for all tests of a class: what it lists takes long to list."""
        key = type(self), self.name
        if key not in _spaces:
            _spaces[key] = self.space()
        return _spaces[key]

    def test_it_is_named_after_its_file(self) -> None:
        assert self._space().name == self.name

    def test_the_text_form_of_a_member_reads_back(self) -> None:
        choices = self._space().choices
        for member in _members(self._space()):
            assert text_form.from_text(text_form.to_text(member), choices) == member

    def test_a_sample_is_a_member_and_follows_from_the_generator(self) -> None:
        space = self._space()
        first, again = (
            [space.sample(rng) for _ in range(20)]
            for rng in (np.random.default_rng(4), np.random.default_rng(4))
        )
        assert first == again
        assert len(set(first)) > 1
        for member in first:
            assert text_form.checked(member, space.choices) == member
            assert all(type(option) is int for option in member)

    def test_every_tuple_of_options_is_a_well_formed_network(self) -> None:
        space = self._space()
        for member, scale in itertools.product(_members(space), _SCALES):
            graph = space.graph(member, scale)
            _assert_shapes_fit(graph)
            assert {(node.slot, node.spec) for node in graph.nodes} <= _weights(space, scale)
            assert set(graph.specs()) <= set(space.all_operations(scale))
            assert graph == space.graph(member, scale)

    def test_parts_if_told_apart_are_the_deployed_network_all_live_and_connected(self) -> None:
        space = self._space()
        for member in _members(space):
            specs = Counter(spec for part in space.parts(member) for spec in part.specs)
            graph = space.deployed(member)
            assert not specs or specs == Counter(graph.specs()) == Counter(graph.live.specs())
            assert not specs or graph.is_connected
            assert space.live_parameters(member) == graph.live.parameters()

    def test_the_image_and_the_classes_are_those_announced(self) -> None:
        space = self._space()
        for member in _members(space):
            nodes = space.graph(member, "search").nodes
            assert nodes[0].spec.input_shape == (1, *space.image_shape)
            assert operations.output_shape(nodes[-1].spec) == (1, space.classes)

    def test_each_weight_is_listed_once(self) -> None:
        space = self._space()
        for scale in _SCALES:
            nodes = list(space.all_nodes(scale))
            assert len(nodes) == len(_weights(space, scale))
            assert set(space.all_operations(scale)) == {node.spec for node in nodes}

    def test_every_option_of_every_decision_occurs_in_what_is_listed(self) -> None:
        space = self._space()
        seen: set[tuple[str, object]] = set()
        for decision, n in enumerate(space.choices):
            for option in range(n):
                member = tuple(
                    option if d == decision else min(option, m - 1) for d, m in enumerate(space.choices)
                )
                seen.update((node.slot, node.spec) for node in space.graph(member, "search").nodes)
        assert seen <= _weights(space, "search")

    def test_groups_partition_the_decisions(self) -> None:
        space = self._space()
        grouped = list(itertools.chain.from_iterable(space.groups))
        assert sorted(grouped) == list(range(len(space.choices)))

    def test_settings_rebuild_the_space(self) -> None:
        space = self._space()
        twin = spaces.load(self.name, **space.settings.values())
        assert twin.settings == space.settings
        assert (twin.choices, twin.groups, twin.image_shape, twin.classes) == (
            space.choices,
            space.groups,
            space.image_shape,
            space.classes,
        )
        member = space.sample(np.random.default_rng(0))
        assert all(twin.graph(member, scale) == space.graph(member, scale) for scale in _SCALES)

    def test_an_unknown_setting_is_refused(self) -> None:
        with pytest.raises(UnknownNameError, match="no_such_setting"):
            spaces.load(self.name, no_such_setting=1)

    def test_what_is_no_member_is_refused(self) -> None:
        space = self._space()
        for wrong in ((), (0,) * (len(space.choices) + 1), space.choices):
            with pytest.raises(ArchitectureError):
                space.graph(wrong)

    def test_a_space_allows_all_options_until_it_is_restricted(self) -> None:
        space = self._space()
        assert space.allowed == tuple(tuple(range(n)) for n in space.choices)
        assert space.restrict(space.allowed).size() == space.size()

    @pytest.mark.parametrize("seed", range(3))
    def test_a_restriction_samples_counts_and_lists_what_is_allowed(self, seed: int) -> None:
        space = self._space()
        smaller = _restricted(space, seed, 2)
        assert smaller.choices == space.choices
        assert smaller.size() == np.prod([float(len(options)) for options in smaller.allowed])
        rng = np.random.default_rng(seed)
        for scale in _SCALES:
            nodes = list(smaller.all_nodes(scale))
            listed = {(node.slot, node.spec) for node in nodes}
            assert len(listed) == len(nodes)
            assert listed <= _weights(space, scale)
            for _ in range(5):
                member = smaller.sample(rng)
                assert all(option in options for option, options in zip(member, smaller.allowed, strict=True))
                graph = smaller.graph(member, scale)
                assert graph == space.graph(member, scale)
                assert {(node.slot, node.spec) for node in graph.nodes} <= listed

    @pytest.mark.parametrize("seed", range(3))
    def test_a_restriction_to_one_architecture_lists_its_nodes_and_no_others(self, seed: int) -> None:
        space = self._space()
        (member,) = itertools.product(*_restricted(space, seed, 1).allowed)
        only = space.restrict([(option,) for option in member])
        assert only.size() == 1
        for scale in _SCALES:
            nodes = {(node.slot, node.spec) for node in space.graph(member, scale).nodes}
            assert {(node.slot, node.spec) for node in only.all_nodes(scale)} == nodes

    def test_a_restriction_restricts_further_and_never_back(self) -> None:
        smaller = _restricted(self._space(), 0, 2)
        one = _restricted(smaller, 1, 1)
        assert all(set(mine) <= set(its) for mine, its in zip(one.allowed, smaller.allowed, strict=True))
        with pytest.raises(ArchitectureError, match="is restricted to"):
            one.restrict(self._space().allowed)

    def test_what_is_no_restriction_is_refused(self) -> None:
        space = self._space()
        for wrong in ([], [(0,)], [()] * len(space.choices), [(max(space.choices),)] * len(space.choices)):
            with pytest.raises(ArchitectureError):
                space.restrict(wrong)

    def test_stages_partition_the_decisions_and_keep_groups_together(self) -> None:
        space = self._space()
        grown = list(itertools.chain.from_iterable(stages(space)))
        assert sorted(grown) == list(range(len(space.choices)))
        for group in space.groups:
            assert sum(not set(group).isdisjoint(stage) for stage in stages(space)) == 1

    def test_before_it_grows_a_network_is_cheaper_than_with_most_options_grown(self) -> None:
        space = self._space()
        base = absent(space)
        text_form.checked(base, space.choices)
        grown = [
            space.graph((*base[:d], option, *base[d + 1 :])).parameters()
            for d, n in enumerate(space.choices)
            for option in range(n)
            if option != base[d]
        ]
        assert space.graph(base).parameters() <= np.median(grown)

    @pytest.mark.parametrize("seed", range(5))
    def test_scores_decode_to_an_allowed_architecture(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for space in (self._space(), _restricted(self._space(), seed, 2)):
            scores = tuple(tuple(rng.random(n).tolist()) for n in score_rows(space))
            member = decode(space, scores)
            assert all(option in options for option, options in zip(member, space.allowed, strict=True))

    @pytest.mark.parametrize("seed", range(2))
    def test_soft_graphs_run_operations_of_the_space_with_positive_weights(self, seed: int) -> None:
        for space in (self._space(), _restricted(self._space(), seed, 2)):
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


def _members(space: SearchSpace, n: int = 20) -> Iterator[Architecture]:
    """Yield ``n`` tuples of options: the first of all decisions, the last, and random ones."""
    yield (0,) * len(space.choices)
    yield tuple(options - 1 for options in space.choices)
    rng = np.random.default_rng(0)
    for _ in range(n - 2):
        yield tuple(int(rng.integers(options)) for options in space.choices)


@cache
def _weights(space: SearchSpace, scale: Scale) -> frozenset[tuple[str, OpSpec]]:
    """Return each slot with each spec that its weights are of."""
    return frozenset((node.slot, node.spec) for node in space.all_nodes(scale))


def _assert_shapes_fit(graph: Graph) -> None:
    """Check that each node reads, of earlier nodes, tensors of the shapes that its spec says."""
    shapes: dict[str, tuple[int, ...]] = {IMAGE: graph.nodes[0].spec.input_shape}
    for node in graph.nodes:
        assert tuple(shapes[slot] for slot in node.inputs) == node.spec.input_shapes, node
        shapes[node.slot] = operations.output_shape(node.spec)


def _restricted(space: SearchSpace, seed: int, most: int) -> SearchSpace:
    """Return the space with up to ``most`` random options of each decision."""
    rng = np.random.default_rng(seed)
    return space.restrict(
        [
            sorted(int(option) for option in rng.choice(options, min(most, len(options)), replace=False))
            for options in space.allowed
        ]
    )
