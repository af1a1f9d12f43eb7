"""The keys of units, and graphs of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import SpecError, TableError
from latency_tables.spec import OpSpec
from latency_tables.units.graph import IMAGE, MAX_NODES, ExecutedGraph, ExecutedNode
from latency_tables.units.text import unit_text
from latency_tables.units.unit import Attribute, Unit, is_unit

SHAPES = st.lists(st.integers(1, 64), min_size=1, max_size=4).map(tuple)
WORDS = st.from_regex(r"[A-Za-wyz_][A-Za-wyz_]{0,7}", fullmatch=True)
NUMBERS = st.integers(-(10**9), 10**9)
ATTRIBUTES: st.SearchStrategy[Attribute] = (
    NUMBERS
    | st.floats(allow_nan=False)
    | st.lists(NUMBERS, min_size=1, max_size=4).map(tuple)
    | st.lists(st.floats(allow_nan=False), min_size=1, max_size=3).map(tuple)
    | WORDS.filter(lambda word: word not in {"inf", "nan"})
)


@given(
    st.builds(
        Unit,
        operator=WORDS,
        input_shapes=st.lists(SHAPES, min_size=1, max_size=3).map(tuple),
        output_shape=SHAPES,
        weight_shapes=st.lists(SHAPES | st.just(()), max_size=3).map(tuple),
        attributes=st.dictionaries(WORDS, ATTRIBUTES, max_size=3),
        domain=st.just("") | WORDS,
    )
)
def test_a_unit_is_read_back_from_its_key_and_its_key_from_its_text(unit: Unit) -> None:
    spec = unit.spec()
    assert is_unit(spec)
    assert Unit.of(spec) == unit
    assert Unit.of(OpSpec.parse(str(spec))) == unit


@pytest.mark.parametrize(
    "text",
    [
        "conv[1x3;out=1x3;float32]",
        "unit.Relu[1x3;float32]",
        "unit.Relu[1x3;out=3;float32]",
        "unit.Relu[1x3;out=1x3.5;float32]",
        "unit.Relu[1x3;inputs=1,out=1x3;float32]",
        "unit.Relu[1x3;out=1x3,w1=3x;float32]",
        "unit.Relu[1x3;in1=1x3,out=1x3;float32]",
        "unit.Relu[1x3;a.x=1.50,out=1x3;float32]",
        "unit.Relu[1x3;out=1x3,weather=fine;float32]",
    ],
)
def test_a_key_that_is_not_how_a_unit_is_written_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        Unit.of(OpSpec.parse(text))


def test_people_read_a_key_without_what_changes_nothing() -> None:
    attributes: dict[str, Attribute] = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1, "axis": 1}
    unit = Unit("Conv", ((1, 8, 4, 4),), (1, 2, 4, 4), ((2, 8, 3, 3), ()), attributes, "com.microsoft")
    assert unit_text(unit.spec()) == (
        "com.microsoft.Conv 1x8x4x4 -> 1x2x4x4, weights 2x8x3x3 scalar, axis 1, pads 1x1x1x1"
    )
    assert unit_text(Unit("Add", ((1, 8), (1, 8)), (1, 8)).spec("int8")) == "Add 1x8 1x8 -> 1x8, int8"
    skip = OpSpec("skip", (1, 8, 4, 4))
    assert unit_text(skip) == str(skip)


RELU = Unit("Relu", ((1, 3),), (1, 3)).spec()


def test_a_graph_counts_its_units() -> None:
    add = Unit("Add", ((1, 3), (1, 3)), (1, 3)).spec()
    graph = ExecutedGraph((ExecutedNode(RELU, (IMAGE,)), ExecutedNode(RELU, (0,)), ExecutedNode(add, (1, 0))))
    assert graph.counts == {RELU: 2, add: 1}


@pytest.mark.parametrize(
    "nodes",
    [
        (),
        (ExecutedNode(RELU, (0,)),),
        (ExecutedNode(RELU, (-2,)),),
        (ExecutedNode(RELU, (IMAGE,)), ExecutedNode(RELU, (2,))),
        (ExecutedNode(RELU, (IMAGE,) * 2000),),
        (ExecutedNode(RELU, (IMAGE,)),) * (MAX_NODES + 1),
    ],
    ids=["none", "itself", "before the image", "later", "too much", "too many"],
)
def test_a_graph_that_cannot_run_is_refused(nodes: tuple[ExecutedNode, ...]) -> None:
    with pytest.raises(TableError, match="executed graph"):
        ExecutedGraph(nodes)
