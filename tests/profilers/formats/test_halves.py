"""Weights of half precision: half the bytes, nearly the same numbers, the same inputs and outputs."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from profilers import TfLiteModel, UnsupportedOperationError, WithPreprocessing, formats
from profilers.formats import FileFormat
from tests.fakes.tflite_files import content, types_of, weight_offsets

_IMAGES = np.random.default_rng(0).standard_normal((4, 3, 8, 8), dtype=np.float32)


@pytest.fixture(params=["onnx", "tflite"])
def made_by(request: pytest.FixtureRequest) -> FileFormat:
    return formats.load(request.param)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3, groups=64), nn.Conv2d(64, 128, 1)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 100)).eval()


def test_a_file_has_half_the_bytes_and_nearly_the_same_logits(made_by: FileFormat) -> None:
    whole = made_by.lower(network(), [(1, 3, 8, 8)])
    halved = made_by.halve(whole)
    assert len(halved) < 0.55 * len(whole)
    logits, nearly = made_by.run(whole, _IMAGES), made_by.run(halved, _IMAGES)
    difference = float(np.abs(logits - nearly).max())
    assert 0 < difference <= 1e-3 * float(np.abs(logits).max())


def test_it_computes_exactly_what_rounded_weights_compute(made_by: FileFormat) -> None:
    halved = made_by.halve(made_by.lower(network(), [(1, 3, 8, 8)]))
    rounded = network()
    with torch.no_grad():
        for name, weights in rounded.named_parameters():
            if name.endswith("weight"):
                weights.copy_(weights.half().float())
        expected = rounded(torch.from_numpy(_IMAGES)).numpy()
    np.testing.assert_allclose(
        made_by.run(halved, _IMAGES), expected, rtol=0, atol=1e-5 * float(np.abs(expected).max())
    )


def test_what_normalises_pixels_keeps_its_precision(made_by: FileFormat) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    mean, std = (0.41, 0.52, 0.63), (0.21, 0.22, 0.23)
    app = WithPreprocessing(network(), mean, std)
    halved = made_by.halve(made_by.lower(app, [(1, 3, 8, 8)], input_dtype="uint8"))
    by_channel = (np.array(each)[:, None, None] for each in (mean, std))
    images = ((pixels / 255.0 - next(by_channel)) / next(by_channel)).astype(np.float32)
    plain = made_by.run(made_by.halve(made_by.lower(network(), [(1, 3, 8, 8)])), images)
    scale = float(np.abs(plain).max())
    np.testing.assert_allclose(made_by.run(halved, pixels), plain, rtol=0, atol=1e-5 * scale)


def test_batches_of_any_size_stay_possible(made_by: FileFormat) -> None:
    halved = made_by.halve(made_by.lower(network(), [(1, 3, 8, 8)], is_batch_dynamic=True))
    one, four = (made_by.run(halved, _IMAGES, batch=batch) for batch in (1, 4))
    np.testing.assert_allclose(one, four, rtol=0, atol=1e-6)


def test_equal_files_give_equal_bytes(made_by: FileFormat) -> None:
    whole = made_by.lower(network(), [(1, 3, 8, 8)])
    assert made_by.halve(whole) == made_by.halve(whole)


def test_a_weight_beyond_half_precision_is_named(made_by: FileFormat) -> None:
    large = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        large.weight[0, 0, 0, 0] = 70_000
    with pytest.raises(UnsupportedOperationError, match="a weight of 70000 has no form in half precision"):
        made_by.halve(made_by.lower(large, [(1, 3, 8, 8)]))


def test_xnnpack_runs_all_of_a_tflite_file() -> None:
    made_by = formats.load("tflite")
    halved = made_by.halve(made_by.lower(network(), [(1, 3, 8, 8)]))
    model = TfLiteModel(halved)
    model.allocate()
    assert model.nodes_outside() == 0
    assert model.input_types == ["float32"]
    assert types_of(halved, "DEQUANTIZE") == {("FLOAT16", "FLOAT32")}
    assert content(halved).operations["DEQUANTIZE"] == 4
    assert all(offset % 16 == 0 for offset in weight_offsets(halved))


def test_weights_that_are_used_twice_are_stored_once() -> None:
    made_by, conv = formats.load("tflite"), nn.Conv2d(3, 3, 3, padding=1)
    halved = made_by.halve(made_by.lower(nn.Sequential(conv, nn.ReLU(), conv), [(1, 3, 8, 8)]))
    assert content(halved).operations == {"CONV_2D": 2, "DEQUANTIZE": 1}


def test_an_onnx_file_takes_and_gives_float32() -> None:
    made_by = formats.load("onnx")
    halved = onnx.load_model_from_string(made_by.halve(made_by.lower(network(), [(1, 3, 8, 8)])))
    borders = (*halved.graph.input, *halved.graph.output)
    assert {node.type.tensor_type.elem_type for node in borders} == {onnx.TensorProto.FLOAT}
    stored = {tensor.data_type for tensor in halved.graph.initializer if len(tensor.dims) > 1}
    assert stored == {onnx.TensorProto.FLOAT16}
