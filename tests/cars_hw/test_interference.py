"""What others do to a run while it is searched, and to its files afterwards: refused, and never silently."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cars_hw
from cars_hw.cli import app
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.results.model_card import card_content, read_card
from cars_hw.runs import Run
from devices.foundation import CarsHwError, StorageError
from tests.fakes import command_line
from tests.fakes.flips import silent_flips
from tests.fakes.owners import another_owner
from tests.fakes.waiting import wait_for

_GOLDEN = Path(__file__).parents[1] / "golden" / "before-the-moves"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that is complete up to generation 1 of 3, with its table, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    shutil.copytree(_GOLDEN / "random_search", tmp_path / "run")
    return tmp_path / "run"


def _verb(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", "from cars_hw.cli import main; main()", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


_WRITING = [
    ("search", "--run", "run", "--strategy", "evnas", "--config", "run/config.toml"),
]
_WRITING_TOO = [
    ("export", "run", "--pick", "fastest", "--to", "run/elsewhere/deep"),
    ("search", "--run", "run", "--resume"),
    ("export", "run", "--pick", "fastest"),
    ("demo", "--run", "run"),
]


@pytest.mark.parametrize(
    "arguments",
    [*_WRITING, *(pytest.param(verb, marks=pytest.mark.slow) for verb in _WRITING_TOO)],
    ids=" ".join,
)
def test_a_verb_that_writes_into_anothers_run_is_refused_in_one_line_and_changes_nothing(
    arguments: tuple[str, ...], run: Path
) -> None:
    with another_owner(run) as owner:
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        done = command_line.run(*arguments)
        assert done.status == 1, done.err
        assert f"run is being written by process {owner.pid}; wait until that has ended" in done.err
        assert len(done.err.splitlines()) == 1
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_second_search_does_not_rewrite_the_configuration_of_one_without_a_generation(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    before = (run / "config.toml").read_bytes()
    with another_owner(run), pytest.raises(StorageError, match="is being written by process"):
        Run.create(run, SearchConfig())
    assert (run / "config.toml").read_bytes() == before


def test_whoever_only_reads_asks_no_owner(run: Path, tmp_path: Path) -> None:
    with another_owner(run):
        for arguments in (
            ("report", "run"),
            ("report", "run", "--to", "elsewhere/page.html"),
            ("report", "run", "--json"),
            ("export", "run", "--pick", "fastest", "--to", "models"),
        ):
            result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
            assert result.exit_code == 0, result.output
    assert (tmp_path / "models" / "fastest.onnx").is_file()
    assert (tmp_path / "elsewhere" / "page.html").is_file()


@pytest.mark.slow
def test_a_search_in_python_owns_its_run_from_its_first_round_to_its_last(run: Path) -> None:
    search = cars_hw.open_search(Run.open(run))
    with another_owner(run), pytest.raises(StorageError, match="is being written by process"):
        next(search.run())
    rounds = search.run()
    next(rounds)
    verb = _verb("export", "run")
    _, said = verb.communicate(timeout=120)
    assert verb.returncode == 1
    assert "is being written by process" in said
    assert [generation.index for generation in rounds] == [3]
    with another_owner(run):
        pass


@pytest.mark.parametrize("fate", ["removed", "moved", "replaced", "another configuration"])
def test_a_run_that_goes_away_ends_its_search_at_the_next_write_and_is_not_made_again(
    fate: str, run: Path, tmp_path: Path
) -> None:
    rounds = cars_hw.open_search(Run.open(run)).run()
    next(rounds)
    if fate == "another configuration":
        shutil.copy(_GOLDEN / "cars" / "config.toml", run)
    elif fate == "removed":
        shutil.rmtree(run)
    else:
        run.rename(tmp_path / "moved")
    if fate == "replaced":
        shutil.copytree(tmp_path / "moved", run)
    with pytest.raises(CarsHwError, match=r"is gone|was replaced|was changed") as refused:
        next(rounds)
    assert len(str(refused.value).splitlines()) == 1
    assert run.exists() == (fate in {"replaced", "another configuration"})
    assert not (run / "checkpoints" / "0003").exists()


@pytest.mark.slow
def test_the_verb_whose_run_is_removed_before_the_first_generation_ends_with_an_error(
    run: Path, tmp_path: Path
) -> None:
    verb = _verb("search", "--run", "new", "--config", "run/config.toml", "--set", "search.warm_up_epochs=3")
    wait_for((tmp_path / "new" / "config.toml").exists, lambda: "no run", within_s=120.0)
    shutil.rmtree(tmp_path / "new")
    _, said = verb.communicate(timeout=300)
    assert verb.returncode == 1, said
    assert "new is gone" in said
    assert not (tmp_path / "new").exists()


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _replaced(path: Path) -> None:
    shutil.copy(_GOLDEN / "cars" / "config.toml", path)


def _edited(path: Path) -> None:
    text = path.read_text()
    assert "seed = 0" in text
    path.write_text(text.replace("seed = 0", "seed = 1"))


def _removed_key(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("momentum")))


_READERS: dict[str, Callable[[Run], object]] = {
    "front": Run.front,
    "record": Run.record,
    "report": cars_hw.report,
    "report_json": cars_hw.report_json,
    "export": cars_hw.export,
    "open_search": cars_hw.open_search,
}


@pytest.mark.parametrize("change", [_emptied, _replaced, _edited, _removed_key])
@pytest.mark.parametrize("reader", _READERS)
def test_every_reader_refuses_a_configuration_that_is_not_the_searchs(
    reader: str, change: Callable[[Path], None], run: Path
) -> None:
    change(run / "config.toml")
    with pytest.raises(CheckpointError, match=r"is not the configuration that this run was searched with"):
        _READERS[reader](Run.open(run))
    assert not (run / "report.html").exists()
    assert not (run / "export").exists()


def test_a_run_that_is_read_on_after_its_configuration_changed_is_refused(run: Path) -> None:
    opened = Run.open(run)
    _edited(run / "config.toml")
    with pytest.raises(CheckpointError, match="was changed while it was in use"):
        opened.front()


def test_what_an_editor_does_to_spaces_and_comments_changes_no_new_run(run: Path, tmp_path: Path) -> None:
    new = _new_run(run, tmp_path / "new")
    path = new / "config.toml"
    path.write_text("# mine\n" + path.read_text().replace(" = ", "  =  "))
    assert Run.open(new).front()


def _new_run(old: Path, folder: Path) -> Path:
    """Return a run as it is written today, with the newest checkpoint of ``old``."""
    opened = Run.open(old)
    checkpoint, new = opened.checkpoint(), Run.create(folder, opened.config)
    fingerprint = checkpoint.values["fingerprint"]
    assert isinstance(fingerprint, dict)
    bound: dict[str, Json] = {**fingerprint, "configuration": new.configuration_hashes()[0]}
    values = {**checkpoint.values, "fingerprint": bound}
    new.checkpoints.save(replace(checkpoint, values=values))
    return folder


def _card(folder: Path) -> Path:
    """Write a card, as it is written today, beside a model."""
    shutil.copy(_GOLDEN / "export" / "knee.onnx", folder)
    facts = json.loads((_GOLDEN / "export" / "knee.json").read_bytes())
    (folder / "knee.json").write_bytes(card_content(facts))
    return folder / "knee.json"


def _content(folder: Path) -> str:
    """Return all that the readers of a run read."""
    run = Run.open(folder)
    checkpoint = run.checkpoint()
    arrays = {name: array.tobytes().hex() for name, array in checkpoint.arrays.items()}
    return json.dumps([run.config.to_values(), checkpoint.values, arrays])


def _card_content(model: Path) -> str:
    card = read_card(model)
    return "none of ours" if card is None else card.model_dump_json()


_FLIPS = [60, pytest.param(600, marks=pytest.mark.slow)]


@pytest.mark.parametrize("n", _FLIPS)
@pytest.mark.parametrize("age", ["old", "new"])
def test_no_flipped_bit_of_a_configuration_is_silent(age: str, n: int, run: Path, tmp_path: Path) -> None:
    folder = run if age == "old" else _new_run(run, tmp_path / "new")
    assert silent_flips(folder / "config.toml", n, lambda: _content(folder)) == []


@pytest.mark.parametrize("n", _FLIPS)
@pytest.mark.parametrize("name", ["arrays.safetensors", "state.json", "manifest.json"])
def test_no_flipped_bit_of_a_checkpoint_is_silent(name: str, n: int, run: Path) -> None:
    path = run / "checkpoints" / "0001" / name
    assert silent_flips(path, n, lambda: _content(run)) == []


@pytest.mark.parametrize("n", _FLIPS)
def test_no_flipped_bit_of_a_card_is_silent(n: int, tmp_path: Path) -> None:
    model = _card(tmp_path).with_suffix(".onnx")
    assert read_card(model) is not None
    assert silent_flips(_card(tmp_path), n, lambda: _card_content(model)) == []


@pytest.mark.parametrize("field", ["kind", "schema", "card_sha256", "architecture"])
def test_no_flipped_bit_of_what_makes_a_card_ours_is_silent(field: str, tmp_path: Path) -> None:
    path = _card(tmp_path)
    sound = path.read_bytes()
    line = next(line for line in sound.splitlines() if line.startswith(f'  "{field}"'.encode()))
    start = sound.index(line)
    for bit in range(start * 8, (start + len(line)) * 8):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        with pytest.raises(CarsHwError):
            read_card(path.with_suffix(".onnx"))


def test_a_card_that_somebody_rewrote_is_refused_by_name(tmp_path: Path) -> None:
    path = _card(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"nasbench201"', b'"darts"'))
    with pytest.raises(
        CarsHwError, match=r"model card .*knee.json was changed after it was written"
    ) as found:
        read_card(path.with_suffix(".onnx"))
    assert len(str(found.value).splitlines()) == 1
