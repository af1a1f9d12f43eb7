"""8-bit integers inside, floats at the borders, and nothing on the terminal."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch
from torch import nn

from profilers import WithPreprocessing, WithSoftmax, formats
from profilers.errors import UnsupportedOperationError
from profilers.lowering.int8 import quantize
from profilers.lowering.tflite import lower
from profilers.runtimes._tflite.interpreter import TfLiteModel
from tests.fakes.environments import environment
from tests.fakes.tflite_files import content, run, types_of

_ROOT = Path(__file__).parents[3]
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


def _app() -> nn.Module:
    return WithSoftmax(WithPreprocessing(network(), (0.4,) * 8, (0.25,) * 8))


_PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 12, 12), dtype=np.uint8)


def test_pixels_are_normalised_and_probabilities_computed_in_float() -> None:
    small = quantize(lower(_app(), [(1, 8, 12, 12)], input_dtype="uint8"), _PIXELS)
    assert TfLiteModel(small).input_types == ["uint8"]
    assert types_of(small, "CAST") == {("UINT8", "FLOAT32")}
    assert types_of(small, "SOFTMAX") == {("FLOAT32", "FLOAT32")}
    assert types_of(small, "QUANTIZE") == {("FLOAT32", "INT8")}  # of the normalised image, and nothing else
    assert types_of(small, "CONV_2D") == {("INT8", "INT8")}
    assert content(small).operations["QUANTIZE"] == 1


def test_an_app_of_8_bit_integers_rounds_no_more_than_its_network() -> None:
    made_by = formats.load("tflite")
    # A mean of 102: each pixel is a whole number of steps of 1/255, and no rounding hangs on the last digit.
    images = ((_PIXELS / 255.0 - 0.4) / 0.25).astype(np.float32)
    plain = quantize(lower(network(), [(1, 8, 12, 12)]), images)
    logits = made_by.run(plain, images)
    whole = quantize(lower(_app(), [(1, 8, 12, 12)], input_dtype="uint8"), _PIXELS)
    expected = scipy.special.softmax(logits, axis=1)
    np.testing.assert_allclose(made_by.run(whole, _PIXELS), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 4, 5])
def test_models_of_several_images_at_once_have_the_ranges_of_all_images(batch: int) -> None:
    one, several = (quantize(lower(network(), [(n, 8, 12, 12)]), _IMAGES.numpy()) for n in (1, batch))
    made_by = formats.load("tflite")
    expected = made_by.run(one, _IMAGES.numpy())
    np.testing.assert_array_equal(made_by.run(several, _IMAGES.numpy()), expected)


@pytest.mark.parametrize("batch", [1, 8])
def test_a_model_of_any_batch_stays_one(batch: int) -> None:
    small = quantize(lower(network(), [(1, 8, 12, 12)], is_batch_dynamic=True), _IMAGES.numpy())
    fixed = quantize(lower(network(), [(1, 8, 12, 12)]), _IMAGES.numpy())
    made_by = formats.load("tflite")
    outputs = made_by.run(small, _IMAGES.numpy(), batch=batch)
    np.testing.assert_array_equal(outputs, made_by.run(fixed, _IMAGES.numpy()))


#: Quantises a model by our own code in an environment of one quantizer.
_QUANTIZE = """
import pathlib, sys
import numpy as np
from profilers.lowering.int8 import quantize
folder = pathlib.Path(sys.argv[1])
small = quantize((folder / "float.tflite").read_bytes(), np.load(folder / "images.npy"))
(folder / "int8.tflite").write_bytes(small)
"""


@pytest.mark.slow
@pytest.mark.parametrize("quantizer", ["litert-quantizer==0.11.0", "ai-edge-quantizer==0.10.0"])
def test_the_quantizer_may_have_either_of_its_names(
    request: pytest.FixtureRequest, tmp_path: Path, quantizer: str
) -> None:
    assert request.config.cache is not None
    python = environment(request.config.cache, quantizer, "pydantic>=2.10")
    model = lower(network(), [(1, 8, 12, 12)])
    (tmp_path / "float.tflite").write_bytes(model)
    np.save(tmp_path / "images.npy", _IMAGES.numpy())
    command = [str(python), "-c", _QUANTIZE, str(tmp_path)]
    done = subprocess.run(command, env={"PYTHONPATH": str(_ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "int8.tflite").read_bytes() == quantize(model, _IMAGES.numpy())


@pytest.mark.parametrize("n", [0, 4])
def test_without_images_or_with_black_ones_there_are_no_ranges(n: int) -> None:
    with pytest.raises(UnsupportedOperationError, match="no form in 8-bit integers") as caught:
        quantize(lower(network(), [(1, 8, 12, 12)]), np.zeros((n, 8, 12, 12), dtype=np.float32))
    assert "\n" not in str(caught.value)
