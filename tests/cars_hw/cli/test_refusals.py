"""What is refused leaves nothing behind: no run folder, no table, no file."""

import json
from pathlib import Path

import pytest

from cars_hw.assembly import make_space
from cars_hw.cli import _statuses
from cars_hw.config import SearchConfig
from cars_hw.testing._tables import write_table
from tests.fakes.command_line import run
from tests.fakes.configurations import TINY

_SHORT = """
[search]
objectives = ["error", "parameters", "latency_ms"]
warm_up_epochs = 0.1
generations = 0
[strategy]
population_size = 4
"""

_SEARCH = ("search", "--config=search.toml", "--table=table.jsonl", "--run=deep/run")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, a table, and a plain file where a folder would be needed."""
    monkeypatch.chdir(tmp_path)
    Path("search.toml").write_text(f"{TINY}{_SHORT}")
    Path("file").write_text("")
    write_table(Path("table.jsonl"), make_space(SearchConfig.load("search.toml")))
    return tmp_path


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def _refused(folder: Path, *words: str) -> str:
    """Run ``words``, which are refused in one line and leave nothing; return that line."""
    before = _files(folder)
    done = run(*words)
    assert done.status == _statuses.FAILED, done
    assert _files(folder) == before
    lines = done.err.strip().splitlines()
    assert lines[-1].startswith("cars-hw: ")
    assert sum(line.startswith("cars-hw: ") for line in lines) == 1
    return lines[-1]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--set=space.name=dart"], "did you mean 'darts'"),
        (["--set=strategy.population_size=0"], "population_size"),
        (["--set=strategy.population_size=1e9"], "population_size"),
        (["--set=search.objectives=['error','macros']"], "macros"),
        (["--table=none.jsonl"], "run `cars-hw profile"),
        (["--table=file"], "file"),
        (["--set=space.channels=4"], "no latency for"),
        (["--set=latency.device=fake"], "fake"),
        (["--set=latency.threads=3"], "threads"),
        (["--max-latency-ms=0.00001"], "--allow-infeasible"),
        (["--set=limits.parameters=1"], "--allow-infeasible"),
        (["--data=cifar10"], "cifar10"),
        (["--data=mnist5k"], "mnist5k has"),
        (["--set=data.path=nowhere", "--data=cifar10"], "nowhere"),
        (["--set=data.fitness_images=100000"], "fitness"),
        (["--set=training.batch_size=9999"], "batch_size 9999 exceeds"),
        (["--set=search.torch_device=cuda:99"], "torch_device"),
        (["--set=search.torch_device=gpu"], "torch_device"),
        (["--run=file/run"], "choose another folder"),
        (["--resume", "--run=none"], "none"),
    ],
)
def test_a_refused_search_leaves_no_folder(words: list[str], text: str, folder: Path) -> None:
    arguments = [*_SEARCH, *words]
    if "--resume" in words:
        arguments.remove("--config=search.toml")
        arguments.remove("--table=table.jsonl")
    assert text in _refused(folder, *arguments)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("profile", "profile needs --config FILE, which init writes, or else --space and --table"),
        ("profile --table=new.jsonl", "or else --space:"),
        ("profile --space=darts", "or else --table:"),
        ("table validate", "table validate needs --config FILE, which init writes, or else --space and"),
        ("table validate --config=search.toml --table=none.jsonl", "run `cars-hw profile"),
        ("search --run=r", "search needs --config FILE, which init writes, or else --space and --data"),
        ("search --run=r --space=darts", "or else --data:"),
        ("search --run=r --data=digits", "or else --space:"),
        ("bench", "bench needs one of: a model file, --architecture, --genotype"),
        ("bench --architecture=0.0", "needs --config FILE, which init writes, or else --space:"),
        ("bench none.onnx", "none.onnx"),
        ("bench none.onnx --device=fake", "none.onnx"),
        ("export nowhere", "nowhere holds no run"),
        ("report nowhere", "nowhere holds no run"),
        ("init search.toml", "search.toml exists"),
        ("init new.toml --space=dart", "did you mean 'darts'"),
        ("init new.toml --data=cifar10", "cifar10"),
        ("init new.toml --device=cpuu", "did you mean 'cpu'"),
        ("init file/new.toml", "file/new.toml"),
        ("demo --run=demo --set=space.name=dart", "did you mean 'darts'"),
        ("demo --run=demo --set=training.batch_size=9999", "exceeds"),
        ("demo --run=demo --set=space.classes=9", "the space has 9 classes"),
        ("demo --run=demo --set=search.torch_device=gpu", "torch_device"),
        ("demo --run=file/demo", "file/demo"),
    ],
)
def test_a_verb_that_lacks_what_it_needs_says_so_and_leaves_nothing(
    words: str, text: str, folder: Path
) -> None:
    assert text in _refused(folder, *words.split())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--space=dart", "did you mean 'darts'"),
        ("--device=cpuu", "did you mean 'cpu'"),
        ("--device=cpu:99999", "99999"),
        ("--device=fake:1", "has no address"),
        ("--device=android:tcp:127.0.0.1:1", "127.0.0.1"),
        ("--runtime=onnx", "did you mean 'onnxruntime'"),
        ("--runtime=fake", "fake"),
        ("--device=fake --runtime=onnxruntime", "fake"),
        ("--device=fake --threads=2", "1 processor"),
        ("--set=latency.settings.delegate=gpu", "delegate"),
        ("--set=space.chanels=3", "chanels"),
        ("--table=file/new.jsonl", "file/new.jsonl"),
        ("--precision=0", "precision"),
    ],
)
def test_a_refused_profile_leaves_no_table(words: str, text: str, folder: Path) -> None:
    assert text in _refused(folder, "profile", "--config=search.toml", "--table=new.jsonl", *words.split())


def test_the_fake_device_is_measured_by_its_own_runtime_in_every_verb(folder: Path) -> None:
    table = ("--config=search.toml", "--table=fake.jsonl", "--device=fake")
    assert run("profile", *table).status == _statuses.DONE
    conditions = json.loads(run("table", "show", "fake.jsonl", "--json").out)["conditions"]
    assert conditions["runtime"] == "fake"
    assert run("table", "validate", *table).status == _statuses.DONE
    architecture = f"--architecture={'.'.join(['0'] * 24)}"
    assert json.loads(run("bench", architecture, *table, "--json").out)["predicted_ms"] > 0
    done = run("search", *table[:2], "--set=latency.device=fake", "--run=run")
    assert done.status in {_statuses.DONE, _statuses.NOTHING_USABLE}
    assert 'runtime = "fake"' in Path("run/config.toml").read_text()
