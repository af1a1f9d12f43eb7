"""Networks written to ONNX: proven against torch, with a card that says what they are."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from cars_hw.exporter import PARITY_TOLERANCE, export_network
from cars_hw.model_card import read_card
from cars_hw.network import Network
from cars_hw.spaces.darts import Darts
from cars_hw.trainer import Json
from devices._errors import ExportError

_SPACE = Darts(deploy="search", channels=2, cells=3, image_size=8, image_channels=1)
_IMAGES = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
_LABELS = torch.arange(20) % 10
_CARD: dict[str, Json] = {
    "scale": "search",
    "space": {"name": "darts", "settings": dict(_SPACE.settings())},
    "architecture": "0.1",
    "latency": {"table": "t"},
}


def _network() -> Network:
    return Network.untrained(_SPACE.graph(_SPACE.sample(np.random.default_rng(0)))).eval()


def test_the_file_computes_what_torch_computes(tmp_path: Path) -> None:
    network = _network()
    export = export_network(network, _IMAGES, _LABELS, tmp_path / "net.onnx", card=_CARD)
    session = onnxruntime.InferenceSession(export.path, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        reference = network(_IMAGES[:1]).numpy()
    [logits] = session.run(None, {session.get_inputs()[0].name: _IMAGES[:1].numpy()})
    np.testing.assert_allclose(logits, reference, atol=1e-5)
    assert export.max_difference <= PARITY_TOLERANCE
    with torch.inference_mode():
        assert export.error == float((network(_IMAGES).argmax(1) != _LABELS).double().mean())


def test_the_card_says_what_the_file_is_and_is_read_back(tmp_path: Path) -> None:
    export = export_network(_network(), _IMAGES, _LABELS, tmp_path / "deep" / "net.onnx", card=_CARD)
    facts = json.loads((tmp_path / "deep" / "net.json").read_text())
    assert facts["sha256"] == hashlib.sha256(export.path.read_bytes()).hexdigest()
    assert facts["verified"]["max_difference_to_torch"] == export.max_difference
    assert facts["versions"]["torch"] == torch.__version__
    card = read_card(export.path)
    assert card is not None
    assert (card.space.name, card.space.settings) == ("darts", _SPACE.settings())
    assert (card.architecture, card.latency.table) == ("0.1", "t")


class _Drifting(nn.Module):
    """Computes something else each time, as a broken lowering would."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, image: Tensor) -> Tensor:
        self.calls += 1
        return image.flatten(1)[:, :10] * self.calls


def test_a_file_that_differs_from_torch_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="differs from torch"):
        export_network(_Drifting(), _IMAGES, _LABELS, tmp_path / "net.onnx", card={})
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="choose another folder"):
        export_network(_network(), _IMAGES, _LABELS, tmp_path / "file" / "net.onnx", card={})


@pytest.mark.parametrize("content", [None, "[]", '{"labels": ["cat", "dog"]}'])
def test_a_model_without_a_card_of_ours_has_none(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "net.json").write_text(content)
    assert read_card(tmp_path / "net.onnx") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"kind": "cars_hw model card", "sha256": "0", "space": {"name": "darts"}}',
    ],
)
def test_a_damaged_card_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"model")
    (tmp_path / "net.json").write_bytes(content)
    with pytest.raises(ExportError, match="export again"):
        read_card(tmp_path / "net.onnx")


def test_the_card_of_another_file_is_refused(tmp_path: Path) -> None:
    export = export_network(_network(), _IMAGES, _LABELS, tmp_path / "net.onnx", card=_CARD)
    export.path.write_bytes(export.path.read_bytes() + b"\x00")
    with pytest.raises(ExportError, match="does not belong"):
        read_card(export.path)
