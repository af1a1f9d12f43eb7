"""Checkpoints survive kills and never believe a damaged file."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cars_hw.checkpoint import Checkpoint, CheckpointFolder
from cars_hw.errors import CheckpointError


def _checkpoint(generation: int) -> Checkpoint:
    arrays = {"weights/a.b": np.arange(6, dtype=np.float32).reshape(2, 3) + generation, "n": np.array(7)}
    return Checkpoint(generation, arrays, {"rng": {"state": 2**120 + 1}, "costs": [0.1, 1 / 3]})


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(3))
    loaded = folder.load_newest()
    assert loaded is not None
    assert loaded.generation == 3
    assert loaded.values == _checkpoint(3).values
    for name, array in _checkpoint(3).arrays.items():
        assert loaded.arrays[name].dtype == array.dtype
        assert np.array_equal(loaded.arrays[name], array)


def test_an_empty_or_missing_folder_has_no_checkpoint_and_is_not_made_by_reading(tmp_path: Path) -> None:
    assert CheckpointFolder(tmp_path).load_newest() is None
    assert CheckpointFolder(tmp_path / "new" / "run").load_newest() is None
    assert list(tmp_path.iterdir()) == []


def test_saving_makes_the_folder(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "new" / "run")
    folder.save(_checkpoint(0))
    assert folder.load_newest() is not None


def test_a_folder_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot read .*file: Not a directory"):
        CheckpointFolder(tmp_path / "file").load_newest()


def test_generation_10000_is_newer_than_9999(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for generation in (9998, 9999, 10000):
        folder.save(_checkpoint(generation))
    loaded = folder.load_newest()
    assert loaded is not None
    assert loaded.generation == 10000
    assert {path.name for path in tmp_path.iterdir()} == {"9999", "10000"}


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for generation in range(5):
        folder.save(_checkpoint(generation))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0003", "0004"]


@pytest.mark.parametrize("name", ["arrays.safetensors", "state.json", "manifest.json"])
def test_any_flipped_bit_is_noticed_and_the_one_before_is_loaded(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(0))
    folder.save(_checkpoint(1))
    path = tmp_path / "0001" / name
    sound = path.read_bytes()
    for position in np.random.default_rng(0).integers(len(sound) * 8, size=60):
        damaged = bytearray(sound)
        damaged[position // 8] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        loaded = folder.load_newest()
        assert loaded is not None
        assert loaded.generation == 0
    assert "falling back" in caplog.text


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "swapped"])
def test_a_damaged_checkpoint_without_another_is_an_error(damage: str, tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "a")
    folder.save(_checkpoint(1))
    path = tmp_path / "a" / "0001" / "arrays.safetensors"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "missing":
        path.unlink()
    else:
        CheckpointFolder(tmp_path / "b").save(_checkpoint(2))
        shutil.copy(tmp_path / "b" / "0002" / "arrays.safetensors", path)
    with pytest.raises(CheckpointError, match="no checkpoint can be believed"):
        folder.load_newest()


def test_a_half_written_checkpoint_is_not_seen(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(0))
    shutil.copytree(tmp_path / "0000", tmp_path / ".0001.tmp")
    (tmp_path / ".0001.tmp" / "manifest.json").unlink()
    loaded = folder.load_newest()
    assert loaded is not None
    assert loaded.generation == 0
    folder.save(_checkpoint(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000", "0001"]


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write to .*file.*choose another folder"):
        CheckpointFolder(tmp_path / "file" / "run").check_writable()
    CheckpointFolder(tmp_path / "new" / "run").check_writable()
    assert list((tmp_path / "new" / "run").iterdir()) == []
