"""The commands of docs/own-images.md: what the page shows is what its benchmark runs."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cars_hw.config import SearchConfig

_ROOT = Path(__file__).parents[1]
_ARCHIVE = Path(os.environ.get("CARS_HW_DATA", _ROOT / "../shared/data")) / "cifar10-jpeg.tar.xz"


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_ROOT / "benchmarks"))


def test_the_page_goes_from_a_folder_to_a_script_that_classifies() -> None:
    from _page import commands

    assert [command.name for command in commands()] == [
        "data check",
        "init",
        "profile",
        "table validate",
        "search",
        "retrain",
        "export",
        "bench",
        "example",
        "export 2",
        "example 2",
    ]


def test_the_settings_of_the_page_are_keys_of_a_configuration() -> None:
    from _page import edited, settings

    config = SearchConfig.of(tomllib.loads(edited("", settings())))
    assert config.data.fitness_images == settings()["data.fitness_images"]
    assert config.search.generations == settings()["search.generations"]


def test_a_setting_takes_the_place_of_the_one_in_its_section() -> None:
    from _page import edited

    text = "[space]\n# Of the stem.\nstride = 1\n\n[data]\n# stride =\nlist = [\n    1,\n]\n"
    changed = edited(text, {"data.stride": 3, "space.stride": 2, "space.new": "a", "more.key": True})
    assert tomllib.loads(changed) == {
        "space": {"stride": 2, "new": "a"},
        "data": {"stride": 3, "list": [1]},
        "more": {"key": True},
    }
    assert "# Of the stem.\nstride = 2\n" in changed


@pytest.mark.slow
@pytest.mark.skipif(not _ARCHIVE.is_file(), reason=f"{_ARCHIVE} is absent; set CARS_HW_DATA to its folder")
def test_the_commands_of_the_page_run_as_they_stand(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/own_images.py", "--short", f"--folder={tmp_path}"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-1000:]}{done.stderr[-2000:]}"
    assert "own_images.example_agrees.tflite: 100 %" in done.stdout
