"""A recipe is another one wherever a network's module may be another one, and the same wherever it is not."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from cars_hw import spaces
from cars_hw.latency.contents import network_workload
from cars_hw.latency.counting import CountedHere, unit_counter
from cars_hw.latency.recipes import recipe
from cars_hw.networks import kinds, operations
from cars_hw.networks.graph import Graph, Node
from cars_hw.networks.layers import Layer, Relu, Relu6
from cars_hw.testing._tabular import TinySpace
from latency_tables import ExecutedGraph, OpSpec
from profilers import NetworkNode, Setup, UnitCounter, UnsupportedOperationError, Workload, runtimes

_SPACE = TinySpace((4, 3, 4))
_SPEC = OpSpec.of("conv_bn", (1, 4, 8, 8), out=4, kernel=3, stride=1, affine=1)


def test_equal_networks_have_equal_recipes_and_lower_to_equal_bytes(own_cache: Path) -> None:
    one, other = (network_workload(TinySpace((4, 3, 4)), (1, 2, 3)) for _ in range(2))
    assert one.recipe == other.recipe
    runtime = runtimes.load("onnxruntime")
    contents = [runtime.lowered(Workload(each.spec, each.source)).content for each in (one, other)]
    assert contents[0] == contents[1] == runtime.lowered(one).content


def test_every_difference_between_networks_is_one_of_their_recipes() -> None:
    graphs = [
        Graph((Node("a", _SPEC, ("image",)), Node("b", _SPEC, ("a",)))),
        Graph((Node("a", _SPEC, ("image",)), Node("b", _SPEC, ("image",)))),
        Graph((Node("a", _SPEC, ("image",)), Node("c", _SPEC, ("a",)))),
        Graph((Node("a", _SPEC, ("image",)),)),
    ]
    found = {recipe(graph) for graph in graphs} | {recipe(graphs[0], "otherwise")}
    assert len(found) == len(graphs) + 1


def test_batch_norms_that_are_all_alike_have_a_recipe_of_their_own() -> None:
    ones = [network_workload(_SPACE, (0, 0, 0), is_distinct=each).recipe for each in (True, False)]
    assert ones[0] != ones[1]


class Changing(kinds.OperationKind):
    """A kind from outside whose file was edited between two runs."""

    name = "changing"
    layer: Layer = Relu()

    def layers(self, spec: OpSpec, /) -> tuple[Layer, ...]:
        return (self.layer,)


def test_the_same_word_for_other_layers_is_another_recipe() -> None:
    spec = OpSpec.of("changing", (1, 4, 8, 8))
    kinds.load_kinds([__name__])
    graph, found = Graph((Node("a", spec, ("image",)),)), list[str]()
    layers: tuple[Layer, ...] = (Relu(), Relu6(), Relu())
    for layer in layers:
        Changing.layer = layer
        operations.layers_of.cache_clear()
        found.append(recipe(graph))
    assert found[0] == found[2] != found[1]


class _Watched:
    """Counts as another counter does, and how often it was asked."""

    def __init__(self, counter: UnitCounter, identity: str) -> None:
        self._counter, self.identity, self.asked = counter, identity, 0

    def executed(self, nodes: Sequence[NetworkNode]) -> ExecutedGraph:
        self.asked += 1
        return self._counter.executed(nodes)

    def workload(self, unit: OpSpec) -> Workload:
        raise UnsupportedOperationError(f"{unit} is not measured here")


@pytest.fixture
def counter() -> UnitCounter:
    return unit_counter(Setup("", "onnxruntime"))


@pytest.mark.parametrize(("keeps", "identity", "asked"), [(True, "x", 2), (True, "", 4), (False, "x", 4)])
def test_a_later_process_finds_the_counts_that_were_kept(
    own_cache: Path, counter: UnitCounter, keeps: bool, identity: str, asked: int
) -> None:
    watched = _Watched(counter, identity)
    some = [(0, 0, 0), (1, 2, 3)]
    first, later = (list(CountedHere(_SPACE, watched, keeps=keeps).graphs(some)) for _ in range(2))
    assert first == later == list(CountedHere(_SPACE, counter).graphs(some))
    assert watched.asked == asked


def test_the_counts_of_another_machine_are_not_taken(own_cache: Path, counter: UnitCounter) -> None:
    here, there = _Watched(counter, "wide vectors"), _Watched(counter, "narrow vectors")
    for each in (here, there):
        list(CountedHere(_SPACE, each, keeps=True).graphs([(0, 0, 0)]))
    assert (here.asked, there.asked) == (1, 1)


def test_a_space_of_a_known_plug_in_spells_out_its_layers() -> None:
    space = spaces.load("darts", channels=4, cells=3)
    architecture = tuple(options[0] for options in space.allowed)
    assert network_workload(space, architecture).recipe != network_workload(_SPACE, (0, 0, 0)).recipe
