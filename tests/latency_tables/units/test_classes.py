"""Classes and work of units, against figures that were worked out by hand."""

import pytest

from latency_tables.errors import SpecError
from latency_tables.spec import OpSpec
from latency_tables.units.classes import UnitClass, unit_class, unit_work
from latency_tables.units.unit import Shape, Unit

_NCHW, _NHWC = (1, 8, 32, 32), (1, 32, 32, 8)
_NCHWC, _LAST = "com.microsoft.nchwc", "com.ms.internal.nhwc"


def key(
    operator: str,
    *inputs: Shape,
    out: Shape = _NCHW,
    weights: tuple[Shape, ...] = (),
    domain: str = "",
    **attributes: int | tuple[int, ...],
) -> OpSpec:
    return Unit(operator, inputs or (_NCHW,), out, weights, attributes, domain).spec()


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (key("Conv", weights=((16, 8, 1, 1), (16,)), out=(1, 16, 32, 32)), "pointwise"),
        (key("FusedConv", weights=((16, 8, 3, 3), (16,)), domain="com.microsoft"), "convolution"),
        (key("Conv", weights=((16, 8, 3, 3),), domain=_NCHWC), "convolution"),
        (key("Conv", _NCHW, _NCHW, weights=((8, 8, 1, 1), (8,)), domain=_NCHWC), "pointwise"),
        (key("Conv", weights=((8, 1, 3, 3),), group=8), "depthwise"),
        (key("NhwcFusedConv", _NHWC, weights=((8, 1, 3, 3), (8,)), out=_NHWC, group=8), "depthwise"),
        (key("NhwcFusedConv", _NHWC, weights=((8, 8, 3, 3), (8,)), out=_NHWC), "convolution"),
        (key("Conv", weights=((8, 1, 1, 1),), group=8), "depthwise"),
        (key("Conv", weights=((8, 2, 3, 3),), group=4), "convolution"),
        (key("Conv", (1, 1, 28, 28), weights=((8, 1, 3, 3),)), "convolution"),
        (key("Conv", _NCHW, (16, 8, 3, 3)), "convolution"),  # its weights are computed
        (key("Conv", (1, 8, 32), weights=((8, 8, 1),), out=(1, 8, 32)), "pointwise"),
        (key("ConvTranspose", weights=((8, 1, 3, 3),)), "convolution"),
        (key("CONV_2D", _NHWC, out=_NHWC, weights=((8, 1, 1, 8), (8,))), "pointwise"),
        (key("CONV_2D", _NHWC, out=_NHWC, weights=((8, 3, 3, 8), (8,))), "convolution"),
        (key("CONV_2D", _NHWC, out=_NHWC, weights=((8, 3, 3, 1), (8,))), "depthwise"),
        (key("DEPTHWISE_CONV_2D", _NHWC, out=_NHWC, weights=((1, 1, 1, 8), (8,))), "depthwise"),
        (key("Conv", _NHWC, out=_NHWC, weights=((8, 1, 3, 3),), domain=_LAST), "depthwise"),
        (key("Conv", (1, 8, 8, 1), weights=((8, 1, 3, 3),), domain=_LAST), "convolution"),
        (key("Conv", _NHWC, out=_NHWC, weights=((8, 8, 1, 1), (8,)), domain=_LAST), "pointwise"),
        (key("MaxPool", domain=_NCHWC), "pool"),
        (key("GlobalAveragePool"), "pool"),
        (key("AVERAGE_POOL_2D"), "pool"),
        (key("MEAN", _NHWC, out=(1, 8)), "pool"),
        (key("BatchNormalization", weights=((8,),) * 4), "norm"),
        (key("MUL", weights=((8,),)), "norm"),
        (key("Add", weights=((1, 8, 1, 1),)), "norm"),
        (key("Add", _NCHW, _NCHW), "rest"),
        (key("ReorderInput", domain=_NCHWC), "reorder"),
        (key("ReorderOutput", domain=_NCHWC), "reorder"),
        (key("TRANSPOSE"), "reorder"),
        (key("Gemm", (1, 64), weights=((10, 64), (10,)), out=(1, 10), transB=1), "rest"),
        (key("Relu"), "rest"),
        (key("Concat", _NCHW, _NCHW, out=(1, 16, 32, 32), axis=1), "rest"),
        (key("PAD"), "rest"),
        (key("Conv2d", weights=((8, 1, 3, 3),), group=8), "depthwise"),
        (key("Conv2d", weights=((16, 8, 1, 1), (16,))), "pointwise"),
        (key("BatchNorm2d", weights=((8,),) * 2), "norm"),
        (key("AdaptiveAvgPool2d", out=(1, 8, 1, 1)), "pool"),
        (key("contiguous"), "reorder"),
        (key("Linear", (1, 64), weights=((10, 64), (10,)), out=(1, 10)), "rest"),
        (key("Conv"), "rest"),  # without weights, nothing is known of it
        (key("SomethingOfNextYear", weights=((3, 3), ())), "rest"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_unit_is_classed_by_its_operator_and_its_weights(spec: OpSpec, wanted: UnitClass) -> None:
    assert unit_class(spec) == wanted


@pytest.mark.parametrize(
    ("spec", "macs"),
    [
        (key("Conv", weights=((16, 8, 3, 3), (16,)), out=(1, 16, 16, 16)), 16 * 16 * 16 * 8 * 9),
        (key("Conv", weights=((8, 2, 3, 3),), group=4), 8 * 32 * 32 * 2 * 9),
        (key("Conv", weights=((8, 1, 5, 5),), group=8), 8 * 32 * 32 * 25),
        (key("ConvTranspose", weights=((8, 4, 2, 2),), out=(1, 4, 64, 64)), 8 * 32 * 32 * 4 * 4),
        (key("CONV_2D", _NHWC, weights=((4, 3, 3, 8), (4,)), out=(1, 16, 16, 4)), 16 * 16 * 4 * 8 * 9),
        (key("DEPTHWISE_CONV_2D", _NHWC, weights=((1, 3, 3, 8), (8,)), out=_NHWC), 8 * 32 * 32 * 9),
        (key("TRANSPOSE_CONV", _NHWC, weights=((4, 2, 2, 8),), out=(1, 64, 64, 4)), 32 * 32 * 8 * 4 * 4),
        (key("Gemm", (2, 64), weights=((10, 64), (10,)), out=(2, 10), transB=1), 2 * 10 * 64),
        (key("Gemm", (64, 2), weights=((64, 10),), out=(2, 10), transA=1), 2 * 10 * 64),
        (key("MatMul", (1, 3, 5), (1, 5, 7), out=(1, 3, 7)), 3 * 5 * 7),
        (key("FULLY_CONNECTED", (1, 4, 4, 4), weights=((10, 64), (10,)), out=(1, 10)), 640),
        (key("FULLY_CONNECTED", (1, 64), out=(1, 10)), 0),
        (key("MaxPool"), 0),
        (key("Unknown", weights=((8, 8, 3, 3),)), 0),
    ],
    ids=lambda value: str(value)[:60],
)
def test_multiply_accumulates_follow_from_the_shapes(spec: OpSpec, macs: int) -> None:
    assert unit_work(spec).macs == macs


def test_elements_are_all_that_is_read_and_written() -> None:
    assert unit_work(key("Add", _NCHW, _NCHW)).elements == 3 * 8 * 32 * 32
    conv = key("Conv", _NCHW, _NCHW, weights=((8, 8, 3, 3), (8,)), domain=_NCHWC)
    assert unit_work(conv).elements == 3 * 8 * 32 * 32 + 8 * 8 * 9 + 8
    assert unit_work(key("Reshape", _NCHW, weights=((2,), ()), out=(1, 8192))).elements == 2 * 8192 + 2 + 1


@pytest.mark.parametrize("spec", [OpSpec("skip", _NCHW), OpSpec("unit.Relu", _NCHW)])
def test_what_is_no_unit_has_no_class(spec: OpSpec) -> None:
    for use in (unit_class, unit_work):
        with pytest.raises(SpecError, match="not the key"):
            use(spec)
