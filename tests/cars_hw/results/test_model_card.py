"""Model cards: read without trusting them."""

import hashlib
import json
from pathlib import Path

import pytest

from cars_hw.results.model_card import ModelCard, card_path, read_card
from profilers.errors import ExportError


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
    card = {
        "kind": "cars_hw model card",
        "sha256": hashlib.sha256(b"model").hexdigest(),
        "scale": "search",
        "space": {"name": "darts", "settings": {}},
        "architecture": "0.1",
    }
    (tmp_path / "net.onnx").write_bytes(b"model")
    (tmp_path / "net.json").write_text(json.dumps(card))
    assert read_card(tmp_path / "net.onnx") is not None
    (tmp_path / "net.onnx").write_bytes(b"another")
    with pytest.raises(ExportError, match="does not belong"):
        read_card(tmp_path / "net.onnx")


def test_files_of_one_name_and_several_formats_have_cards_of_their_own() -> None:
    names = ["net.onnx", "net.tflite", "net.int8.tflite"]
    assert [card_path(Path("run") / name).name for name in names] == [
        "net.json",
        "net.tflite.json",
        "net.int8.tflite.json",
    ]


@pytest.mark.parametrize(
    ("more", "is_predictable", "beside"),
    [
        ({}, True, ""),
        ({"input": {"shape": [1, 3, 8, 8], "layout": "NCHW", "dtype": "float32"}}, True, ""),
        ({"input": {"batch": "dynamic"}, "output": {"are": "probabilities"}}, True, "softmax"),
        ({"input": {"dtype": "uint8", "batch": 1}}, True, "preprocessing"),
        (
            {"input": {"batch": 8, "dtype": "uint8"}, "output": {"are": "probabilities"}},
            False,
            "preprocessing and softmax",
        ),
        ({"quantisation": {"weights": "float16"}}, False, ""),
    ],
)
def test_a_table_predicts_single_images_in_float_without_what_else_a_file_computes(
    more: dict[str, object], is_predictable: bool, beside: str
) -> None:
    card = {
        "sha256": "",
        "scale": "search",
        "space": {"name": "darts", "settings": {}},
        "architecture": "0.1",
    }
    read = ModelCard.model_validate({**card, **more})
    assert read.is_predictable is is_predictable
    assert read.beside_the_network == beside
