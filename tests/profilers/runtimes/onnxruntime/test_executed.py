"""Optimised graphs read as units; and files that nobody wrote in good faith."""

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from latency_tables.units.graph import IMAGE, ExecutedGraph, ExecutedNode
from latency_tables.units.unit import Attribute, Unit
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._onnxruntime.executed import executed_graph
from tests.fakes.optimised_graphs import SHAPE, conv, integers, model, node, weights

BLOCKED = "com.microsoft.nchwc"
WINDOWS: dict[str, Attribute] = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "strides": (1, 1), "group": 1}


def read(content: bytes) -> ExecutedGraph:
    return executed_graph(content, [SHAPE])


def units(content: bytes) -> list[Unit]:
    return [Unit.of(node.unit) for node in read(content).nodes]


def test_nodes_are_units_of_shapes_and_attributes_without_names() -> None:
    nodes = [
        conv(output="a"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["b", "x"], ["y"]),
    ]
    convolution = Unit("Conv", (SHAPE,), SHAPE, ((8, 8, 3, 3),), WINDOWS)
    assert read(model(nodes, [weights()])) == ExecutedGraph(
        (
            ExecutedNode(convolution.spec(), (IMAGE,)),
            ExecutedNode(Unit("Relu", (SHAPE,), SHAPE).spec(), (0,)),
            ExecutedNode(Unit("Add", (SHAPE, SHAPE), SHAPE).spec(), (1, IMAGE)),
        )
    )


def test_a_tensor_that_a_convolution_adds_shows_in_what_it_reads() -> None:
    fused = [conv(output="a"), conv("a", "w", "", "x", domain=BLOCKED)]
    with_bias = [conv(output="a"), conv("a", "w", "b", "x", domain=BLOCKED)]
    plain, bias = (units(model(nodes, [weights(), weights("b", [8])]))[1] for nodes in (fused, with_bias))
    assert plain == Unit(
        "Conv", (SHAPE, SHAPE), SHAPE, ((8, 8, 3, 3),), {**WINDOWS, "reads": "iw_i"}, BLOCKED
    )
    assert (bias.attributes["reads"], bias.weight_shapes) == ("iwwi", ((8, 8, 3, 3), (8,)))


def test_strides_dilations_groups_and_activations_tell_units_apart() -> None:
    changes = [
        conv(),
        conv(strides=[2, 2]),
        conv(dilations=[2, 2], pads=[2, 2, 2, 2]),
        conv(activation="Relu"),
        conv(activation="Clip", activation_params=[0.0, 6.0]),
        conv(activation="LeakyRelu", activation_params=[0.1]),
    ]
    found = {units(model([change], [weights()]))[0].spec() for change in changes}
    assert len(found) == len(changes)
    assert any("a.activation_params=0.1x," in str(spec) for spec in found)


def test_what_changes_no_work_is_no_part_of_the_key() -> None:
    statistics = [weights(name, [8]) for name in "abcd"]

    def norm(epsilon: float, momentum: float) -> bytes:
        one = node("BatchNormalization", "x", *"abcd", epsilon=epsilon, momentum=momentum)
        return model([one], statistics)

    assert read(norm(1e-3, 0.5)) == read(norm(1e-5, 0.9))


def test_channels_of_blocked_tensors_are_those_in_memory() -> None:
    nodes = [
        helper.make_node("ReorderInput", ["x"], ["a"], domain=BLOCKED),
        conv("a", "w", output="b", domain=BLOCKED),
        helper.make_node("MaxPool", ["b"], ["c"], domain=BLOCKED, kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ReorderOutput", ["c"], ["y"], domain=BLOCKED, channels=8),
    ]
    shapes = [unit.output_shape for unit in units(model(nodes, [weights(shape=(16, 16, 3, 3))]))]
    assert shapes == [(1, 16, 6, 6), (1, 16, 6, 6), (1, 16, 3, 3), (1, 8, 3, 3)]


def test_a_depthwise_convolution_tells_the_channels_of_its_blocked_input() -> None:
    nodes = [
        helper.make_node("ReorderInput", ["x"], ["a"], domain=BLOCKED),
        conv("a", "w", domain=BLOCKED, group=16),
    ]
    reorder, depthwise = units(model(nodes, [weights(shape=(16, 1, 3, 3))]))
    assert reorder.output_shape == depthwise.input_shapes[0] == (1, 16, 6, 6)


def test_short_lists_of_integers_are_part_of_the_key_and_long_ends_are_cut() -> None:
    node = helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["y"])
    ends = integers("ends", 2**63 - 1, 5)
    [unit] = units(model([node], [integers("starts", 1, 1), ends, integers("axes", 2, 3)]))
    assert unit.output_shape == (1, 8, 5, 4)
    assert unit.attributes == {"values1": (1, 1), "values2": (10**18 - 1, 5), "values3": (2, 3)}


def test_a_constant_node_is_a_constant() -> None:
    constant = helper.make_node("Constant", [], ["w"], value=weights())
    assert read(model([constant, conv()])) == read(model([conv()], [weights()]))


def test_an_operator_that_is_not_known_is_named() -> None:
    with pytest.raises(UnsupportedOperationError, match=r"operator 'lab\.Warp', whose shapes are not known"):
        read(model([helper.make_node("Warp", ["x"], ["y"], domain="lab")]))


def test_a_network_of_other_numbers_is_refused() -> None:
    with pytest.raises(UnsupportedOperationError, match="'x' is not float32"):
        read(model([helper.make_node("Relu", ["x"], ["y"])], takes=TensorProto.UINT8))


HOSTILE = {
    "no nodes": ([], []),
    "reads what nothing writes": ([helper.make_node("Relu", ["z"], ["y"])], []),
    "reads itself": ([helper.make_node("Relu", ["y"], ["y"])], []),
    "writes the input": ([helper.make_node("Relu", ["x"], ["x"])], []),
    "writes twice": ([helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["x"], ["y"])], []),
    "writes nothing": ([helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["x"], [""])], []),
    "no weights": ([conv("x")], []),
    "stride 0": ([conv(strides=[0, 0])], [weights()]),
    "stride below 0": ([conv(strides=[-1, -1])], [weights()]),
    "strides beyond any number": ([conv(strides=[float("inf"), 1.0])], [weights()]),
    "too few strides": ([conv(strides=[1])], [weights()]),
    "strides that are no list": ([conv(strides=3.5)], [weights()]),
    "huge padding": ([conv(pads=[2**40] * 4)], [weights()]),
    "kernel larger than the image": ([conv(pads=[0] * 4)], [weights(shape=(8, 8, 9, 9))]),
    "an attribute that is a graph": (
        [helper.make_node("Relu", ["x"], ["y"], then=helper.make_graph([], "g", [], []))],
        [],
    ),
    "an attribute too long for a key": ([conv(note="a" * 2000)], [weights()]),
    "an attribute that is no word": ([conv(activation="a;b]c")], [weights()]),
    "a list too long for a key": ([conv(note=list(range(5000)))], [weights()]),
    "sizes that do not go together": ([helper.make_node("Add", ["x", "w"], ["y"])], [weights(shape=(5, 6))]),
    "an axis that is not there": ([helper.make_node("Concat", ["x", "x"], ["y"], axis=7)], []),
    "a shape of another size": (
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [integers("shape", 5, -1)],
    ),
    "a shape of zeros": ([helper.make_node("Reshape", ["x", "shape"], ["y"])], [integers("shape", -1, -1)]),
    "a step of 0": (
        [helper.make_node("Slice", ["x", "o", "o", "o", "o"], ["y"])],
        [integers("o", 0)],
    ),
    "a constant beyond any size": (
        [conv()],
        [TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**40, 2**40, 3, 3])],
    ),
    "a constant below any size": (
        [conv()],
        [TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-8, 8, 3, 3])],
    ),
    "integers that are not all there": (
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [TensorProto(name="shape", data_type=TensorProto.INT64, dims=[4], raw_data=b"12")],
    ),
    "integers in another file": (
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [
            TensorProto(
                name="shape",
                data_type=TensorProto.INT64,
                dims=[1],
                data_location=TensorProto.EXTERNAL,
                external_data=[onnx.StringStringEntryProto(key="location", value=__file__)],
            )
        ],
    ),
    "a constant of two forms": ([helper.make_node("Constant", [], ["w"], value_int=3), conv()], []),
    "only constants": ([helper.make_node("Relu", ["w"], ["y"])], [weights()]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_contradicts_itself_is_refused(name: str) -> None:
    nodes, constants = HOSTILE[name]
    with pytest.raises(ProfilingError):
        read(model(nodes, constants))


def test_a_file_of_more_nodes_than_any_network_has_is_refused() -> None:
    graph = onnx.GraphProto(node=[onnx.NodeProto()] * 100_001)
    with pytest.raises(ProfilingError, match="100001 nodes"):
        read(onnx.ModelProto(graph=graph).SerializeToString())


@given(st.binary(max_size=200))
def test_random_bytes_are_no_graph(content: bytes) -> None:
    with pytest.raises(ProfilingError):
        read(content)


GOOD = model(
    [conv(output="a", activation="Relu"), helper.make_node("Reshape", ["a", "shape"], ["y"])],
    [weights(shape=(8, 8, 3, 3)), integers("shape", 1, -1)],
)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_file_with_a_changed_byte_is_read_or_refused(position: int, change: int) -> None:
    damaged = bytearray(GOOD)
    damaged[position] ^= change
    try:
        graph = read(bytes(damaged))
    except ProfilingError:
        return
    assert graph.nodes
