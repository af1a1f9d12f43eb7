"""The generations of a search: each written once, and a damaged one named."""

import hashlib
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from cars_hw.errors import CheckpointError
from cars_hw.saving.history import HistoryFolder

_HISTORY = [{"index": i, "costs": [i / 3, -0.0, 1e-300]} for i in range(5)]


def _saved(folder: Path, n: int = len(_HISTORY)) -> str:
    return HistoryFolder(folder).extend(_HISTORY[:n])


def _file(folder: Path, number: int) -> Path:
    [path] = folder.glob(f"{number:04d}-*.json")
    return path


def test_what_was_written_is_loaded(tmp_path: Path) -> None:
    last = _saved(tmp_path)
    assert HistoryFolder(tmp_path).load(5, last) == _HISTORY


def test_a_shorter_history_is_loaded_by_the_hash_of_its_own_last(tmp_path: Path) -> None:
    folder = HistoryFolder(tmp_path)
    hashes = [folder.extend(_HISTORY[:n]) for n in range(6)]
    assert hashes[0] == ""
    assert len(set(hashes)) == 6
    for n, last in enumerate(hashes):
        assert HistoryFolder(tmp_path).load(n, last) == _HISTORY[:n]


@pytest.mark.parametrize("is_reopened", [True, False])
def test_a_generation_is_written_once(is_reopened: bool, tmp_path: Path) -> None:
    folder = HistoryFolder(tmp_path)
    folder.extend(_HISTORY[:3])
    before = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    (HistoryFolder(tmp_path) if is_reopened else folder).extend(_HISTORY)
    assert len(list(tmp_path.iterdir())) == 5
    assert all(path.stat().st_ino == number for path, number in before.items())


def test_a_generation_that_was_lost_and_done_again_leaves_the_old_one_to_whoever_names_it(
    tmp_path: Path,
) -> None:
    old = _saved(tmp_path)
    again = [*_HISTORY[:4], {"index": 4, "costs": [7.0]}]
    last = HistoryFolder(tmp_path).extend(again)
    assert HistoryFolder(tmp_path).load(5, last) == again
    assert HistoryFolder(tmp_path).load(5, old) == _HISTORY
    folder = HistoryFolder(tmp_path)
    folder.extend(again)
    assert folder.extend(_HISTORY) == _saved(tmp_path)


def test_no_flipped_bit_of_any_generation_is_silent_and_the_file_is_named(tmp_path: Path) -> None:
    last = _saved(tmp_path)
    rng = np.random.default_rng(0)
    for path, _ in itertools.product(sorted(tmp_path.iterdir()), range(20)):
        sound = path.read_bytes()
        damaged = bytearray(sound)
        bit = int(rng.integers(len(sound) * 8))
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=f"{re.escape(str(path))} is damaged"):
            HistoryFolder(tmp_path).load(5, last)
        path.write_bytes(sound)


def test_a_generation_that_is_missing_is_named(tmp_path: Path) -> None:
    last = _saved(tmp_path)
    _file(tmp_path, 2).unlink()
    with pytest.raises(CheckpointError, match=r"0002-\w+\.json cannot be read"):
        HistoryFolder(tmp_path).load(5, last)


def test_two_generations_that_change_places_are_noticed(tmp_path: Path) -> None:
    last = _saved(tmp_path)
    one, other = _file(tmp_path, 1), _file(tmp_path, 2)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"0002-\w+\.json is damaged"):
        HistoryFolder(tmp_path).load(5, last)


def test_a_file_of_another_form_is_one_clear_error(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    content = json.dumps([1]).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / f"0000-{sha256[:16]}.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="written by another version"):
        HistoryFolder(tmp_path).load(1, sha256)
