"""Wherever a file is given, a pipe, an endless device and a huge file are one error at once."""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from cars_hw import data
from cars_hw.cli import main
from cars_hw.config import read_toml
from cars_hw.data import ResizeRule, cifar10
from cars_hw.results.bench import read_genotype
from cars_hw.results.model_card import card_path, read_card
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.spaces.darts import Darts
from cars_hw.tabular_trainer import read_figures
from devices import CarsHwError
from latency_tables import LatencyTable, repair_table
from profilers.runtimes._programs import Program
from tests.fakes.configurations import TINY
from tests.fakes.local_remote import LocalRemote


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


def _figures(path: Path) -> object:
    return read_figures(path, ["accuracy"], parse=lambda text: (int(text),))


def _batch(path: Path) -> object:
    folder = path.parent / "batches"
    folder.mkdir()
    os.replace(path, folder / "data_batch_1.bin")
    return cifar10.read(folder)


def _jpeg(path: Path) -> object:
    folder = path.parent / "jpegs" / "train" / "cat"
    folder.mkdir(parents=True)
    os.replace(path, folder / "0.jpg")
    return cifar10.read(path.parent / "jpegs")


def _image(path: Path) -> object:
    folder = path.parent / "images" / "cat"
    folder.mkdir(parents=True)
    os.replace(path, folder / "0.png")
    return data.open_set("folder", folder.parent).read_by(ResizeRule(mode="fit", height=8, width=8))


def _program(path: Path) -> object:
    return Program("tool", "TOOL", "build it", is_it=lambda _: True).read(LocalRemote(path.parent), str(path))


def _key(path: Path) -> object:
    from devices._adb.keys import Key  # the extra that it needs may be missing elsewhere

    folder = path.parent / "keys"
    folder.mkdir()
    os.replace(path, folder / "adbkey")
    return Key(folder)


_READERS: dict[str, Callable[[Path], object]] = {
    "table": LatencyTable.open,
    "repair": repair_table,
    "configuration": read_toml,
    "genotype": lambda path: read_genotype(Darts(), path),
    "card": _card,
    "checkpoint": _checkpoint,
    "figures": _figures,
    "archive": cifar10.read,
    "batch": _batch,
    "jpeg": _jpeg,
    "folder": lambda path: data.read("folder", path),
    "image": _image,
    "parquet": lambda path: data.read("parquet", path),
    "program": _program,
    "key": _key,
}


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


def _loop(path: Path) -> None:
    there, back = path.parent / "there", path.parent / "back"
    path.symlink_to(there)
    there.symlink_to(back)
    back.symlink_to(there)


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """Whoever waits for a pipe's other end, or reads zeros without end, is stopped after 20 s."""

    def stop(*_: object) -> NoReturn:
        raise TimeoutError("it takes for ever")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("make", [_pipe, _zeros, _sparse, _loop])
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


#: Verbs with each option that names a file to be read, which is ``file``.
_VERBS = [
    "profile --config file",
    "profile --config config.toml --table file",
    "table show file",
    "table repair file",
    "table repair file --write",
    "table validate --config file",
    "table validate --config config.toml --table file",
    "search --run run --config file",
    "search --run run --config config.toml --table file",
    "search --run run --config config.toml --data cifar10 --set data.path=file",
    "data check --data folder --data-path file",
    "data check --config file",
    "search --run file --config config.toml",
    "search --run file --resume",
    "search --run old --resume",
    "export file",
    "export old",
    "report file",
    "report old",
    "bench file --format onnx",
    "bench file --format tflite",
    "bench file.onnx",
    "bench --config config.toml --genotype file",
    "export --config config.toml --genotype file",
    "bench --config file --architecture 0.0",
    "bench model.onnx --config config.toml",
    "demo --run file",
    "init file",
    "init new.toml --data folder --data-path file",
]


#: Folders are what these take, and a link that leads nowhere is replaced.
_TAKEN = {
    ("report file", Path.mkdir),
    ("export file", Path.mkdir),
    ("demo --run file", Path.mkdir),
    ("init file", _loop),
}


def _tries() -> Iterator[object]:
    """Yield each verb with each kind of file; by default, a pipe for those that start no process."""
    for command in _VERBS:
        for make in (_pipe, _zeros, _sparse, _loop, Path.mkdir):
            if (command, make) not in _TAKEN:
                is_quick = make is _pipe and "bench" not in command
                marks = () if is_quick else pytest.mark.slow
                yield pytest.param(command, make, marks=marks, id=f"{command}-{make.__name__}")


@pytest.mark.parametrize(("command", "make"), list(_tries()))
def test_whatever_file_a_verb_is_given_it_ends_in_one_line_and_status_1(
    command: str,
    make: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "file")
    (tmp_path / "config.toml").write_text(TINY)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.toml").symlink_to(tmp_path / "file")
    (tmp_path / "file.onnx").symlink_to(tmp_path / "file")
    (tmp_path / "model.onnx").write_bytes(b"")
    (tmp_path / "model.json").symlink_to(tmp_path / "file")
    monkeypatch.setattr(sys, "argv", ["cars-hw", *command.split()])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err.splitlines()
    assert (stopped.value.code, len(said)) == (1, 1), said
    assert said[0].startswith("cars-hw: ")
