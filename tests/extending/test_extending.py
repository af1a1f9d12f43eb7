"""What it takes to add a plug-in of each kind from outside: its files, the shipped suites, every verb."""

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cars_hw.cli import main

Verb = Callable[..., tuple[int, str, str]]

_LAB = Path(__file__).parent / "my_lab"
_ROOT = Path(__file__).parents[2]

#: What a newcomer wants to add: the files that it took here, and the most that it may take.
_EXTENSIONS = {
    "a remote device": (("board.py",), 1),
    "a host device that is no CPU, with its runtime": (("accelerator.py", "eager.py"), 2),
    "an operation kind of existing layers": (("widening.py",), 4),
    "an arithmetic objective": (("activation_bytes.py",), 1),
    "a data set": (("stripes.py",), 1),
    "an export format, with its runtime": (("packed_onnx.py",), 4),
    "a search space": (("towers.py",), 1),
    "a search algorithm": (("first_seen.py",), 1),
}

_SUITES = """
from pathlib import Path

import devices
from cars_hw import spaces
from cars_hw.networks import kinds
from cars_hw.testing import (
    DataSetContract, DeviceContract, FormatContract, ObjectiveContract, RuntimeContract, SpaceContract,
    StrategyContract,
)

kinds.load_kinds(["my_lab.widening"])


class TestBoard(DeviceContract):
    name = "my_lab.board"

    def device(self):
        return devices.connect(f"my_lab.board:{Path.cwd()}")


class TestAccelerator(DeviceContract):
    name = "my_lab.accelerator"


class TestEager(RuntimeContract):
    name = "my_lab.eager"

    def device(self):
        return devices.connect("my_lab.accelerator")


class TestPackedRuntime(RuntimeContract):
    name = "my_lab.packed_onnx"


class TestPackedOnnx(FormatContract):
    name = "my_lab.packed_onnx"


class TestActivationBytes(ObjectiveContract):
    name = "my_lab.activation_bytes"


class TestStripes(DataSetContract):
    name = "my_lab.stripes"


class TestTowers(SpaceContract):
    name = "my_lab.towers"


class TestFirstSeen(StrategyContract):
    name = "my_lab.first_seen"
"""

_CONFIG = """
[space]
name = "my_lab.towers"
operation_kinds = ["my_lab.widening"]
floors = 4
[data]
name = "my_lab.stripes"
images = 200
fitness_images = 40
[strategy]
name = "my_lab.first_seen"
population_size = 3
[training]
batch_size = 16
crop_padding = 1
recalibration_images = 16
[search]
objectives = ["error", "my_lab.activation_bytes", "latency_ms"]
warm_up_epochs = 10
epochs_per_generation = 0.2
generations = 1
[limits]
"my_lab.activation_bytes" = 1e6
[latency]
device = "my_lab.accelerator"
runtime = "my_lab.eager"
table = "accelerator.jsonl"
"""

_MODULES = ("towers", "widening", "stripes", "first_seen", "activation_bytes", "accelerator", "eager")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of somebody's own, with plug-ins that nothing of ours names."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(_LAB, folder / "my_lab", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "config.toml").write_text(_CONFIG)
    return folder


@pytest.fixture
def run(lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Verb]:
    """What runs a verb in the laboratory's folder and returns its exit status and both outputs."""
    monkeypatch.chdir(lab)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the command line appends the folder to it

    def verb(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cars-hw", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        written = capsys.readouterr()
        return int(stopped.value.code or 0), written.out, written.err

    yield verb
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_lab"]:
        del sys.modules[name]  # other tests have a laboratory of that name too


def _output(run: Verb, *arguments: str) -> str:
    status, out, err = run(*arguments)
    assert status == 0, err
    return out


@pytest.mark.parametrize("what", _EXTENSIONS)
def test_a_newcomer_touches_no_more_files_than_promised(what: str) -> None:
    files, most = _EXTENSIONS[what]
    assert len(files) <= most
    assert all((_LAB / name).is_file() for name in files)


def test_every_file_of_the_laboratory_is_counted() -> None:
    counted = {name for files, _ in _EXTENSIONS.values() for name in files}
    assert counted == {path.name for path in _LAB.glob("*.py")}


@pytest.mark.slow
def test_the_shipped_suites_hold_for_each_of_them(lab: Path) -> None:
    (lab / "test_lab.py").write_text(_SUITES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_lab.py"]
    done = subprocess.run(command, cwd=lab, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_verb_works_with_all_of_them(lab: Path, run: Verb) -> None:
    allow = [f"--allow-plugin=my_lab.{name}" for name in _MODULES]
    assert "my_lab.accelerator" in _output(run, "devices", "--device", "my_lab.accelerator")
    _output(run, "profile", "--config", "config.toml", "--spread-s", "0", "--precision", "0.2")
    at_once = ("--config", "config.toml", "--spread-s", "0", "--allow-changed", "speed")
    validated = _output(run, "table", "validate", *at_once, "--precision", "0.2")
    assert "whole networks" in validated
    assert "widening" in _output(run, "table", "show", "accelerator.jsonl")
    search = ("search", "--run", "run", "--no-measure")
    searched = json.loads(_output(run, *search, "--config", "config.toml", "--json"))
    assert set(searched["front"][0]) == {"architecture", "error", "my_lab.activation_bytes", "latency_ms"}
    _output(run, *search, "--resume", *allow)
    _output(run, "report", "run", *allow)
    _output(
        run,
        "export",
        "run",
        "--pick",
        "least:my_lab.activation_bytes",
        "--format",
        "my_lab.packed_onnx",
        *allow,
    )
    _output(run, "export", "run", "--pick", "knee", *allow)
    card = json.loads((lab / "run/export/knee.json").read_text())
    assert card["space"]["operation_kinds"] == ["my_lab.widening"]
    architecture = ("--architecture", card["architecture"], *at_once, "--json")
    found = json.loads(_output(run, "bench", *architecture))
    assert found["predicted_ms"] > 0
    exported = "run/export/least:my_lab.activation_bytes.onnxz"
    on_cpu = ("--device", "cpu", "--spread-s", "0", "--json")
    measured = _output(run, "bench", exported, "--format", "my_lab.packed_onnx", *on_cpu, *allow)
    assert json.loads(measured)["measured_ms"] > 0
    measured = _output(run, "bench", "run/export/knee.onnx", "--spread-s", "0", "--json", *allow)
    assert json.loads(measured)["measured_ms"] > 0

    for refused in (("report", "run"), ("export", "run"), ("search", "--resume", "--run", "run")):
        status, _, err = run(*refused)
        assert status == 1
        assert "names the module 'my_lab." in err
        assert "--allow-plugin my_lab." in err
        assert len(err.splitlines()) == 1
    status, _, err = run("bench", "run/export/knee.onnx", "--table", "accelerator.jsonl")
    assert status == 1
    assert "--allow-plugin my_lab.towers" in err


def test_a_folder_of_the_users_hides_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "cars_hw.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "json.py").write_text("raise SystemExit(3)\n")
    code = textwrap.dedent(
        """
        import sys
        sys.path = [p for p in sys.path if p]  # as the installed command starts: without the folder
        from cars_hw.cli import main
        sys.argv = ["cars-hw", "--version"]
        main()
        """
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(_ROOT)!r})\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
