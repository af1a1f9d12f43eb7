"""What is kept of a retraining: read back whole, and never believed where it was changed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_hw.errors import CheckpointError
from cars_hw.retraining.records import (
    ClassResult,
    ImagesUsed,
    Retrained,
    bind,
    read_retrained,
    retrained_of,
    write_retrained,
)

_ARRAYS = {"units.stem.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}


def _record(folder: Path) -> Retrained:
    return Retrained(
        name="knee",
        space={"name": "darts", "settings": {"channels": 2}, "operation_kinds": []},
        architecture="0.1.2",
        plan={"preset": "small", "epochs": 1},
        initial="drawn from the seed",
        uses_bf16=False,
        parameters=10,
        macs=20,
        images=ImagesUsed("digits", "ab" * 32, 100, 30, "test images", True, (0.5,), (0.25,)),
        error=0.1,
        top5_error=0.05,
        classes=(ClassResult("0", 20, 18, 19), ClassResult("1", 10, 9, 10), ClassResult("2", 0, 0, 0)),
        steps=7,
        skipped_steps=0,
        seconds=1.5,
        curve=({"epoch": 1, "loss": 0.3, "error": 0.1},),
        weights_sha256="",
        folder=folder,
    )


@pytest.fixture
def written(tmp_path: Path) -> Retrained:
    return write_retrained(_record(tmp_path / "retrained" / "knee"), _ARRAYS)


def test_a_record_is_read_back_whole_with_its_weights(written: Retrained, tmp_path: Path) -> None:
    assert retrained_of(tmp_path) == {"knee": written}
    found = read_retrained(written.folder)
    assert found == written
    assert found.folder == written.folder
    assert {name: one.tolist() for name, one in found.arrays().items()} == {
        name: one.tolist() for name, one in _ARRAYS.items()
    }
    assert [one.error for one in found.classes] == [pytest.approx(0.1), pytest.approx(0.1), None]


def test_what_is_not_finished_is_not_among_what_was_retrained(written: Retrained, tmp_path: Path) -> None:
    bind(tmp_path / "retrained" / "begun", {"schema": 1})
    assert list(retrained_of(tmp_path)) == ["knee"]
    assert retrained_of(tmp_path / "no run") == {}
    with pytest.raises(CheckpointError, match=r"result\.json cannot be read"):
        read_retrained(tmp_path / "retrained" / "begun")


@pytest.mark.parametrize("name", ["result.json", "weights.safetensors"])
def test_no_byte_can_be_changed_without_being_noticed(written: Retrained, name: str) -> None:
    path = written.folder / name
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 40):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(0, 7))
        path.write_bytes(changed)
        try:
            found = read_retrained(written.folder)
            arrays = found.arrays()
        except CheckpointError:
            continue
        assert found == written  # white space between the values
        assert arrays.keys() == _ARRAYS.keys()


def test_values_that_cannot_be_are_refused_whoever_wrote_them(written: Retrained) -> None:
    write_retrained(replace(written, error=1.5), _ARRAYS)
    with pytest.raises(CheckpointError, match="error: Input should be less than or equal to 1"):
        read_retrained(written.folder)


def test_a_record_of_a_later_schema_asks_for_an_upgrade(written: Retrained) -> None:
    path = written.folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    with pytest.raises(CheckpointError, match="schema 2, but 1 is read; upgrade"):
        read_retrained(written.folder)


def test_another_retraining_in_the_same_folder_is_refused_by_the_key_that_differs(tmp_path: Path) -> None:
    first = bind(tmp_path, {"plan": {"epochs": 3, "seed": 0}})
    assert bind(tmp_path, {"plan": {"epochs": 3, "seed": 0}}) == first
    with pytest.raises(CheckpointError, match=r"plan\.epochs = 3, and 4 is asked for"):
        bind(tmp_path, {"plan": {"epochs": 4, "seed": 0}})
