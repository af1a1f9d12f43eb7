"""An operation kind from outside: what follows from it, in a space from outside."""

import math

import pytest
import torch

from cars_hw import spaces
from cars_hw.latency.contents import TableContents
from cars_hw.latency.model import latency_model
from cars_hw.networks import kinds, operations
from cars_hw.networks.layers import Layer, Relu
from cars_hw.objectives import Latency, PeakMemoryBytes
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from devices import connect
from devices.foundation import UnknownNameError
from latency_tables import LatencyTable, OpSpec, SpecError
from profilers import Profiler
from profilers.lowering import onnx, tflite
from profilers.runtimes.fake import FakeRuntime
from tests.fakes import onnx_files, tflite_files
from tests.fakes.strip import Strip

_SPEC = OpSpec.of("strip", (1, 4, 8, 8), out=4, kernel=5)


class Renamed(kinds.OperationKind):
    """A kind whose name is not its file's."""

    def __init__(self, name: str) -> None:
        self.name = name

    def layers(self, spec: OpSpec, /) -> tuple[Layer, ...]:
        return (Relu(),)


@pytest.fixture(autouse=True)
def strip() -> None:
    kinds.load_kinds(["tests.fakes.strip"])


def test_its_counts_shape_and_memory_follow_from_its_layers() -> None:
    parameters = 2 * 4 * 5 + 8 + 4 * 4
    assert operations.parameters(_SPEC) == parameters
    assert operations.macs(_SPEC) == (2 * 4 * 5 + 4 * 4) * 64
    assert operations.output_shape(_SPEC) == (1, 4, 8, 8)
    space = spaces.load("tests.fakes.strips")
    weights = space.graph((1, 1)).parameters()
    assert weights == 2 * parameters + 4 * 10 + 10
    assert PeakMemoryBytes(space)((1, 1)) == 4 * (2 * 256 + weights)


def test_its_text_reads_back() -> None:
    assert OpSpec.parse(str(_SPEC)) == _SPEC


def test_it_is_written_as_onnx_and_as_tflite_with_the_numbers_of_its_modules() -> None:
    network = Network.untrained(spaces.load("tests.fakes.strips").graph((0, 1))).eval()
    image = torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        reference = network(image)
    for lowering, files in ((onnx, onnx_files), (tflite, tflite_files)):
        written = files.run(lowering.lower(network, [(1, 4, 8, 8)]), image)
        torch.testing.assert_close(written, reference, rtol=0, atol=1e-5)
    assert isinstance(modules.build(_SPEC), torch.nn.Sequential)


def test_a_table_of_it_is_measured_and_predicts() -> None:
    space = spaces.load("tests.fakes.strips")
    runtime = FakeRuntime(latency_s=lambda spec, _: 1e-6 * math.prod(spec.input_shape))
    profiler = Profiler(connect("fake"), runtime)
    table = LatencyTable.in_memory(profiler.header())
    filled = list(profiler.fill(table, TableContents(space).workloads()))
    assert {entry.spec.kind for entry in filled} == {"call_overhead", "strip", "classifier", "network"}
    assert not table.failures
    assert Latency(latency_model(space, table))((1, 0)) > 0


def test_the_same_kind_may_be_defined_again() -> None:
    kinds.define(Strip())
    kinds.load_kinds(["tests.fakes.strip"])


@pytest.mark.parametrize("name", ["strip", "sep_conv", "network", "weighted_sum"])
def test_another_kind_under_a_name_that_exists_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=f"test_kinds defines the operation kind '{name}', which exists"):
        kinds.define(Renamed(name))


@pytest.mark.parametrize("name", ["", "two words", "a[b]", "1st"])
def test_what_is_no_name_of_a_kind_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="is not a name"):
        kinds.define(Renamed(name))


def test_a_module_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown operation kind 'my_lab\.gone' \(known: none\)"):
        kinds.load_kinds(["my_lab.gone"])
