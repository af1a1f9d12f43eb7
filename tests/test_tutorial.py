"""The commands of docs/tutorial.md, run in order in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_PAGE = _ROOT / "docs" / "tutorial.md"


def _commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_tutorial_shows_every_verb_but_the_demo() -> None:
    commands = _commands()
    assert {command[0] for command in commands} == {"cars-hw"}
    verbs = {"devices", "init", "profile", "table", "search", "report", "export", "bench"}
    assert {command[1] for command in commands} == verbs


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run_as_they_stand(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    for _, *arguments in _commands():
        command = [sys.executable, "-m", "cars_hw", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{shlex.join(arguments)}: {done.stderr}"
    assert (tmp_path / "runs" / "first" / "report.html").stat().st_size > 10_000
    exported = {path.name for path in (tmp_path / "runs" / "first" / "export").iterdir()}
    assert {"knee.onnx", "knee.json", "fastest.onnx", "knee.tflite"} <= exported
    assert (tmp_path / "runs" / "small" / "checkpoints").is_dir()
