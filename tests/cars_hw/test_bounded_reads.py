"""Wherever a file is given, a pipe, an endless device and a huge file are one error at once."""

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from cars_hw.checkpoint import CheckpointFolder
from cars_hw.config import read_toml
from cars_hw.results.bench import read_genotype
from cars_hw.results.model_card import card_path, read_card
from cars_hw.spaces.darts import Darts
from devices import CarsHwError
from latency_tables import LatencyTable, repair_table


def _card(path: Path) -> object:
    model = path.with_suffix(".onnx")
    model.touch()
    os.replace(path, card_path(model))
    return read_card(model)


def _checkpoint(path: Path) -> object:
    folder = path.parent / "checkpoints" / "1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({}))
    (folder / "state.json").write_text(json.dumps({}))
    os.replace(path, folder / "arrays.safetensors")
    return CheckpointFolder(folder.parent).load_newest()


_READERS: dict[str, Callable[[Path], object]] = {
    "table": LatencyTable.open,
    "repair": repair_table,
    "configuration": read_toml,
    "genotype": lambda path: read_genotype(Darts(), path),
    "card": _card,
    "checkpoint": _checkpoint,
}


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


@pytest.mark.parametrize("make", [_pipe, _zeros, _sparse])
@pytest.mark.parametrize("reader", _READERS)
def test_what_is_no_file_of_ours_is_one_error_at_once(
    reader: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "file")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CarsHwError) as caught:
        _READERS[reader](tmp_path / "file")
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 << 10
