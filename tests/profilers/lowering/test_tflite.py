"""The lowering to TFLite: torch's numbers by both kinds of kernels, few operations, equal bytes."""

import copy
from collections import Counter

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from cars_hw.spaces.darts import Darts
from cars_hw.weights import modules
from latency_tables.spec import OpSpec
from profilers.errors import UnsupportedOperationError
from profilers.lowering.tflite import lower
from tests.fakes.modules import InverseError, Pair
from tests.fakes.networks import normalised_network, random_images
from tests.fakes.tflite_files import content, run, weight_offsets

PARITY = 1e-5

IMAGE = (1, 8, 12, 12)


class Mean(nn.Module):
    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first + other
        return first / (1 + len(others))


class Shifted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 1:, ::2] * 0.5 + 1.0


class Zeros(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.new_zeros(n, 2 * c, -(-h // 2), -(-w // 2))


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


class Gated(nn.Module):
    """An image times a number for each channel, which comes of the image."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True) * x


class Curves(nn.Module):
    """Activations as functions and methods, of one image."""

    def forward(self, x: Tensor) -> Tensor:
        curves = nn.functional
        steps = curves.hardswish(x) + curves.hardsigmoid(x)
        return steps + curves.silu(x) + curves.gelu(x) * (x + 1.0).sigmoid()


class Squared(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x


class Stretched(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x[:, :1]


class Residual(nn.Module):
    """A block whose branches are reductions, with a dead branch and one of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.dead = nn.MaxPool2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.dead(x)
        return nn.functional.relu(self.norm(self.conv(x)) + torch.zeros_like(x) + x)


class Overwriting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        z = nn.functional.relu(y, inplace=True)
        return y + z


class Undecided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def random_statistics(module: nn.Module) -> nn.Module:
    """Give all normalisations statistics that a wrong lowering could not hide behind."""
    rng = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, generator=rng)  # type: ignore[arg-type]
            nn.init.uniform_(part.running_var, 0.5, 2.0, generator=rng)  # type: ignore[arg-type]
            if part.affine:
                nn.init.normal_(part.weight, generator=rng)
                nn.init.normal_(part.bias, generator=rng)
    return module.eval()


def check(module: nn.Module, *shapes: tuple[int, ...]) -> Counter[str]:
    """Hold the file against torch, by both kinds of kernels; return its operations."""
    rng = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=rng) for shape in shapes]
    model = lower(random_statistics(module), shapes)
    with torch.inference_mode():
        reference = module(*inputs)
    scale = float(reference.abs().max())
    for delegated in (True, False):
        output = run(model, *inputs, delegated=delegated)
        torch.testing.assert_close(output, reference, rtol=0, atol=PARITY * max(scale, 1e-3))
    operations = content(model).operations
    assert "TRANSPOSE" not in operations
    return operations


@pytest.mark.parametrize(
    ("module", "operations"),
    [
        (nn.Conv2d(8, 16, 3, padding=1), {"CONV_2D": 1}),
        (nn.Conv2d(8, 16, 3, padding="same", dilation=2), {"CONV_2D": 1}),
        (nn.Conv2d(8, 16, 3, padding=1, stride=2), {"PAD": 1, "CONV_2D": 1}),
        (nn.Conv2d(8, 16, 1, stride=2), {"CONV_2D": 1}),
        (nn.Conv2d(8, 8, 11, padding=5, groups=8), {"DEPTHWISE_CONV_2D": 1}),
        (nn.Conv2d(8, 16, 3, padding=3, dilation=3, groups=8), {"DEPTHWISE_CONV_2D": 1}),
        (nn.Conv2d(8, 16, 1, groups=4), {"CONV_2D": 1}),
        (nn.Conv2d(8, 8, (1, 7), stride=(1, 2), padding=(0, 3)), {"PAD": 1, "CONV_2D": 1}),
        (nn.Conv2d(8, 8, (7, 1), padding=(3, 0)), {"CONV_2D": 1}),
        (nn.MaxPool2d(3, 1, 1), {"MAX_POOL_2D": 1}),
        (nn.MaxPool2d(3, 2, 1), {"SLICE": 2, "CONCATENATION": 2, "MAX_POOL_2D": 1}),
        (nn.AvgPool2d(2, 2), {"AVERAGE_POOL_2D": 1}),
        (nn.AvgPool2d(3, 1, 1, count_include_pad=False), {"AVERAGE_POOL_2D": 1}),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), {"PAD": 1, "AVERAGE_POOL_2D": 1, "MUL": 1}),
        (nn.AvgPool2d(3, 1, 1), {"PAD": 1, "AVERAGE_POOL_2D": 1}),
        (nn.ReLU(), {"RELU": 1}),
        (nn.ReLU6(), {"RELU6": 1}),
        (nn.Sigmoid(), {"LOGISTIC": 1}),
        (nn.Hardsigmoid(), {"ADD": 1, "MUL": 1}),
        (nn.SiLU(), {"LOGISTIC": 1, "MUL": 1}),
        (nn.Hardswish(), {"HARD_SWISH": 1}),
        (nn.GELU(), {"GELU": 1}),
        (nn.GELU(approximate="tanh"), {"GELU": 1}),
        (Curves(), {"LOGISTIC": 2, "HARD_SWISH": 1, "GELU": 1, "ADD": 5, "MUL": 3}),
        (nn.BatchNorm2d(8), {"MUL": 1, "ADD": 1}),
        (nn.Identity(), {"RESHAPE": 1}),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), {"MEAN": 1, "RESHAPE": 1}),
        (modules.FactorizedConv(8, 8), {"SLICE": 1, "CONV_2D": 2, "CONCATENATION": 1}),
        (Shifted(), {"STRIDED_SLICE": 1, "MUL": 1, "ADD": 1}),
        (Nothing(), {"MUL": 1}),
        (Gated(), {"MEAN": 1, "MUL": 1}),
        (Squared(), {"MUL": 1}),
        (Zeros(), {"RESHAPE": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_layer_is_the_fewest_operations_with_the_numbers_of_torch(
    module: nn.Module, operations: dict[str, int]
) -> None:
    assert check(module, IMAGE) == operations


@pytest.mark.parametrize("module", [modules.Sum(), modules.Concat(), Mean()])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_layers_of_several_inputs_take_any_number(module: nn.Module, n: int) -> None:
    check(module, *[IMAGE] * n)


@given(
    kernel=st.tuples(*[st.sampled_from([1, 2, 3, 5, 7, 11])] * 2),
    stride=st.tuples(*[st.integers(1, 3)] * 2),
    dilation=st.integers(1, 3),
    padding=st.tuples(*[st.integers(0, 6)] * 2),
    size=st.tuples(*[st.integers(1, 16)] * 2),
    channels=st.sampled_from([(4, 6, 1), (4, 4, 4), (4, 8, 4), (6, 4, 2), (1, 3, 1), (1, 1, 1)]),
)
def test_any_convolution_computes_what_torch_computes(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: int,
    padding: tuple[int, int],
    size: tuple[int, int],
    channels: tuple[int, int, int],
) -> None:
    assume(all(n + 2 * p > dilation * (k - 1) for n, p, k in zip(size, padding, kernel, strict=True)))
    c_in, c_out, groups = channels
    torch.manual_seed(0)
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, groups, bias=False)
    check(nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU6()), (1, c_in, *size))


@given(
    kernel=st.sampled_from([1, 2, 3, 5]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    size=st.tuples(*[st.integers(1, 12)] * 2),
    counts_padding=st.booleans(),
)
def test_any_pooling_computes_what_torch_computes(
    kernel: int, stride: int, padding: int, size: tuple[int, int], counts_padding: bool
) -> None:
    assume(padding <= kernel // 2 and min(size) + 2 * padding >= kernel)
    check(nn.MaxPool2d(kernel, stride, padding), (1, 3, *size))
    check(nn.AvgPool2d(kernel, stride, padding, count_include_pad=counts_padding), (1, 3, *size))


@pytest.mark.parametrize("seed", range(4))
def test_whole_networks_agree_with_torch_as_closely_as_torch_with_exact_arithmetic(seed: int) -> None:
    space = Darts(cells=8, channels=8, deploy="search")
    network, x = normalised_network(space, seed), random_images(space)
    with torch.inference_mode():
        reference = network(x)
        exact = copy.deepcopy(network).double()(x.double())
    # Random weights amplify rounding: torch itself is this far from the exact logits.
    rounding = float((reference - exact).abs().max())
    scale = float(exact.abs().max())
    output = run(lower(network, [tuple(x.shape)]), x)
    assert float((output - exact).abs().max()) <= PARITY * scale + 4 * rounding
    assert rounding < 1e-2 * scale < float(exact.std())  # else the bound would hold for any output


def test_normalisations_are_folded_and_activations_fused() -> None:
    modules = [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU()]
    modules += [nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16, affine=False), nn.ReLU6()]
    assert check(nn.Sequential(*modules), IMAGE) == {"DEPTHWISE_CONV_2D": 1, "CONV_2D": 1}
    assert content(lower(nn.Sequential(*modules).eval(), [IMAGE])).activations == 2


def test_a_normalisation_of_joined_convolutions_is_folded_into_each() -> None:
    operations = check(nn.Sequential(modules.FactorizedConv(8, 12), nn.BatchNorm2d(12)), IMAGE)
    assert operations == {"SLICE": 1, "CONV_2D": 2, "CONCATENATION": 1}


def test_an_activation_of_joined_tensors_is_not_fused() -> None:
    class Joined(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(torch.cat([x, 2 * x], dim=1))

    assert check(Joined(), IMAGE) == {"MUL": 1, "CONCATENATION": 1, "RELU": 1}


def test_a_result_that_others_read_without_it_keeps_its_activation_apart() -> None:
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return torch.cat([y, torch.relu(y)], dim=1)

    assert check(Split(), IMAGE) == {"CONV_2D": 1, "RELU": 1, "CONCATENATION": 1}


def test_dead_branches_and_zeros_cost_nothing() -> None:
    assert check(Residual(), IMAGE) == {"CONV_2D": 1, "ADD": 1}


def test_what_is_computed_twice_runs_once() -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([torch.relu(x), nn.functional.relu(x)], dim=1)

    assert check(Twice(), IMAGE) == {"RELU": 1, "CONCATENATION": 1}


@pytest.mark.parametrize("dilation", [1, 2])
def test_our_own_convolutions_are_lowered_in_their_plain_form(dilation: int) -> None:
    kind = "dil_conv" if dilation > 1 else "sep_conv"
    parameters = {"dilation": dilation} if dilation > 1 else {}
    module = modules.build(OpSpec.of(kind, IMAGE, kernel=5, stride=1, affine=1, **parameters))
    assert check(module.train(), IMAGE)["DEPTHWISE_CONV_2D"] == 3 - dilation


def test_images_are_channels_last_at_the_borders_and_everything_has_a_name() -> None:
    described = content(lower(modules.Sum(), [IMAGE, IMAGE]))
    assert described.inputs == [(1, 12, 12, 8)] * 2
    assert described.signature == ("serving_default", ["input", "input_1"], ["output"])
    assert len(set(described.tensors)) == len(described.tensors)
    assert {"input", "input_1", "output"} <= set(described.tensors)


def test_equal_modules_give_equal_bytes() -> None:
    spec = OpSpec.of("sep_conv", IMAGE, kernel=3, stride=1, affine=1)

    def lowered() -> bytes:
        with modules.seeded(0):
            return lower(modules.build(spec), [IMAGE])

    assert lowered() == lowered()


def test_the_file_has_the_identifier_and_the_alignment_of_the_schema() -> None:
    model = lower(nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 7, 3)).eval(), [(1, 3, 9, 9)])
    assert model[4:8] == b"TFL3"
    offsets = weight_offsets(model)
    assert len(offsets) == 4
    assert all(offset % 16 == 0 for offset in offsets)


def test_each_part_gets_its_own_mode_back() -> None:
    module = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)).train()
    module[1].eval()
    lower(module, [IMAGE])
    assert [part.training for part in (module, *module)] == [True, True, False]


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (nn.Sequential(nn.Conv2d(8, 8, 1), nn.Tanh()), "Tanh"),
        (InverseError(), "erfinv"),
        (Overwriting(), "relu overwrites a tensor that others read"),
        (Undecided(), "Undecided has no form in TFLite"),
        (Pair(), "returns a tuple"),
        (nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), "reflect padding"),
        (nn.BatchNorm2d(8, track_running_stats=False), "without running statistics"),
        (nn.AvgPool2d(2, ceil_mode=True), "AvgPool2d with ceil_mode"),
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override"),
        (nn.MaxPool2d(2, dilation=2), "dilation=2"),
        (nn.AdaptiveAvgPool2d(2), "AdaptiveAvgPool2d"),
        (Stretched(), "mul of"),
        (nn.Flatten(), "would need a transposition"),
        (nn.Linear(12, 4), "flatten first"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form_is_named(module: nn.Module, named: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=named) as caught:
        lower(module, [IMAGE])
    assert "\n" not in str(caught.value)


def test_tensors_that_would_have_to_be_stretched_are_refused() -> None:
    with pytest.raises(UnsupportedOperationError, match="add of"):
        lower(modules.Sum(), [IMAGE, (1, 1, 12, 12)])
