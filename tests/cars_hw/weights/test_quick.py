"""Quick forms: what they compute, how their gradients lie, and who has them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cars_hw.data import Data, ImageSet
from cars_hw.retraining.trainer import NetworkTrainer
from cars_hw.spaces.darts import Darts
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from cars_hw.weights.placement import placed
from cars_hw.weights.quick import HasQuickForm, quicken
from cars_hw.weights.retraining_plan import RetrainingPlan
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.training_plan import TrainingPlan
from latency_tables import OpSpec

_SHAPE = (1, 8, 16, 16)
_SPECS = [
    OpSpec.of("avg_pool", _SHAPE, kernel=3, stride=1, batch_norm=0),
    OpSpec.of("avg_pool", _SHAPE, kernel=5, stride=1, batch_norm=0),
    OpSpec.of("avg_pool", _SHAPE, kernel=3, stride=2, batch_norm=0),
    OpSpec.of("max_pool", _SHAPE, kernel=3, stride=1, batch_norm=0),
    OpSpec.of("max_pool", _SHAPE, kernel=3, stride=2, batch_norm=0),
    OpSpec.of("factorized_reduce", _SHAPE, out=8, affine=0),
    OpSpec.of("dil_conv", _SHAPE, out=8, kernel=3, stride=2, dilation=2, affine=0),
    OpSpec.of("dil_conv", _SHAPE, out=8, kernel=5, stride=1, dilation=2, affine=0),
]
_CPU = torch.device("cpu")


def _both(spec: OpSpec) -> tuple[nn.Module, nn.Module]:
    found = []
    for is_quick in (True, False):
        with modules.seeded(0):
            module = modules.build(spec)
        quicken(module, is_quick=is_quick)
        found.append(module)
    return found[0], found[1]


def _images(layout: torch.memory_format = torch.channels_last, n: int = 32) -> Tensor:
    drawn = torch.randn((n, *_SHAPE[1:]), generator=torch.Generator().manual_seed(0))
    return drawn.contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("spec", _SPECS, ids=str)
def test_a_quick_form_has_the_values_and_gradients_of_torchs(
    spec: OpSpec, layout: torch.memory_format
) -> None:
    outputs, gradients = [], []
    for module in _both(spec):
        image = _images(layout).requires_grad_()
        output = module(image)
        output.backward(torch.linspace(-1, 1, output.numel()).reshape(output.shape))
        outputs.append(output.detach())
        gradients.append([image.grad, *(weight.grad for weight in module.parameters())])
    torch.testing.assert_close(*outputs)
    for quick, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(quick, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("spec", _SPECS, ids=str)
@torch.inference_mode()
def test_it_judges_as_torchs_does(spec: OpSpec) -> None:
    quick, plain = (module.eval()(_images()) for module in _both(spec))
    torch.testing.assert_close(quick, plain)


@pytest.mark.parametrize("spec", _SPECS[6:], ids=str)
def test_a_dilated_convolution_gives_the_same_bits_with_and_without_gradients(spec: OpSpec) -> None:
    for module in _both(spec):
        trained = module(_images())
        with torch.no_grad():
            assert torch.equal(module(_images()), trained)


@pytest.mark.parametrize("shape", [(33, 1, 15, 17), (64, 3, 13, 9)], ids=str)
@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("kind", ["avg_pool", "max_pool"])
def test_pools_of_any_size_have_the_values_of_torchs(
    kind: str, kernel: int, shape: tuple[int, int, int, int]
) -> None:
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    spec = OpSpec.of(kind, (1, *shape[1:]), kernel=kernel, stride=1, batch_norm=0)
    with torch.no_grad():
        quick, plain = (module(images) for module in _both(spec))
    torch.testing.assert_close(quick, plain)


def test_soft_paths_have_the_gradients_of_torchs() -> None:
    space, gradients = Darts(channels=4, cells=3, image_size=8), []
    for is_quick in (True, False):
        supernet = SuperNet(space, seed=1)
        quicken(supernet, is_quick=is_quick)
        image = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        supernet.forward_soft(image, space.sample(np.random.default_rng(0))).square().sum().backward()
        gradients.append({name: weight.grad for name, weight in supernet.named_parameters()})
    quick, plain = gradients
    for name, gradient in plain.items():
        torch.testing.assert_close(quick[name], gradient, rtol=1e-3, atol=1e-3)


def test_what_is_retrained_is_quick_and_what_comes_of_it_is_not() -> None:
    graph = Darts(channels=4, cells=3, image_size=32, deploy="search").deployed((0,) * 24)
    images = np.zeros((10, 3, 32, 32), np.uint8)
    part = ImageSet("zeros", images, np.arange(10), flips=False, source="made")
    trainer = NetworkTrainer(graph, Data(part, part), RetrainingPlan(batch_size=5, epochs=1))
    assert _is_quick(trainer.kept()) == {True}
    assert _is_quick(Network.untrained(graph)) == {False}


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@torch.inference_mode()
def test_max_pools_give_the_same_bits_for_any_number(bad: float) -> None:
    images = _images()
    images[0, 3, 5, 7] = images[1, 0, 0, 0] = bad
    quick, plain = (module(images) for module in _both(_SPECS[3]))
    torch.testing.assert_close(quick, plain, rtol=0, atol=0, equal_nan=True)


def test_what_an_evaluation_has_made_serves_training_too() -> None:
    quick, _ = _both(OpSpec.of("avg_pool", (1, 7, 17, 17), kernel=3, stride=1, batch_norm=0))
    images = torch.randn(32, 7, 17, 17)
    with torch.inference_mode():
        quick(images)
    quick(images.requires_grad_()).sum().backward()
    assert images.grad is not None


def test_gradients_of_a_concatenation_are_dense() -> None:
    joined = modules.build(OpSpec.of("concat", _SHAPE, inputs=2))
    quicken(joined, is_quick=True)
    parts = [_images().requires_grad_() for _ in range(2)]
    layouts = []
    for part in parts:
        part.register_hook(
            lambda gradient: layouts.append(gradient.is_contiguous(memory_format=torch.channels_last))
        )
    whole = joined(*parts)
    weights = torch.linspace(0, 1, whole.numel()).reshape(whole.shape)
    (whole * weights).sum().backward()
    assert layouts == [True, True]
    for part, expected in zip(parts, weights.split(8, dim=1), strict=True):
        assert part.grad is not None
        assert torch.equal(part.grad, expected)


def test_gradients_of_every_second_pixel_lie_as_the_image_does() -> None:
    for spec in (_SPECS[5], _SPECS[6]):
        quick, _ = _both(spec)
        before = nn.Identity()(_images().requires_grad_() * 1.0)
        layouts: list[bool] = []
        before.register_hook(
            lambda gradient, found=layouts: found.append(
                gradient.is_contiguous(memory_format=torch.channels_last)
            )
        )
        quick(before).sum().backward()
        assert layouts == [True]


def _is_quick(module: nn.Module) -> set[bool]:
    return {part.is_quick for part in module.modules() if isinstance(part, HasQuickForm)}


def test_shared_weights_are_quick_where_the_plan_says_so_and_what_ships_is_not() -> None:
    space = Darts(channels=4, cells=3, image_size=8)
    place: Callable[[nn.Module], nn.Module] = lambda module: placed(  # noqa: E731
        module, TrainingPlan(), _CPU, is_half=False
    )
    supernet = SuperNet(space, place=place)
    architecture = space.sample(np.random.default_rng(0))
    assert _is_quick(supernet) == {True}
    assert _is_quick(supernet.share(architecture)) == {True}
    assert _is_quick(supernet.extract(architecture)) == {False}
    plain = placed(modules.build(_SPECS[0]), TrainingPlan(quick_forms=False), _CPU, is_half=False)
    assert _is_quick(plain) == {False}


def test_numbers_of_half_the_size_have_torchs_form() -> None:
    quick, plain = _both(_SPECS[0])
    half = _images().to(torch.bfloat16)
    assert torch.equal(quick(half), plain(half))
