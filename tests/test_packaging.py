"""The distribution: what a wheel holds, and that the documents keep up with the code."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import cars_hw
import devices
import latency_tables
from cars_hw import spaces, strategies
from profilers import runtimes

_ROOT = Path(__file__).parents[1]
_PACKAGES = {"cars_hw", "profilers", "latency_tables", "devices"}

_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_TORCH = re.findall(r"^torch==(.*)$", (_ROOT / "constraints.txt").read_text(), re.MULTILINE)[0]
_OFFER = f"echo Available versions: 99.0, {_TORCH}+cpu, 1.0"

#: What ``python -m venv`` does where all goes well, in shell.
_WHOLE = "ln -s ../../python .venv/bin/python"

#: A search of seconds on a device where no time passes.
_SMALL = """
space = {name = "nasbench201", deploy = "search", channels = 2, cells = 1, image_size = 8, image_channels = 1}
strategy = {name = "cars", population_size = 3}
data = {name = "digits", fitness_images = 100}
training = {batch_size = 256, crop_padding = 1, recalibration_images = 32}
search = {warm_up_epochs = 0.5, epochs_per_generation = 0.5}
latency = {device = "fake", runtime = "fake"}
"""

without_card = pytest.mark.skipif(
    shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists(),
    reason="this machine has an NVIDIA card",
)


def test_a_wheel_holds_the_four_packages_typed_and_with_the_demo(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=_ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == _PACKAGES
    assert {f"{package}/py.typed" for package in _PACKAGES} <= set(names)
    assert "cars_hw/cli/demo.toml" in names
    assert {f"cars_hw/results/reporting/drawing/assets/{name}" for name in ("main.js", "style.css")} <= set(
        names
    )


def test_a_source_distribution_holds_what_its_tests_and_checks_need(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=_ROOT, check=True, capture_output=True)
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.split("/", 1)[1] for name in files.getnames()}
    assert {"scripts/test", "scripts/_venv.sh", "constraints.txt", "benchmarks/_rows.py"} <= names
    assert {str(path.relative_to(_ROOT)) for path in (_ROOT / "tests").rglob("*.py")} <= names


@pytest.mark.parametrize("module", [cars_hw, devices, latency_tables, runtimes, spaces, strategies])
def test_every_public_name_is_there(module: ModuleType) -> None:
    assert len(module.__all__) == len(set(module.__all__))
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_every_dependency_is_pinned_and_its_reason_named() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in _lines("constraints.txt")}
    reasons = (_ROOT / "docs" / "dependencies.md").read_text().lower()
    extras = project["optional-dependencies"]
    for requirement in itertools.chain(project["dependencies"], *extras.values()):
        name = re.split(r"[\[>=<]", requirement)[0]
        assert name in pinned, f"{name} is not in constraints.txt"
        assert re.search(rf"\b{name}\b", reasons), f"{name} has no reason in docs/dependencies.md"
    assert "libusb1" in pinned  # of adb-shell[usb]


def _prepare_venv(folder: Path, venv: str = _WHOLE, **answers: str) -> subprocess.CompletedProcess[str]:
    """Run prepare_venv in ``folder`` with a Python that writes what it is asked to ``calls``, and no more.

    Args:
        folder: Becomes the checkout.
        venv: What ``-m venv`` does, in shell.
        answers: In shell: ``index``, what pip does when asked for versions of torch; ``installed``, what
            prints the version of torch; ``setup``, what happens before. All else is environment variables.
    """
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(_ROOT / name, folder)
    python = folder / "python"
    python.write_text(
        f"""#!/bin/sh
echo "$*" >>calls
case "$*" in
"-m venv"*) mkdir -p .venv/bin; {venv} ;;
*"index versions"*) {answers.pop("index", "exit 1")} ;;
*"print(version"*) {answers.pop("installed", "exit 1")} ;;
*"import torch"*) echo 9.9.9 for nothing ;;
esac
"""
    )
    python.chmod(0o755)
    script = f". '{_ROOT}/scripts/_venv.sh'; {answers.pop('setup', '')}\nprepare_venv dev"
    environment = {name: value for name, value in os.environ.items() if name != "CARS_HW_TORCH"}
    return subprocess.run(
        ["/bin/sh", "-eu", "-c", script],
        cwd=folder,
        env=environment | {"PYTHON": str(python)} | answers,
        capture_output=True,
        text=True,
        check=False,
    )


def _torch_installs(folder: Path) -> list[str]:
    """Return from where torch was asked for by name, in order."""
    calls = (folder / "calls").read_text().splitlines()
    return [call.partition("--index-url ")[2] for call in calls if " install " in call and "torch==" in call]


def test_a_venv_that_could_not_be_made_is_not_left_behind(tmp_path: Path) -> None:
    done = _prepare_venv(tmp_path, f"{_WHOLE}; exit 1")
    assert done.returncode == 1
    assert "could not make .venv" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_venv_without_pip_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    broken = tmp_path / ".venv" / "bin" / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    done = _prepare_venv(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "making .venv" in done.stdout
    assert (tmp_path / ".venv" / "installed-dev").exists()


def test_what_was_installed_is_described_and_not_installed_again(tmp_path: Path) -> None:
    first, again = _prepare_venv(tmp_path), _prepare_venv(tmp_path)
    assert re.search(r"installed: \.venv is [\d.]+K, torch 9\.9\.9 for nothing", first.stdout)
    assert again.stdout == ""


@without_card
def test_without_a_card_torch_for_the_cpu_is_taken_where_it_is_offered(tmp_path: Path) -> None:
    done = _prepare_venv(tmp_path, index=_OFFER)
    assert done.returncode == 0
    assert f"torch: {_TORCH} for the CPU, about 1.7 GB" in done.stdout
    assert _torch_installs(tmp_path) == [f"{_CPU_INDEX} torch=={_TORCH}"]
    last = (tmp_path / "calls").read_text().splitlines()[-3]
    assert last.endswith("-c constraints.txt -e .[dev]")


@without_card
@pytest.mark.parametrize("index", ["exit 1", f"echo Available versions: 1{_TORCH}, {_TORCH}1", "sleep 60"])
def test_without_a_card_the_size_is_named_where_no_torch_for_the_cpu_is_offered(
    tmp_path: Path, index: str
) -> None:
    start_s = time.monotonic()
    done = _prepare_venv(tmp_path, index=index, setup="torch_probe_s=1")
    assert time.monotonic() - start_s < 30
    assert done.returncode == 0
    assert "may be one for CUDA, of about 5 GB" in done.stdout
    assert _torch_installs(tmp_path) == []


def test_with_a_card_torch_is_what_pip_finds(tmp_path: Path) -> None:
    card = tmp_path / "card" / "nvidia-smi"
    card.parent.mkdir()
    card.write_text("#!/bin/sh\n")
    card.chmod(0o755)
    done = _prepare_venv(tmp_path, index=_OFFER, PATH=f"{card.parent}:{os.environ['PATH']}")
    assert "the build that pip finds; one for CUDA takes about 5 GB" in done.stdout
    assert "index versions" not in (tmp_path / "calls").read_text()
    assert _torch_installs(tmp_path) == []


def test_torch_is_chosen_by_a_variable(tmp_path: Path) -> None:
    for choice, index in (("cpu", [f"{_CPU_INDEX} torch=={_TORCH}"]), ("default", [])):
        folder = tmp_path / choice
        folder.mkdir()
        assert _prepare_venv(folder, index=_OFFER, CARS_HW_TORCH=choice).returncode == 0
        assert _torch_installs(folder) == index


@pytest.mark.parametrize(
    ("choice", "message"),
    [("cpu", "is not to be had from https"), ("cuda", "CARS_HW_TORCH is 'cuda'; it is cpu or default")],
)
def test_a_choice_of_torch_that_cannot_be_had_ends_the_installation(
    tmp_path: Path, choice: str, message: str
) -> None:
    done = _prepare_venv(tmp_path, CARS_HW_TORCH=choice)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / ".venv" / "installed-dev").exists()


@pytest.mark.parametrize("build", [_TORCH, f"{_TORCH}+cpu", f"{_TORCH}+cu130"])
def test_a_torch_that_is_there_already_stays(tmp_path: Path, build: str) -> None:
    assert _prepare_venv(tmp_path, index=_OFFER, installed=f"echo {build}").returncode == 0
    assert "index versions" not in (tmp_path / "calls").read_text()
    assert _torch_installs(tmp_path) == []


def test_another_choice_replaces_the_torch_that_is_there(tmp_path: Path) -> None:
    _prepare_venv(tmp_path, installed=f"echo {_TORCH}")
    done = _prepare_venv(tmp_path, index=_OFFER, installed=f"echo {_TORCH}", CARS_HW_TORCH="cpu")
    assert done.returncode == 0
    assert _torch_installs(tmp_path) == [f"{_CPU_INDEX} torch=={_TORCH}"]


@pytest.mark.parametrize(
    "script", ["scripts/_venv.sh", "scripts/demo", "scripts/test", "scripts/adbd", ".ci/run"]
)
def test_the_shell_scripts_parse(script: str) -> None:
    subprocess.run(["/bin/sh", "-n", _ROOT / script], check=True)


def test_no_test_folder_is_a_package() -> None:
    assert not list((_ROOT / "tests").rglob("__init__.py"))


def test_nothing_from_outside_is_unpickled_evaluated_or_given_to_a_shell() -> None:
    forbidden = re.compile(
        r"\b(pickle|marshal|yaml\.load|shell=True|os\.system|torch\.load)\b|(?<![.\w])(eval|exec)\("
    )
    for package in _PACKAGES:
        for path in (_ROOT / package).rglob("*.py"):
            assert not forbidden.search(path.read_text()), path


def test_the_code_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (_ROOT / "README.md").read_text(), re.DOTALL)
    small = code.replace('"search.generations": 10', '"search.generations": 1')
    assert small != code
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.toml").write_text(_SMALL)
    exec(compile(small, "README.md", "exec"), {})  # noqa: S102  (our own README)
    printed = capsys.readouterr().out
    assert "20 whole networks: RMSPE" in printed
    assert "generation 1: front of" in printed
    assert str(Path("runs", "b", "report.html")) in printed


def test_the_targets_of_the_readme_are_a_configuration(tmp_path: Path) -> None:
    [text] = re.findall(r"```toml\n(.*?)```", (_ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "targets.toml").write_text(text)
    config = cars_hw.SearchConfig.load(tmp_path / "targets.toml")
    assert config.objective_names() == ("error", "parameters", "latency_ms.pixel", "latency_ms.desktop")
    assert config.all_limits() == {"latency_ms.pixel": 5, "parameters": 2_000_000}


def _lines(name: str) -> list[str]:
    return [line for line in (_ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
