"""Checkpoints survive kills and never believe a damaged file."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.saving.checkpoint import Checkpoint, CheckpointFolder


def _checkpoint(generation: int, *, is_partial: bool = False) -> Checkpoint:
    arrays = {"weights/a.b": np.arange(6, dtype=np.float32).reshape(2, 3) + generation, "n": np.array(7)}
    values: dict[str, Json] = {"rng": {"state": 2**120 + 1}, "costs": [0.1, 1 / 3]}
    history = [{"index": i} for i in range(generation + (not is_partial))]
    return Checkpoint(generation, arrays, values, history, is_partial)


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(3))
    loaded = folder.load_newest()
    assert loaded is not None
    assert loaded.generation == 3
    assert loaded.values == _checkpoint(3).values
    assert loaded.history == _checkpoint(3).history
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
        folder.save(replace(_checkpoint(0), generation=generation))
    loaded = folder.load_newest()
    assert loaded is not None
    assert loaded.generation == 10000
    assert {path.name for path in tmp_path.iterdir()} == {"9999", "10000", "history"}


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for generation in range(5):
        folder.save(_checkpoint(generation))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0003", "0004", "history"]


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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000", "0001", "history"]


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write to .*file.*choose another folder"):
        CheckpointFolder(tmp_path / "file" / "run").check_writable()
    CheckpointFolder(tmp_path / "new" / "run").check_writable()
    assert list((tmp_path / "new" / "run").iterdir()) == []


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"history"}


def test_a_partial_checkpoint_is_gone_on_from_and_read_by_nobody_else(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(0, is_partial=True))
    assert folder.holds_any()
    assert folder.load_newest() is None
    first = folder.load_latest()
    assert first is not None
    assert (first.generation, first.is_partial, first.history) == (0, True, [])
    folder.save(_checkpoint(0))
    folder.save(_checkpoint(1, is_partial=True))
    newest, latest = folder.load_newest(), folder.load_latest()
    assert newest is not None
    assert latest is not None
    assert (newest.generation, newest.is_partial) == (0, False)
    assert (latest.generation, latest.is_partial) == (1, True)
    assert len(latest.history) == 1


def test_a_partial_checkpoint_gives_way_to_the_next_one_and_to_the_complete_one(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(0))
    for part in (1, 2):
        folder.save(_checkpoint(1, is_partial=True))
        assert _names(tmp_path) == {"0000", f"0001.{part:04d}.partial"}
    folder.save(_checkpoint(1))
    assert _names(tmp_path) == {"0000", "0001"}


def test_a_damaged_partial_checkpoint_falls_back_to_the_complete_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(0))
    folder.save(_checkpoint(1, is_partial=True))
    path = tmp_path / "0001.0001.partial" / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    loaded = folder.load_latest()
    assert loaded is not None
    assert (loaded.generation, loaded.is_partial) == (0, False)
    assert "falling back" in caplog.text


def test_of_one_generation_the_complete_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(1, is_partial=True))
    shutil.copytree(tmp_path / "0001.0001.partial", tmp_path / "kept")
    folder.save(_checkpoint(1))
    (tmp_path / "kept").rename(tmp_path / "0001.0001.partial")
    loaded = folder.load_latest()
    assert loaded is not None
    assert not loaded.is_partial


def test_an_owner_deletes_the_partial_checkpoints_of_complete_generations(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(1, is_partial=True))
    shutil.copytree(tmp_path / "0001.0001.partial", tmp_path / "kept")
    folder.save(_checkpoint(1))
    shutil.copytree(tmp_path / "kept", tmp_path / "0001.0001.partial")
    folder._write(tmp_path / "0002.0001.partial", _checkpoint(2, is_partial=True))
    with folder.owned():
        assert not (tmp_path / "0001.0001.partial").exists()
        assert (tmp_path / "0002.0001.partial").exists()


@pytest.mark.parametrize(
    ("stored", "name"), [("0001.0001.partial", "0001"), ("0001.0001.partial", "0002.0001.partial")]
)
def test_a_checkpoint_under_another_name_is_refused(stored: str, name: str, tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(1, is_partial=True))
    (tmp_path / stored).rename(tmp_path / name)
    with pytest.raises(CheckpointError, match="it is generation 1, under another name"):
        folder.load_latest()


def test_a_damaged_generation_of_long_ago_is_not_silent(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for generation in range(5):
        folder.save(_checkpoint(generation))
    [path] = (tmp_path / "history").glob("0001-*.json")
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with pytest.raises(CheckpointError, match=rf"history/{path.name} is damaged"):
        CheckpointFolder(tmp_path).load_newest()


def test_a_checkpoint_does_not_grow_with_the_history(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(1))
    folder.save(_checkpoint(8))
    assert len({(tmp_path / name / "state.json").stat().st_size for name in ("0001", "0008")}) == 1
    assert len(list((tmp_path / "history").iterdir())) == 9


def test_a_checkpoint_of_a_newer_version_says_so(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(_checkpoint(0))
    path = tmp_path / "0000" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    del manifest["self"]
    manifest["schema"] = 3
    manifest["self"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(manifest, sort_keys=True))
    with pytest.raises(CheckpointError, match="has schema 3, but up to 2 is read; upgrade"):
        folder.load_newest()
