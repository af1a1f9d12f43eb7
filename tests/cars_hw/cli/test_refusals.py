"""What is refused leaves nothing behind: no run folder, no table, no file."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cars_hw.assembly import make_space
from cars_hw.cli import _statuses
from cars_hw.config import SearchConfig
from cars_hw.testing._tables import write_table
from tests.fakes.command_line import run
from tests.fakes.configurations import TINIEST

_ROOT = Path(__file__).parents[3]

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
    Path("search.toml").write_text(f"{TINIEST}{_SHORT}")
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
        pytest.param(["--set=strategy.population_size=1e9"], "population_size", marks=pytest.mark.slow),
        pytest.param(["--set=search.objectives=['error','macros']"], "macros", marks=pytest.mark.slow),
        (["--table=none.jsonl"], "run `cars-hw profile"),
        pytest.param(["--table=file"], "file", marks=pytest.mark.slow),
        (["--set=space.channels=4"], "no latency for"),
        (["--set=latency.device=fake"], "fake"),
        pytest.param(["--set=latency.threads=3"], "threads", marks=pytest.mark.slow),
        (["--max-latency-ms=0.00001"], "--allow-infeasible"),
        pytest.param(["--set=limits.parameters=1"], "--allow-infeasible", marks=pytest.mark.slow),
        pytest.param(["--data=cifar10"], "cifar10", marks=pytest.mark.slow),
        pytest.param(["--data=mnist5k"], "mnist5k has", marks=pytest.mark.slow),
        pytest.param(["--set=data.path=nowhere", "--data=cifar10"], "nowhere", marks=pytest.mark.slow),
        pytest.param(["--set=data.fitness_images=100000"], "fitness", marks=pytest.mark.slow),
        (["--set=training.batch_size=9999"], "batch_size 9999 exceeds"),
        (["--set=search.torch_device=cuda:99"], "torch_device"),
        pytest.param(["--set=search.torch_device=gpu"], "torch_device", marks=pytest.mark.slow),
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
        pytest.param("profile --table=new.jsonl", "or else --space:", marks=pytest.mark.slow),
        ("profile --space=darts", "or else --table:"),
        ("table validate", "table validate needs --config FILE, which init writes, or else --space and"),
        ("table validate --config=search.toml --table=none.jsonl", "run `cars-hw profile"),
        ("search --run=r", "search needs --config FILE, which init writes, or else --space and --data"),
        pytest.param("search --run=r --space=darts", "or else --data:", marks=pytest.mark.slow),
        pytest.param("search --run=r --data=digits", "or else --space:", marks=pytest.mark.slow),
        ("bench", "bench needs one of: a model file, --architecture, --genotype"),
        ("bench --architecture=0.0", "needs --config FILE, which init writes, or else --space:"),
        pytest.param("bench none.onnx", "none.onnx", marks=pytest.mark.slow),
        ("export nowhere", "nowhere holds no run"),
        pytest.param("report nowhere", "nowhere holds no run", marks=pytest.mark.slow),
        ("init search.toml", "search.toml exists"),
        pytest.param("init new.toml --space=dart", "did you mean 'darts'", marks=pytest.mark.slow),
        pytest.param("init new.toml --data=cifar10", "cifar10", marks=pytest.mark.slow),
        ("init new.toml --device=cpuu", "did you mean 'cpu'"),
        pytest.param("init file/new.toml", "file/new.toml", marks=pytest.mark.slow),
        ("demo --run=demo --set=space.name=dart", "did you mean 'darts'"),
        pytest.param("demo --run=demo --set=training.batch_size=9999", "exceeds", marks=pytest.mark.slow),
        pytest.param(
            "demo --run=demo --set=space.classes=9", "the space has 9 classes", marks=pytest.mark.slow
        ),
        ("demo --run=demo --set=search.torch_device=gpu", "torch_device"),
        pytest.param(
            "demo --run=demo --set=limits.parameters=1", "--allow-infeasible", marks=pytest.mark.slow
        ),
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
        pytest.param("--space=dart", "did you mean 'darts'", marks=pytest.mark.slow),
        pytest.param("--device=cpuu", "did you mean 'cpu'", marks=pytest.mark.slow),
        pytest.param("--device=cpu:99999", "99999", marks=pytest.mark.slow),
        pytest.param("--device=fake:1", "has no address", marks=pytest.mark.slow),
        ("--device=android:tcp:127.0.0.1:1", "127.0.0.1"),
        pytest.param("--runtime=onnx", "did you mean 'onnxruntime'", marks=pytest.mark.slow),
        ("--runtime=fake", "fake"),
        ("--device=fake --runtime=onnxruntime", "fake"),
        ("--device=fake --threads=2", "1 processor"),
        pytest.param("--set=latency.settings.delegate=gpu", "delegate", marks=pytest.mark.slow),
        pytest.param("--set=space.chanels=3", "chanels", marks=pytest.mark.slow),
        ("--table=file/new.jsonl", "file/new.jsonl"),
        ("--precision=0", "precision"),
    ],
)
def test_a_refused_profile_leaves_no_table(words: str, text: str, folder: Path) -> None:
    assert text in _refused(folder, "profile", "--config=search.toml", "--table=new.jsonl", *words.split())


@pytest.mark.slow
def test_the_fake_device_is_measured_by_its_own_runtime_in_every_verb(folder: Path) -> None:
    table = ("--config=search.toml", "--table=fake.jsonl", "--device=fake")
    assert run("profile", *table).status == _statuses.DONE
    conditions = json.loads(run("table", "show", "fake.jsonl", "--json").out)["conditions"]
    assert conditions["runtime"] == "fake"
    assert run("table", "validate", *table).status == _statuses.DONE
    architecture = f"--architecture={'.'.join(['0'] * 6)}"
    assert json.loads(run("bench", architecture, *table, "--json").out)["predicted_ms"] > 0
    done = run("search", *table[:2], "--set=latency.device=fake", "--run=run")
    assert done.status in {_statuses.DONE, _statuses.NOTHING_USABLE}
    assert 'runtime = "fake"' in Path("run/config.toml").read_text()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, whose training diverged."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "search.toml").write_text(f"{TINIEST}{_SHORT}")
    objectives = '--set=search.objectives=["error","parameters"]'
    rate = "--set=training.learning_rate=100"
    done = run("search", f"--config={folder / 'search.toml'}", objectives, rate, f"--run={folder / 'run'}")
    assert done.status in {_statuses.DONE, _statuses.NOTHING_USABLE}, done
    assert "warning: the training loss of the last steps is" in done.err
    return folder


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--pick=0 --pick=kneee", "did you mean 'knee'"),
        ("--pick=0 --pick=fastest", "did not minimise latency_ms"),
        ("--pick=0 --pick=999", "there is no member 999"),
        ("--pick=0 --pick=parameters<=1", "parameters<=1; the smallest there is: parameters "),
        pytest.param("--pick=0 --pick=spread:0", "spread:0 picks no number", marks=pytest.mark.slow),
        ("--pick=0 --pick=999 --allow-infeasible", "there is no member 999"),
        pytest.param("--pick=0 --format=onx", "did you mean 'onnx'", marks=pytest.mark.slow),
        ("--pick=0 --format=tests.fakes.uninstalled_format", "needs no-such-distribution; install it"),
        ("--pick=0 --int8 --format=tests.fakes.uninstalled_format", "needs no-such-distribution"),
        ("--pick=0 --to={folder}/search.toml", "search.toml"),
        pytest.param("--pick=0 --to={folder}/search.toml/deep", "search.toml", marks=pytest.mark.slow),
        pytest.param("--pick=0 --to=/proc/nowhere/deep", "/proc/nowhere/deep", marks=pytest.mark.slow),
    ],
)
def test_a_refused_export_writes_no_file_and_makes_no_folder(words: str, text: str, searched: Path) -> None:
    arguments = words.format(folder=searched).split()
    assert text in _refused(searched, "export", str(searched / "run"), *arguments)


def test_a_second_pick_whose_name_a_folder_has_is_refused_before_the_first_is_written(
    searched: Path, tmp_path: Path
) -> None:
    (tmp_path / "least:parameters.json").mkdir()
    picks = ("--pick=0", "--pick=least:parameters", f"--to={tmp_path}")
    assert "it is a folder" in _refused(tmp_path, "export", str(searched / "run"), *picks)


def test_training_that_diverged_is_said_by_every_verb_and_in_the_card(searched: Path, tmp_path: Path) -> None:
    path = str(searched / "run")
    for words in (("report", path, f"--to={tmp_path / 'page.html'}"), ("export", path, f"--to={tmp_path}")):
        assert "warning: the training loss" in run(*words).err
    assert "the training loss of the last steps" in (tmp_path / "page.html").read_text()
    for text in (run("report", path, "--json").out, (tmp_path / "knee.json").read_text()):
        assert "diverged" in {found["kind"] for found in json.loads(text)["warnings"]}


def test_the_page_lists_the_exit_statuses_that_there_are() -> None:
    rows = (_ROOT / "docs" / "troubleshooting.md").read_text().splitlines()
    begin = rows.index("| exit status | what it means |")
    listed = [row.split(" | ")[0].removeprefix("| ") for row in rows[begin + 2 : begin + 8]]
    known = [value for name, value in vars(_statuses).items() if name.isupper() and name != "TYPE_CHECKING"]
    assert listed == [str(int(value)) for value in known]
    assert not rows[begin + 8].startswith("|")


@pytest.mark.slow
def test_a_demo_shows_its_warnings_and_ends_with_the_status_of_search(folder: Path) -> None:
    small = ("--set=search.generations=0", "--set=search.warm_up_epochs=0.3", "--set=data.fitness_images=200")
    done = run("demo", "--run=demo", *small, "--set=limits.parameters=1", "--allow-infeasible")
    assert done.status == _statuses.NOTHING_USABLE
    assert "warning: no member of the front" in done.err
    assert "no member of the front is usable" in done.err
    told = json.loads(Path("demo/summary.json").read_text())["warnings"]
    assert "limits" in {found["kind"] for found in told}
    assert Path("demo/export/knee.onnx").is_file()


@pytest.mark.slow
def test_ctrl_c_and_a_kill_end_with_the_statuses_that_the_page_lists(folder: Path) -> None:
    command = [sys.executable, "-m", "cars_hw", *_SEARCH, "--set=search.warm_up_epochs=1000"]
    for sent, statuses in ((signal.SIGINT, {_statuses.INTERRUPTED}), (signal.SIGTERM, {-signal.SIGTERM})):
        shutil.rmtree("deep", ignore_errors=True)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as search:
            while not Path("deep/run/config.toml").exists() and search.poll() is None:
                time.sleep(0.05)
            time.sleep(2)
            search.send_signal(sent)
            assert search.wait(30) in statuses | {_statuses.TERMINATED if sent == signal.SIGTERM else -1}
