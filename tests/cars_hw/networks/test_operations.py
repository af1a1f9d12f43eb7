import pytest

from cars_hw.networks import operations
from latency_tables.errors import SpecError
from latency_tables.spec import OpSpec

SHAPE = (1, 8, 16, 16)


@pytest.mark.parametrize(
    ("spec", "parameters", "macs", "shape"),
    [
        (
            OpSpec.of("conv_bn", (1, 3, 16, 16), out=24, kernel=3, stride=1, affine=0),
            3 * 24 * 9,
            3 * 24 * 9 * 256,
            (1, 24, 16, 16),
        ),
        (
            OpSpec.of("relu_conv_bn", SHAPE, out=4, kernel=3, stride=2, affine=1),
            8 * 4 * 9 + 2 * 4,
            8 * 4 * 9 * 64,
            (1, 4, 8, 8),
        ),
        (
            OpSpec.of("factorized_reduce", SHAPE, out=16, affine=1),
            2 * (8 * 8) + 2 * 16,
            2 * (8 * 8) * 64,
            (1, 16, 8, 8),
        ),
        (
            OpSpec.of("sep_conv", SHAPE, kernel=5, stride=2, affine=1),
            2 * (8 * 25 + 8 * 8 + 2 * 8),
            2 * (8 * 25 + 8 * 8) * 64,
            (1, 8, 8, 8),
        ),
        (
            OpSpec.of("dil_conv", SHAPE, kernel=3, dilation=2, stride=1, affine=0),
            8 * 9 + 8 * 8,
            (8 * 9 + 8 * 8) * 256,
            SHAPE,
        ),
        (OpSpec.of("max_pool", (1, 8, 7, 7), kernel=3, stride=2, batch_norm=1), 0, 0, (1, 8, 4, 4)),
        (OpSpec.of("avg_pool", SHAPE, kernel=3, stride=1, batch_norm=0), 0, 0, SHAPE),
        (OpSpec.of("pool_conv", SHAPE, out=16), 8 * 16, 8 * 16 * 64, (1, 16, 8, 8)),
        (
            OpSpec.of("conv_bn_relu6", SHAPE, out=4, kernel=3, stride=2),
            8 * 4 * 9 + 2 * 4,
            8 * 4 * 9 * 64,
            (1, 4, 8, 8),
        ),
        (
            OpSpec.of("inverted_residual", SHAPE, out=12, kernel=5, stride=2, expansion=6),
            (8 * 48 + 2 * 48) + (48 * 25 + 2 * 48) + (48 * 12 + 2 * 12),
            8 * 48 * 256 + 48 * 25 * 64 + 48 * 12 * 64,
            (1, 12, 8, 8),
        ),
        (
            OpSpec.of("inverted_residual", SHAPE, out=4, kernel=3, stride=1, expansion=1),
            (8 * 9 + 2 * 8) + (8 * 4 + 2 * 4),
            (8 * 9 + 8 * 4) * 256,
            (1, 4, 16, 16),
        ),
        (OpSpec.of("zero", (1, 3, 15, 16), out=8, stride=2), 0, 0, (1, 8, 8, 8)),
        (OpSpec.of("norm_classifier", SHAPE, out=10), 2 * 8 + 8 * 10 + 10, 8 * 10, (1, 10)),
        (OpSpec.of("sum", SHAPE, inputs=3), 0, 0, SHAPE),
        (OpSpec.of("concat", SHAPE, inputs=4), 0, 0, (1, 32, 16, 16)),
        (OpSpec.of("classifier", SHAPE, out=10), 8 * 10 + 10, 8 * 10, (1, 10)),
        (
            OpSpec.of(
                "mbconv",
                SHAPE,
                out=4,
                kernel=5,
                stride=2,
                expansion=3,
                dilation=1,
                expand_groups=2,
                project_groups=1,
            ),
            8 // 2 * 24 + 24 * 25 + 24 * 4 + 2 * (24 + 24 + 4),
            8 // 2 * 24 * 256 + (24 * 25 + 24 * 4) * 64,
            (1, 4, 8, 8),
        ),
        (
            OpSpec.of("rec", SHAPE, out=4, kernel=7, stride=2, expansion=1),
            8 * 8 + 2 * (8 * 8 * 7) + 8 * 4 + 2 * (3 * 8 + 4),
            8 * 8 * 256 + 8 * 8 * 7 * (16 * 8 + 64) + 8 * 4 * 64,
            (1, 4, 8, 8),
        ),
        (
            OpSpec.of("normal_conv", SHAPE, out=4, kernel=3, stride=2, expansion=2),
            8 * 16 + 16 * 16 * 9 + 16 * 4 + 2 * (2 * 16 + 4),
            8 * 16 * 256 + (16 * 16 * 9 + 16 * 4) * 64,
            (1, 4, 8, 8),
        ),
        (
            OpSpec.of("dual_conv", SHAPE, out=4, kernel=3, stride=2, expansion=2),
            8 * 16 + 2 * (16 * 16 * 9) + 16 * 4 + 2 * (3 * 16 + 4),
            (8 * 16 + 16 * 16 * 9) * 256 + (16 * 16 * 9 + 16 * 4) * 64,
            (1, 4, 8, 8),
        ),
        (
            OpSpec.of("conv_bn_relu", SHAPE, out=4, kernel=3, stride=2),
            8 * 4 * 9 + 2 * 4,
            8 * 4 * 9 * 64,
            (1, 4, 8, 8),
        ),
        (OpSpec.of("conv_relu", SHAPE, out=4, kernel=1, stride=1), 8 * 4, 8 * 4 * 256, (1, 4, 16, 16)),
        (OpSpec.of("mean", SHAPE, inputs=3), 0, 0, SHAPE),
        (OpSpec.of("call_overhead", (1, 1, 1, 1)), 0, 0, (1, 1, 1, 1)),
    ],
    ids=lambda value: value.kind if isinstance(value, OpSpec) else "",
)
def test_counts_and_shape_agree_with_arithmetic_by_hand(
    spec: OpSpec, parameters: int, macs: int, shape: tuple[int, ...]
) -> None:
    assert operations.parameters(spec) == parameters
    assert operations.macs(spec) == macs
    assert operations.output_shape(spec) == shape


def test_macs_are_those_of_one_image_whatever_the_batch() -> None:
    one, many = (OpSpec.of("sep_conv", (n, 8, 16, 16), kernel=3, stride=1, affine=0) for n in (1, 64))
    assert operations.macs(one) == operations.macs(many)
    assert operations.output_shape(many) == (64, 8, 16, 16)


def test_an_unknown_kind_is_named_with_those_that_exist() -> None:
    with pytest.raises(SpecError, match=r"mystery\[.*sep_conv"):
        operations.layers_of(OpSpec.of("mystery", SHAPE))


@pytest.mark.parametrize(
    "spec",
    [
        OpSpec.of("sep_conv", SHAPE, stride=1, affine=0),
        OpSpec.of("sep_conv", SHAPE, kernel="three", stride=1, affine=0),
        OpSpec.of("sep_conv", (8, 16, 16), kernel=3, stride=1, affine=0),
        OpSpec.of("factorized_reduce", (1, 8, 7, 7), out=8, affine=0),
        OpSpec.of("factorized_reduce", SHAPE, out=7, affine=0),
        OpSpec.of("pool_conv", (1, 8, 7, 8), out=8),
        OpSpec.of(
            "mbconv",
            (1, 7, 8, 8),
            out=8,
            kernel=3,
            stride=1,
            expansion=1,
            dilation=1,
            expand_groups=2,
            project_groups=1,
        ),
    ],
    ids=str,
)
def test_a_spec_that_its_kind_cannot_have_is_refused(spec: OpSpec) -> None:
    with pytest.raises(SpecError, match=spec.kind):
        operations.parameters(spec)


def test_the_convolutions_of_an_operation_come_with_the_shapes_that_they_read() -> None:
    rec = OpSpec.of("rec", SHAPE, out=4, kernel=5, stride=2, expansion=2)
    assert [(conv.kernel_size, conv.strides, shape[1:]) for conv, shape in operations.conv_inputs(rec)] == [
        ((1, 1), (1, 1), (8, 16, 16)),
        ((1, 5), (1, 2), (16, 16, 16)),
        ((5, 1), (2, 1), (16, 16, 8)),
        ((1, 1), (1, 1), (16, 8, 8)),
    ]
