"""8-bit integers inside, floats at the borders, and nothing on the terminal."""

import numpy as np
import pytest
import torch
from torch import nn

from profilers.errors import UnsupportedOperationError
from profilers.lowering.int8 import quantize
from profilers.lowering.tflite import lower
from profilers.runtimes._tflite.interpreter import TfLiteModel
from tests.fakes.tflite_files import run

_IMAGES = torch.randn(32, 8, 12, 12, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = [nn.Conv2d(8, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(32, 32, 3, stride=2)]
    parts += [nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(32, 10)).eval()


def test_it_is_smaller_and_computes_nearly_the_same() -> None:
    model = lower(network(), [(1, 8, 12, 12)])
    small = quantize(model, _IMAGES.numpy())
    assert len(small) < len(model) / 2
    whole, rounded = (torch.cat([run(each, image[None]) for image in _IMAGES]) for each in (model, small))
    assert float((whole - rounded).abs().max()) < 0.05 * float(whole.abs().max())
    assert not torch.equal(whole, rounded)


def test_inputs_and_outputs_stay_floats() -> None:
    small = TfLiteModel(quantize(lower(network(), [(1, 8, 12, 12)]), _IMAGES.numpy()))
    assert small.input_types == ["float32"]
    assert small.input_shapes == [(1, 12, 12, 8)]


def test_the_largest_value_of_any_image_is_within_the_range() -> None:
    images = np.full((8, 1, 2, 2), 0.1, dtype=np.float32)
    images[5] = 100.0  # a mean over the ranges of the images would cut it off
    model = lower(nn.Conv2d(1, 1, 1), [(1, 1, 2, 2)])
    bright = torch.from_numpy(images[5:6])
    expected = run(model, bright)
    torch.testing.assert_close(run(quantize(model, images), bright), expected, rtol=0.02, atol=0)


def test_equal_models_and_images_give_equal_bytes() -> None:
    model = lower(network(), [(1, 8, 12, 12)])
    assert quantize(model, _IMAGES.numpy()) == quantize(model, _IMAGES.numpy())


def test_the_quantizer_is_kept_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    quantize(lower(network(), [(1, 8, 12, 12)]), _IMAGES.numpy())
    told = capfd.readouterr()
    assert told.out == ""
    assert "Quantiz" not in told.err


@pytest.mark.parametrize("n", [0, 4])
def test_without_images_or_with_black_ones_there_are_no_ranges(n: int) -> None:
    with pytest.raises(UnsupportedOperationError, match="no form in 8-bit integers") as caught:
        quantize(lower(network(), [(1, 8, 12, 12)]), np.zeros((n, 8, 12, 12), dtype=np.float32))
    assert "\n" not in str(caught.value)
