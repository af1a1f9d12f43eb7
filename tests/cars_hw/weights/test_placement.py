"""Where weights lie: the layout that suits a device, and operations in the form that suits it."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from cars_hw.weights import modules
from cars_hw.weights.placement import placed, sent
from cars_hw.weights.training_plan import Layout, TrainingPlan
from latency_tables import OpSpec

_CPU, _META = torch.device("cpu"), torch.device("meta")
_CONVOLUTION = OpSpec.of("conv_bn", (1, 16, 8, 8), out=24, kernel=3, stride=1, affine=1)
_DILATED = OpSpec.of("dil_conv", (1, 16, 8, 8), out=16, kernel=3, stride=1, dilation=2, affine=1)


def _weight(module: nn.Module) -> torch.Tensor:
    return next(one.weight for one in module.modules() if isinstance(one, nn.Conv2d))


@pytest.mark.parametrize(
    ("layout", "device", "is_half", "is_channels_last"),
    [
        ("auto", _CPU, False, True),
        ("auto", _CPU, True, True),
        ("auto", _META, False, False),
        ("auto", _META, True, True),
        ("contiguous", _CPU, False, False),
        ("channels_last", _META, False, True),
    ],
)
def test_weights_lie_as_suits_the_device_unless_they_are_told_how(
    layout: Layout, device: torch.device, is_half: bool, is_channels_last: bool
) -> None:
    module = placed(modules.build(_CONVOLUTION), TrainingPlan(layout=layout), device, is_half=is_half)
    weight = _weight(module)
    assert weight.device == device
    assert weight.is_contiguous(memory_format=torch.channels_last) is is_channels_last
    assert weight.is_contiguous() is not is_channels_last


def test_the_layout_changes_no_weight_and_decides_that_of_what_is_computed() -> None:
    image = torch.randn(2, 16, 8, 8)
    with modules.seeded(0):
        ours = placed(modules.build(_CONVOLUTION), TrainingPlan(layout="contiguous"), _CPU, is_half=False)
    with modules.seeded(0):
        theirs = modules.build(_CONVOLUTION)
    assert torch.equal(_weight(ours), _weight(theirs))
    assert ours(image).is_contiguous()
    assert not theirs(image).is_contiguous()
    torch.testing.assert_close(ours(image), theirs(image))


class _Dilations(TorchDispatchMode):
    """Notes the dilation of each convolution."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func.name() == "aten::convolution":
            self.found.append(tuple(args[5]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("device", "is_plain"), [(_CPU, False), (_META, True)])
def test_a_dilated_convolution_is_trained_as_a_dense_one_on_a_cpu_alone(
    device: torch.device, is_plain: bool
) -> None:
    module = modules.build(_DILATED).to(device).train()
    with _Dilations() as dilations:
        output = module(torch.zeros(2, 16, 8, 8, device=device))
    assert output.shape == (2, 16, 8, 8)
    assert ((2, 2) in dilations.found) is is_plain


def test_what_is_sent_to_where_it_is_stays_the_same_tensor() -> None:
    tensor = torch.ones(2)
    assert sent(tensor, _CPU) is tensor
    assert sent(tensor, _META).device == _META
