"""The distribution: what a wheel holds, and that the documents keep up with the code."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tarfile
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
from tests.fakes.tables import write_table

_ROOT = Path(__file__).parents[1]
_PACKAGES = {"cars_hw", "profilers", "latency_tables", "devices"}


def test_a_wheel_holds_the_four_packages_typed_and_with_the_demo(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=_ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == _PACKAGES
    assert {f"{package}/py.typed" for package in _PACKAGES} <= set(names)
    assert "cars_hw/cli/demo.toml" in names


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


def _prepare_venv(folder: Path, venv: str) -> subprocess.CompletedProcess[str]:
    """Run prepare_venv in ``folder`` with a Python whose ``-m venv`` runs the shell script ``venv``."""
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(_ROOT / name, folder)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\n[ "$2" = venv ] || exit 0\nmkdir -p .venv/bin\n{venv}\n')
    python.chmod(0o755)
    command = ["/bin/sh", "-c", f". '{_ROOT}/scripts/_venv.sh'; prepare_venv dev"]
    environment = os.environ | {"PYTHON": str(python)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_venv_that_could_not_be_made_is_not_left_behind(tmp_path: Path) -> None:
    done = _prepare_venv(tmp_path, "cp python .venv/bin/python; exit 1")
    assert done.returncode == 1
    assert "could not make .venv" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_venv_without_pip_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    broken = tmp_path / ".venv" / "bin" / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    done = _prepare_venv(tmp_path, "cp python .venv/bin/python")
    assert (done.returncode, done.stderr) == (0, "")
    assert "making .venv" in done.stdout
    assert (tmp_path / ".venv" / "installed-dev").exists()


def test_no_test_folder_is_a_package() -> None:
    assert not list((_ROOT / "tests").rglob("__init__.py"))


def test_nothing_from_outside_is_unpickled_evaluated_or_given_to_a_shell() -> None:
    forbidden = re.compile(
        r"\b(pickle|marshal|yaml\.load|shell=True|os\.system|torch\.load)\b|(?<![.\w])(eval|exec)\("
    )
    for package in _PACKAGES:
        for path in (_ROOT / package).rglob("*.py"):
            assert not forbidden.search(path.read_text()), path


def test_the_documents_name_files_that_exist() -> None:
    for document in [_ROOT / "README.md", *(_ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_the_code_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (_ROOT / "README.md").read_text(), re.DOTALL)
    small = re.sub(r"_steps=\d+, steps=\d+, generations=\d+", "_steps=2, steps=2, generations=1", code)
    small = small.replace("population_size=16", "population_size=3")
    assert small.count("steps=2") == 2
    monkeypatch.chdir(tmp_path)
    space = spaces.load("darts", deploy="search", channels=8, cells=3, image_size=8, image_channels=1)
    write_table(tmp_path / "cpu.jsonl", space)
    exec(compile(small, "README.md", "exec"), {})  # noqa: S102  (our own README)
    assert "generation 1: front of" in capsys.readouterr().out


def _lines(name: str) -> list[str]:
    return [line for line in (_ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
