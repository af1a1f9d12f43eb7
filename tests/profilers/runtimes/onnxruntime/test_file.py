"""ONNX files from somewhere else: read without trusting them."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from profilers.errors import ProfilingError
from profilers.lowering.onnx import lower
from profilers.runtimes._onnxruntime.file import onnx_workload, read_onnx
from tests.fakes.modules import Sum
from tests.fakes.onnx_files import with_open_batch

OTHER_FILE = "weights.bin"


def external(name: str = "w") -> TensorProto:
    """Return a tensor whose values lie in another file."""
    tensor = numpy_helper.from_array(np.ones(4, dtype=np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=OTHER_FILE)
    return tensor


def graph(nodes: list[onnx.NodeProto], initializers: list[TensorProto]) -> onnx.GraphProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    return helper.make_graph(nodes, "g", [x], [y], initializers)


def add() -> onnx.NodeProto:
    return helper.make_node("Add", ["x", "w"], ["y"])


def in_an_initializer() -> onnx.ModelProto:
    return helper.make_model(graph([add()], [external()]))


def in_an_attribute() -> onnx.ModelProto:
    return helper.make_model(graph([helper.make_node("Constant", [], ["w"], value=external()), add()], []))


def in_a_subgraph() -> onnx.ModelProto:
    branch = helper.make_graph([], "branch", [], [], [external()])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    return helper.make_model(graph([node], []))


def in_a_function() -> onnx.ModelProto:
    constant = helper.make_node("Constant", [], ["w"], value=external())
    opset = helper.make_opsetid("", 17)
    function = helper.make_function("lab", "F", ["x"], ["y"], [constant, add()], [opset])
    node = helper.make_node("F", ["x"], ["y"], domain="lab")
    return helper.make_model(graph([node], []), functions=[function], opset_imports=[opset])


def in_a_sparse_tensor() -> onnx.ModelProto:
    model = helper.make_model(graph([add()], []))
    model.graph.sparse_initializer.add().values.CopyFrom(external())
    return model


def without_the_flag() -> onnx.ModelProto:
    tensor = external()
    tensor.ClearField("data_location")
    return helper.make_model(graph([add()], [tensor]))


@pytest.mark.parametrize(
    "build",
    [in_an_initializer, in_an_attribute, in_a_subgraph, in_a_function, in_a_sparse_tensor, without_the_flag],
)
def test_external_data_is_refused_wherever_it_hides(
    build: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    (tmp_path / OTHER_FILE).write_bytes(np.ones(4, dtype=np.float32).tobytes())
    (tmp_path / "m.onnx").write_bytes(build().SerializeToString())
    with pytest.raises(ProfilingError, match="keeps tensor 'w' in another file; save it as one file"):
        read_onnx(tmp_path / "m.onnx")


def test_a_model_in_one_file_is_read_as_it_is(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones(4, dtype=np.float32), "w")
    content = helper.make_model(graph([add()], [weights])).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(content)
    assert read_onnx(tmp_path / "m.onnx") == content


@pytest.mark.parametrize("content", [b"", b"\x00", b"not a model", b"\xff" * 1000])
def test_what_is_no_model_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ProfilingError, match="export it again") as caught:
        read_onnx(tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)


def test_a_cut_model_is_refused_or_read_but_nothing_else_happens(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones(4, dtype=np.float32), "w")
    content = helper.make_model(graph([add()], [weights])).SerializeToString()
    for length in range(len(content) - 1):
        (tmp_path / "m.onnx").write_bytes(content[:length])
        with suppress(ProfilingError):  # a cut between two fields leaves a readable file
            assert read_onnx(tmp_path / "m.onnx") == content[:length]


def test_a_file_is_a_workload_of_its_inputs_and_its_content(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(lower(Sum(), [(2, 8), (2, 8)]))
    workload = onnx_workload(path)
    assert workload.source == path
    assert workload.spec.input_shapes == ((2, 8), (2, 8))
    path.write_bytes(with_open_batch(lower(Sum(), [(2, 8), (2, 8)])))
    assert onnx_workload(path).spec.input_shapes == ((1, 8), (1, 8))
    assert onnx_workload(path).spec != workload.spec


def test_inputs_of_different_or_unknown_sizes_are_no_workload(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(lower(Sum(), [(2, 8), (1, 8)]))
    with pytest.raises(ProfilingError, match="export it for one fixed shape"):
        onnx_workload(path)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "width"])
    path.write_bytes(helper.make_model(helper.make_graph([], "g", [x], [x])).SerializeToString())
    with pytest.raises(ProfilingError, match="export it for one fixed shape"):
        onnx_workload(path)
