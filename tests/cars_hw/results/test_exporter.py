"""Networks written to files: proven against torch, and again with 8-bit integers."""

import hashlib
import json
import sys
import zlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cars_hw.ledger import Json
from cars_hw.results.exporter import export_network
from cars_hw.results.exporting.files import Export, Source, written
from cars_hw.results.exporting.images import NormalisedJudging
from cars_hw.results.exporting.options import FileOptions
from cars_hw.results.exporting.proof import PARITY_TOLERANCE
from cars_hw.results.model_card import card_path, read_card
from cars_hw.spaces.darts import Darts
from cars_hw.weights.network import Network
from profilers import formats
from profilers.errors import ExportError
from tests.fakes import onnx_files, tflite_files
from tests.fakes.networks import normalised_network

_SPACE = Darts(deploy="search", channels=2, cells=3, image_size=8, image_channels=1)
_IMAGES = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
_LABELS = torch.arange(20) % 10
_CARD: dict[str, Json] = {
    "scale": "search",
    "space": {"name": "darts", "settings": _SPACE.settings.values()},
    "architecture": "0.1",
    "latency": {"table": "t"},
}
_RUNS = {".onnx": onnx_files.run, ".tflite": tflite_files.run}

every_format = pytest.mark.parametrize("suffix", list(_RUNS))


def _network() -> Network:
    return normalised_network(_SPACE, 0)


@every_format
def test_the_file_computes_what_torch_computes(suffix: str, tmp_path: Path) -> None:
    network = _network()
    export = export_network(network, _IMAGES, _LABELS, tmp_path / f"net{suffix}", card=_CARD)
    with torch.inference_mode():
        reference = network(_IMAGES)
    content = export.path.read_bytes()
    logits = torch.cat([_RUNS[suffix](content, image[None]) for image in _IMAGES])
    scale = float(reference.abs().max())
    torch.testing.assert_close(logits, reference, rtol=0, atol=PARITY_TOLERANCE * scale)
    assert export.max_difference == pytest.approx(float((logits - reference).abs().max()))
    assert export.error == float((reference.argmax(1) != _LABELS).double().mean())
    assert export.size_bytes == len(content)


@every_format
def test_the_card_says_what_the_file_is_and_is_read_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / f"net{suffix}"
    export = export_network(_network(), _IMAGES, _LABELS, path, card=_CARD)
    facts = json.loads(card_path(path).read_bytes())
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["verified"]["max_difference_to_torch"] == export.max_difference
    assert facts["versions"]["torch"] == torch.__version__
    is_tflite = suffix == ".tflite"
    assert facts["input"]["layout"] == ("NHWC" if is_tflite else "NCHW")
    assert facts["input"]["shape"] == ([1, 8, 8, 1] if is_tflite else [1, 1, 8, 8])
    card = read_card(path)
    assert card is not None
    assert (card.space.name, card.space.settings) == ("darts", _SPACE.settings.values())
    assert (card.architecture, card.latency.table, card.quantisation) == ("0.1", "t", None)


def test_each_format_of_a_network_has_a_card(tmp_path: Path) -> None:
    for suffix in _RUNS:
        export_network(_network(), _IMAGES, _LABELS, tmp_path / f"net{suffix}", card=_CARD)
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert all(read_card(tmp_path / f"net{suffix}") is not None for suffix in _RUNS)


_OUTSIDE = """
import zlib
from profilers import FileFormat, formats

_ONNX = formats.load("onnx")

class Zipped(FileFormat):
    suffix, layout, runtime, packages = ".zonnx", "NCHW", "onnxruntime", ("onnx",)

    def lower(self, module, input_shapes, *, input_dtype="float32", is_batch_dynamic=False):
        return zlib.compress(_ONNX.lower(module, input_shapes))

    def run(self, content, images, *, batch=1):
        return _ONNX.run(zlib.decompress(content), images)

    def workload(self, path):
        raise NotImplementedError
"""


def test_a_format_from_outside_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exporters_lab").mkdir()
    (tmp_path / "exporters_lab" / "zipped.py").write_text(_OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    made_by, path = formats.load("exporters_lab.zipped"), tmp_path / "net.zonnx"
    export = export_network(_network(), _IMAGES, _LABELS, path, card=_CARD, made_by=made_by)
    assert export.file_format == "exporters_lab.zipped"
    assert onnx_files.run(zlib.decompress(path.read_bytes()), _IMAGES[:1]).shape == (1, 10)
    card = json.loads((tmp_path / "net.zonnx.json").read_bytes())
    assert card["input"]["layout"] == "NCHW"
    assert "onnx" in card["versions"]
    for options, reason in (
        (FileOptions("exporters_lab.zipped", max_error_growth_share=1.0), "with 8-bit integers"),
        (FileOptions("exporters_lab.zipped", with_fp16=True), "in half precision"),
    ):
        with pytest.raises(ExportError, match=rf"exporters_lab\.zipped files are not written {reason}"):
            options.loaded_format()


class _Drifting(nn.Module):
    """Computes something else each time, as a broken lowering would."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, image: Tensor) -> Tensor:
        self.calls += 1
        return image.flatten(1)[:, :10] * self.calls


@every_format
def test_a_file_that_differs_from_torch_is_not_written(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="differs from torch"):
        export_network(_Drifting(), _IMAGES, _LABELS, tmp_path / f"net{suffix}", card={})
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="choose another folder"):
        export_network(_network(), _IMAGES, _LABELS, tmp_path / "file" / "net.onnx", card={})


def _right_labels() -> Tensor:
    """Return what the network itself says: every other answer is an error."""
    with torch.inference_mode():
        labels: Tensor = _network()(_IMAGES).argmax(1)
    return labels


def _written(
    folder: Path, labels: Tensor, *, most_growth_share: float | None = None, ranges: Tensor = _IMAGES
) -> dict[str, Export]:
    """Write a TFLite file and, where the error may grow by something, that of 8-bit integers."""
    source = Source(_network(), NormalisedJudging(_IMAGES, labels), NormalisedJudging(ranges, labels), _CARD)
    options = FileOptions("tflite", max_error_growth_share=most_growth_share)
    return written(source, folder / "net.tflite", formats.load("tflite"), options)


def test_a_file_of_8_bit_integers_lies_beside_the_float_one_with_a_card(tmp_path: Path) -> None:
    files = _written(tmp_path, _right_labels(), most_growth_share=0.2)
    before, after = files[""], files["int8"]
    assert after.path == tmp_path / "net.int8.tflite"
    assert before.error == after.error_before == 0.0
    assert after.error is not None
    assert after.error <= 0.2
    assert after.max_difference > before.max_difference
    logits = torch.cat([tflite_files.run(after.path.read_bytes(), image[None]) for image in _IMAGES])
    assert after.error == float((logits.argmax(1) != _right_labels()).double().mean())
    card, facts = read_card(after.path), json.loads(card_path(after.path).read_bytes())
    assert card is not None
    assert card.quantisation is not None
    assert card.quantisation["float_error"] == before.error
    assert card.quantisation["float_size_bytes"] == before.size_bytes
    assert card.architecture == "0.1"
    assert facts["verified"]["error"] == after.error
    assert facts["size_bytes"] == after.size_bytes == after.path.stat().st_size
    assert read_card(before.path) is not None


def test_a_file_of_8_bit_integers_that_errs_more_is_not_written(tmp_path: Path) -> None:
    _written(tmp_path, _right_labels())
    files = sorted(tmp_path.iterdir())
    too_dark = _IMAGES * 0.1  # activations of real images do not fit the ranges that these give
    with pytest.raises(ExportError, match=r"instead of 0\.00%, which grows by more than 1 points: not kept"):
        _written(tmp_path, _right_labels(), ranges=too_dark, most_growth_share=0.01)
    assert sorted(tmp_path.iterdir()) == files


def test_without_the_quantizer_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = ("litert_quantizer", "ai_edge_quantizer")
    for name in (*packages, *(one for one in sys.modules if one.partition(".")[0] in packages)):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=r"pip install 'cars-hw\[int8\]'"):
        _written(tmp_path, _LABELS, most_growth_share=1.0)
