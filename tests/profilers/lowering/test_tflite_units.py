"""Units of TFLite: keys worked out by hand, files that are read as they were written, models of one unit."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from latency_tables.spec import OpSpec
from latency_tables.units.graph import IMAGE, ExecutedGraph
from latency_tables.units.unit import Unit
from profilers.errors import UnsupportedOperationError
from profilers.lowering._tflite.flatbuffer import serialize
from profilers.lowering._tflite.graph import Graph
from profilers.lowering._tflite.passes import simplify, simplify_operations
from profilers.lowering._tflite.reading import read
from profilers.lowering._tflite.units import executed, unit_graph
from profilers.lowering.tflite import lower, written
from tests.fakes.modules import Join
from tests.fakes.tflite_files import run, with_values_behind_the_tables

_IMAGE = (1, 8, 12, 12)
_PADDED = (
    "unit.CONV_2D[1x12x12x8;a.pad=1x0x1x0,a.padding=VALID,a.stride=2x2,out=1x6x6x4,w0=4x3x3x8,w1=4x;float32]"
)


class Twice(nn.Module):
    """Two convolutions that read the same image with zeros around it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(8, 4, 3, 2, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.first(x) + self.second(x)
        return y


class Sliced(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 1:, ::2]


def graph_of(module: nn.Module, *shapes: tuple[int, ...]) -> Graph:
    graph = written(module.eval(), shapes or (_IMAGE,))
    simplify(graph)
    return graph


def units_of(module: nn.Module, *shapes: tuple[int, ...]) -> list[str]:
    return [str(node.unit) for node in executed(graph_of(module, *shapes)).nodes]


def normalised() -> nn.Module:
    parts = [nn.Conv2d(8, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6(), nn.MaxPool2d(3, 1, 1)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))


def test_the_keys_of_a_network_say_what_is_executed() -> None:
    assert units_of(normalised()) == [
        "unit.CONV_2D[1x12x12x8;"
        "a.activation=RELU6,a.padding=VALID,a.stride=1x1,out=1x12x12x6,w0=6x1x1x8,w1=6x;float32]",
        "unit.MAX_POOL_2D[1x12x12x6;a.filter=3x3,a.padding=SAME,a.stride=1x1,out=1x12x12x6;float32]",
        "unit.MEAN[1x12x12x6;a.axes=1x2,a.keepDims=1,out=1x1x1x6;float32]",
        "unit.RESHAPE[1x1x1x6;a.shape=1x6,out=1x6;float32]",
        "unit.FULLY_CONNECTED[1x6;out=1x10,w0=10x6,w1=10x;float32]",
    ]


def test_zeros_that_one_convolution_reads_are_one_unit_with_it() -> None:
    assert units_of(nn.Conv2d(8, 4, 3, 2, 1)) == [_PADDED]


def test_zeros_that_two_convolutions_read_are_a_unit() -> None:
    pad = "unit.PAD[1x12x12x8;a.paddings=0x0x1x0x1x0x0x0,out=1x13x13x8;float32]"
    conv = "unit.CONV_2D[1x13x13x8;a.padding=VALID,a.stride=2x2,out=1x6x6x4,w0=4x3x3x8,w1=4x;float32]"
    graph = executed(graph_of(Twice()))
    assert [str(node.unit) for node in graph.nodes[:3]] == [pad, conv, conv]
    assert [node.inputs for node in graph.nodes] == [(IMAGE,), (0,), (0,), (1, 2)]


def test_dilation_groups_and_slices_are_told() -> None:
    depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
    assert "a.depthMultiplier=1,a.dilation=2x2,a.padding=SAME,a.stride=1x1" in units_of(depthwise)[0]
    assert "a.begin=0x1x0x0,a.end=1x12x12x8,a.strides=1x1x2x1" in units_of(Sliced())[0]


@pytest.mark.parametrize(
    ("module", "shapes"),
    [
        (normalised, [_IMAGE]),
        (Twice, [_IMAGE]),
        (Sliced, [_IMAGE]),
        (Join, [_IMAGE, _IMAGE]),
        (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), [_IMAGE]),
        (lambda: nn.MaxPool2d(3, 2, 1), [_IMAGE]),
        (nn.Identity, [_IMAGE]),
        (lambda: nn.Conv2d(8, 16, 3, groups=8, padding="same"), [_IMAGE]),
    ],
)
class TestEveryKindOfOperation:
    def test_it_is_read_from_its_file_as_it_was_written(
        self, module: Callable[[], nn.Module], shapes: list[tuple[int, ...]]
    ) -> None:
        graph = graph_of(module(), *shapes)
        assert executed(*read(serialize(graph))) == executed(graph)

    def test_it_is_the_same_whether_or_not_weights_are_computed(
        self, module: Callable[[], nn.Module], shapes: list[tuple[int, ...]]
    ) -> None:
        made = module().eval()
        graph = written(made, shapes)
        simplify_operations(graph)
        assert executed(graph) == executed(*read(lower(made, shapes)))

    def test_each_of_its_units_is_a_model_that_executes_it_alone(
        self, module: Callable[[], nn.Module], shapes: list[tuple[int, ...]]
    ) -> None:
        for spec in executed(graph_of(module(), *shapes)).counts:
            unit = Unit.of(spec)
            model = serialize(unit_graph(unit))
            assert executed(*read(model)).counts == Counter([spec])
            inputs = [torch.randn(shape) for shape in unit.input_shapes]
            output = run(model, *(x.movedim(-1, 1) if x.ndim == 4 else x for x in inputs))
            assert output.isfinite().all()
            assert output.std() > 0.01 * max(x.std() for x in inputs) or output.numel() < 50


def test_constants_behind_the_tables_of_a_file_are_read_as_such() -> None:
    graph = graph_of(normalised())
    model = with_values_behind_the_tables(serialize(graph))
    run(model, torch.zeros(_IMAGE))  # it is a model
    assert executed(*read(model)) == executed(graph)
    with pytest.raises(UnsupportedOperationError, match="ends beyond it"):
        read(model[:-1])


def alone(text: str) -> ExecutedGraph:
    return executed(unit_graph(Unit.of(OpSpec.parse(text))))


@pytest.mark.parametrize(
    "text",
    [
        "unit.Conv[1x8x12x12;out=1x8x12x12;float32]",  # of another runtime
        "unit.SOFTMAX[1x8;out=1x8;float32]",
        "unit.RESHAPE[1x8;out=1x8;float32]",  # to which shape?
        "unit.ADD[1x8;a.axis=1,out=1x8;float32]",
        "unit.CONCATENATION[1x8;a.axis=first,out=1x8;float32]",
        "unit.CONV_2D[1x8;a.pad=1x1x1x1,out=1x8;float32]",
        _PADDED.replace("1x0x1x0", "1x0"),
        _PADDED.replace("2x2", "2"),
    ],
)
def test_a_key_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedOperationError):
        alone(text)


def test_a_key_of_ours_is_what_its_model_is() -> None:
    assert list(alone(_PADDED).counts) == [OpSpec.parse(_PADDED)]
