"""What stands before and behind a network in a file: pixels, probabilities, and how many images at once."""

import numpy as np
import onnxruntime
import pytest
import scipy.special
import torch
from torch import Tensor, nn

from cars_hw.weights import modules
from profilers import (
    ProfilingError,
    TfLiteModel,
    UnsupportedOperationError,
    WithPreprocessing,
    WithSoftmax,
    formats,
)
from profilers.formats import Array, FileFormat, Images
from tests.fakes.modules import Sum
from tests.fakes.tflite_files import content

_MEAN, _STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
_SHAPE = (3, 14, 10)


class Joined(nn.Module):
    """Joins an image with zeros that are known before."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.new_zeros(1, 1, 14, 10)], dim=1)


class Every(nn.Module):
    """Takes every second pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::2, 1::2]


@pytest.fixture(params=["onnx", "tflite"])
def made_by(request: pytest.FixtureRequest) -> FileFormat:
    return formats.load(request.param)


def network() -> nn.Sequential:
    """Return a network that slices, pads, joins, pools and reshapes."""
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), modules.FactorizedConv(8, 8)]
    parts += [nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()


def pixels(n: int) -> Images:
    return np.random.default_rng(0).integers(0, 256, (n, *_SHAPE), dtype=np.uint8)


def normalised(images: Images) -> Array:
    """Return what a data pipeline makes of pixels, in double precision."""
    mean, std = (np.array(each)[:, None, None] for each in (_MEAN, _STD))
    return np.asarray((images / 255.0 - mean) / std, dtype=np.float32)


def logits(module: nn.Module, images: Array) -> Array:
    with torch.inference_mode():
        return np.asarray(module(torch.from_numpy(images)))


def require_close(outputs: Array, expected: Array) -> None:
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_a_file_normalises_the_pixels_that_it_is_given(made_by: FileFormat) -> None:
    app = WithPreprocessing(network(), _MEAN, _STD)
    file = made_by.lower(app, [(1, *_SHAPE)], input_dtype="uint8")
    images = pixels(3)
    require_close(made_by.run(file, images), logits(network(), normalised(images)))


def test_a_file_gives_probabilities(made_by: FileFormat) -> None:
    images = normalised(pixels(3))
    file = made_by.lower(WithSoftmax(network()), [(1, *_SHAPE)])
    probabilities = made_by.run(file, images)
    require_close(probabilities, scipy.special.softmax(logits(network(), images), axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("n", [1, 4, 5])
def test_a_last_batch_that_is_not_full_is_filled_up_and_cut_off(made_by: FileFormat, n: int) -> None:
    images = normalised(pixels(n))
    file = made_by.lower(network(), [(4, *_SHAPE)])
    require_close(made_by.run(file, images), logits(network(), images))


@pytest.mark.parametrize("batch", [1, 4, 8])
def test_a_file_of_any_batch_takes_as_many_images_as_it_is_given(made_by: FileFormat, batch: int) -> None:
    images = pixels(8)
    app = WithSoftmax(WithPreprocessing(network(), _MEAN, _STD))
    file = made_by.lower(app, [(3, *_SHAPE)], input_dtype="uint8", is_batch_dynamic=True)
    expected = scipy.special.softmax(logits(network(), normalised(images)), axis=1)
    require_close(made_by.run(file, images, batch=batch), expected)


def test_a_grey_network_is_given_grey_pixels(made_by: FileFormat) -> None:
    torch.manual_seed(0)
    grey = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    file = made_by.lower(WithPreprocessing(grey, (0.25,), (0.5,)), [(1, 1, 5, 5)], input_dtype="uint8")
    images = np.arange(50, dtype=np.uint8).reshape(2, 1, 5, 5)
    expected = ((images / 255.0 - 0.25) / 0.5).astype(np.float32)
    require_close(made_by.run(file, images), logits(grey, expected))


def test_the_mode_of_the_network_is_that_of_what_it_is_wrapped_in() -> None:
    assert not WithSoftmax(WithPreprocessing(network(), _MEAN, _STD)).training
    assert WithSoftmax(network().train()).training


def test_onnx_runtime_sees_which_axis_is_free() -> None:
    made_by = formats.load("onnx")
    file = made_by.lower(network(), [(1, *_SHAPE)], is_batch_dynamic=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", *_SHAPE]
    assert session.get_outputs()[0].shape == ["batch", 5]


def test_xnnpack_runs_all_of_a_tflite_file_before_and_after_it_is_resized() -> None:
    file = formats.load("tflite").lower(network(), [(1, *_SHAPE)], is_batch_dynamic=True)
    model = TfLiteModel(file)
    assert model.is_batch_dynamic
    for batch in (1, 5):
        model.set_batch(batch)
        model.allocate()
        assert model.input_shapes == [(batch, 14, 10, 3)]
        assert model.nodes_outside() == 0


def test_slices_with_steps_take_any_batch() -> None:
    made_by = formats.load("tflite")
    file = made_by.lower(Every(), [(1, *_SHAPE)], is_batch_dynamic=True)
    images = normalised(pixels(3))
    np.testing.assert_array_equal(
        made_by.run(file, images, batch=3), images[:, :, ::2, 1::2].transpose(0, 2, 3, 1)
    )


def test_a_tflite_file_of_one_batch_is_not_resized() -> None:
    model = TfLiteModel(formats.load("tflite").lower(network(), [(2, *_SHAPE)]))
    assert not model.is_batch_dynamic
    with pytest.raises(ProfilingError, match="dimension 0"):
        model.set_batch(3)


def test_preprocessing_is_a_conversion_a_product_and_a_sum() -> None:
    made_by = formats.load("tflite")
    plain = content(made_by.lower(network(), [(1, *_SHAPE)])).operations
    app = WithPreprocessing(network(), _MEAN, _STD)
    with_pixels = content(made_by.lower(app, [(1, *_SHAPE)], input_dtype="uint8")).operations
    assert with_pixels - plain == {"CAST": 1, "MUL": 1, "ADD": 1}


def test_pixels_that_nothing_converts_have_no_form_in_tflite() -> None:
    with pytest.raises(UnsupportedOperationError, match="convert them to float32 first"):
        formats.load("tflite").lower(network(), [(1, *_SHAPE)], input_dtype="uint8")


def test_a_constant_that_is_joined_to_images_fixes_the_batch_of_a_tflite_file() -> None:
    made_by = formats.load("tflite")
    assert made_by.lower(Joined(), [(1, *_SHAPE)])
    with pytest.raises(UnsupportedOperationError, match="fix the batch"):
        made_by.lower(Joined(), [(1, *_SHAPE)], is_batch_dynamic=True)


def test_several_inputs_are_free_together() -> None:
    file = formats.load("tflite").lower(Sum(), [(1, 4), (1, 4)], is_batch_dynamic=True)
    model = TfLiteModel(file)
    model.set_batch(3)
    model.allocate()
    one, two = (np.full((3, 4), n, dtype=np.float32) for n in (1, 2))
    model.set_inputs([one, two])
    model.run()
    np.testing.assert_array_equal(model.outputs()[0], one + two)
