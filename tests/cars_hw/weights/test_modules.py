import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cars_hw import spaces
from cars_hw.networks import operations
from cars_hw.weights import modules
from latency_tables.spec import OpSpec

ROOT = Path(__file__).parents[3]
CHECKING_MALLOC = Path("/lib/x86_64-linux-gnu/libc_malloc_debug.so.0")


def every_operation() -> Iterator[OpSpec]:
    """Every operation of the deployed and searched networks, as small as it can be in height and width."""
    found: dict[OpSpec, None] = {}
    loaded = [
        *(spaces.load("darts", deploy=deploy) for deploy in ("cifar", "imagenet", "search")),
        *(spaces.load("nasbench201", deploy=deploy) for deploy in ("nasbench201", "search")),
        spaces.load("mobilenet", deploy="imagenet"),
        *(
            spaces.load("nse", variant=variant, deploy="search", channels=2, stages=2, depth=1)
            for variant in ("nsenet", "nsenet-gpu")
        ),
    ]
    for space in loaded:
        for spec in space.all_operations():
            n, c, *_ = spec.input_shape
            found[OpSpec(spec.kind, (n, c, 8, 8), spec.params)] = None
    yield from found


def inputs_of(spec: OpSpec, *, batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, *shape[1:], generator=generator) for shape in spec.input_shapes]


def odd_size(spec: OpSpec) -> OpSpec:
    return OpSpec(spec.kind, (*spec.input_shape[:2], 7, 5), spec.params)


def test_arithmetic_agrees_with_torch_on_every_operation_of_the_space() -> None:
    for spec in every_operation():
        for sized in (spec, odd_size(spec)):
            if spec.kind in ("factorized_reduce", "pool_conv") and sized is not spec:
                continue
            module = modules.build(sized)
            output = module(*inputs_of(sized))
            assert output.shape == (2, *operations.output_shape(sized)[1:]), str(sized)
            assert sum(p.numel() for p in module.parameters()) == operations.parameters(sized), str(sized)


def test_no_operation_changes_its_inputs() -> None:
    for spec in every_operation():
        tensors = inputs_of(spec)
        before = [tensor.clone() for tensor in tensors]
        modules.build(spec)(*tensors)
        assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, before, strict=True)), str(spec)


def test_an_average_does_not_count_the_padding() -> None:
    pool = modules.build(OpSpec.of("avg_pool", (1, 2, 6, 6), kernel=3, stride=1, batch_norm=0))
    ones = torch.ones(1, 2, 6, 6)
    torch.testing.assert_close(pool(ones), ones)


def test_zeros_have_the_size_and_the_channels_asked_for() -> None:
    zero = modules.build(OpSpec.of("zero", (1, 3, 8, 6), out=5, stride=2))
    torch.testing.assert_close(zero(torch.randn(2, 3, 8, 6)), torch.zeros(2, 5, 4, 3))


def test_a_pooled_convolution_sees_the_mean_of_two_by_two_pixels() -> None:
    module = modules.build(OpSpec.of("pool_conv", (1, 3, 4, 6), out=2))
    image = torch.randn(1, 3, 4, 6)
    [weight] = module.parameters()
    means = image.reshape(1, 3, 2, 2, 3, 2).mean(dim=(3, 5))
    torch.testing.assert_close(module(image), torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], means))


def test_a_norm_classifier_normalises_before_it_averages() -> None:
    module = modules.build(OpSpec.of("norm_classifier", (1, 4, 2, 2), out=3)).train()
    image = torch.randn(6, 4, 2, 2)
    linear = next(part for part in module.modules() if isinstance(part, nn.Linear))
    normalised = functional.batch_norm(image, None, None, training=True).relu().mean(dim=(2, 3))
    torch.testing.assert_close(module(image), linear(normalised))


def test_a_factorized_reduction_sees_every_second_pixel_of_both_diagonals() -> None:
    reduce = modules.build(OpSpec.of("factorized_reduce", (1, 3, 4, 4), out=4, affine=0)).eval()
    image = torch.randn(1, 3, 4, 4)
    even, odd = (parameter[:, :, 0, 0] for parameter in reduce.parameters())
    rectified = image.relu()
    expected = torch.cat(
        [
            torch.einsum("oc,nchw->nohw", even, rectified[:, :, ::2, ::2]),
            torch.einsum("oc,nchw->nohw", odd, rectified[:, :, 1::2, 1::2]),
        ],
        dim=1,
    )
    torch.testing.assert_close(reduce(image), expected / (1 + 1e-5) ** 0.5)


def test_a_separable_convolution_is_two_depthwise_and_pointwise_pairs() -> None:
    spec = OpSpec.of("sep_conv", (1, 3, 8, 8), kernel=5, stride=2, affine=0)
    module = modules.build(spec)
    image = torch.randn(4, 3, 8, 8)
    expected = image
    first_depthwise, first_pointwise, second_depthwise, second_pointwise = module.parameters()
    for depthwise, pointwise, stride in (
        (first_depthwise, first_pointwise, 2),
        (second_depthwise, second_pointwise, 1),
    ):
        expected = functional.conv2d(expected.relu(), depthwise, stride=stride, padding=2, groups=3)
        expected = functional.conv2d(expected, pointwise)
        expected = functional.batch_norm(expected, None, None, training=True)
    torch.testing.assert_close(module(image), expected)


def test_a_dilated_convolution_reaches_over_the_gaps() -> None:
    spec = OpSpec.of("dil_conv", (1, 1, 9, 9), kernel=3, dilation=2, stride=1, affine=0)
    module = modules.build(spec).eval()
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1
    reached = module(image)[0, 0].nonzero().unique().tolist()
    assert reached == [2, 4, 6]


def test_a_rectangular_bottleneck_strides_to_the_right_and_then_down() -> None:
    module = modules.build(OpSpec.of("rec", (1, 2, 8, 6), out=3, kernel=5, stride=2, expansion=2))
    image = torch.randn(4, 2, 8, 6)
    expected = image
    convs = [layer.weight for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    paths = [((1, 1), (0, 0)), ((1, 2), (0, 2)), ((2, 1), (2, 0)), ((1, 1), (0, 0))]
    for i, (weight, (stride, padding)) in enumerate(zip(convs, paths, strict=True)):
        expected = functional.conv2d(expected, weight, stride=stride, padding=padding)
        expected = functional.batch_norm(expected, None, None, training=True)
        expected = expected.relu() if i < 3 else expected
    torch.testing.assert_close(module(image), expected)


def test_a_grouped_bottleneck_mixes_no_groups_before_the_last_convolution() -> None:
    spec = OpSpec.of(
        "mbconv",
        (1, 4, 4, 4),
        out=4,
        kernel=3,
        stride=1,
        expansion=3,
        dilation=1,
        expand_groups=2,
        project_groups=2,
    )
    module = modules.build(spec).eval()
    image = torch.randn(1, 4, 4, 4)
    changed = image.clone()
    changed[:, 2:] += 1
    before, after = module(image), module(changed)
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.equal(before[:, 2:], after[:, 2:])


@pytest.mark.parametrize(
    ("kind", "expected"), [("sum", 2 + 3 + 4), ("mean", (2 + 3 + 4) / 3), ("concat", [2, 3, 4])]
)
def test_operations_of_several_inputs_take_all_of_them(kind: str, expected: float | list[float]) -> None:
    module = modules.build(OpSpec.of(kind, (1, 1, 1, 1), inputs=3))
    output = module(*(torch.full((1, 1, 1, 1), float(value)) for value in (2, 3, 4)))
    assert output.flatten().tolist() == (expected if isinstance(expected, list) else [expected])


def test_weights_depend_on_the_seed_alone_and_leave_the_generator_alone() -> None:
    spec = OpSpec.of("sep_conv", (1, 4, 8, 8), kernel=3, stride=1, affine=1)

    def weights(seed: int) -> Tensor:
        with modules.seeded(seed):
            return nn.utils.parameters_to_vector(modules.build(spec).parameters())

    before = torch.random.get_rng_state()
    first = weights(1)
    torch.rand(3)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))
    torch.random.set_rng_state(before)
    weights(1)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.skipif(not CHECKING_MALLOC.exists(), reason="glibc's checking malloc is not installed")
def test_a_narrow_factorized_reduction_does_not_write_outside_of_its_buffers() -> None:
    program = """
import torch
from cars_hw.weights import modules
from latency_tables.spec import OpSpec
for channels in (2, 4, 6):
    module = modules.build(OpSpec.of("factorized_reduce", (1, channels, 8, 8), out=2 * channels, affine=0))
    for batch in (1, 3, 4, 32):
        image = torch.randn(batch, channels, 8, 8).contiguous(memory_format=torch.channels_last)
        module(image.requires_grad_()).sum().backward()
"""
    environment = os.environ | {"LD_PRELOAD": str(CHECKING_MALLOC), "MALLOC_CHECK_": "3"}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [8, 6, 7])
def test_a_dilated_convolution_trains_as_what_it_evaluates(kernel: int, stride: int, size: int) -> None:
    convolution = modules.DilatedConv(
        4, 4, kernel, stride=stride, padding=kernel - 1, dilation=2, groups=4, bias=False, dtype=torch.float64
    )
    image = torch.randn(3, 4, size, size, dtype=torch.float64)
    results = []
    for is_training in (True, False):
        convolution.train(is_training).zero_grad()
        leaf = image.clone().requires_grad_()
        output = convolution(leaf)
        output.square().sum().backward()
        assert leaf.grad is not None
        assert convolution.weight.grad is not None
        results.append((output.detach(), leaf.grad, convolution.weight.grad.clone()))
    for trained, evaluated in zip(*results, strict=True):
        torch.testing.assert_close(trained, evaluated)


@pytest.mark.parametrize("stride", [3, 4, (1, 2)])
def test_a_dilated_convolution_of_another_stride_trains_in_the_plain_form(
    stride: int | tuple[int, int],
) -> None:
    convolution = modules.DilatedConv(2, 2, 3, stride=stride, padding=2, dilation=2, bias=False)
    image = torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(convolution.train()(image), convolution.eval()(image))
