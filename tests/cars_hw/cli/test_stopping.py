"""A search that a budget or a signal ends: what is kept, what is said, and that the command goes on."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cars_hw.cli import app
from cars_hw.errors import CheckpointError
from devices.foundation import ConfigError
from tests.fakes import raising_signals
from tests.fakes.configurations import TINIEST, TINY
from tests.fakes.waiting import wait_for

_GOLDEN = Path(__file__).parents[2] / "golden" / "before-the-moves"
_CONFIG = f"""{TINIEST}
[search]
objectives = ["error", "parameters", "tests.fakes.raising_signals"]
warm_up_epochs = 0
epochs_per_generation = 0.02
generations = 1
screening = false
[strategy]
population_size = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, and a run that is complete up to generation 1 of 3."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(_CONFIG)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    shutil.copytree(_GOLDEN / "random_search", tmp_path / "old run")
    return tmp_path


def _call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def _go_on(stderr: str) -> list[str]:
    """Return the arguments of the command that the last line with one names."""
    command = [line for line in stderr.splitlines() if "go on with: " in line][-1].partition("go on with: ")[
        2
    ]
    program, *arguments = shlex.split(command)
    assert program == "cars-hw"
    return arguments


def _evaluations(run: Path) -> int:
    newest = max((run / "checkpoints").iterdir())
    return int(json.loads((newest / "state.json").read_bytes())["values"]["trainer"]["ledger"]["evaluations"])


def test_a_budget_of_evaluations_ends_the_search_well_and_the_printed_command_goes_on(folder: Path) -> None:
    run = folder / "old run"
    budget = _evaluations(run) + 3
    result = _call("search", "--run", "old run", "--resume", f"--max-evaluations={budget}", "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["front"]
    assert shown["ended"]["by"] == "max_evaluations"
    assert shown["ended"]["kept"]["generation"] == 2
    assert "ended by --max-evaluations: kept: generation 2 up to training step" in result.stderr
    command = _go_on(result.stderr)
    assert shlex.split(shown["ended"]["go_on"]) == ["cars-hw", *command]
    result = _call(*command, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["ended"] is None
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == ["0002", "0003", "history"]


def test_without_a_complete_generation_there_is_no_front_and_it_is_said(folder: Path) -> None:
    search = ("search", "--run", "a run", "--config", "config.toml")
    result = _call(*search, "--max-evaluations", "1", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["front"] == []
    assert "no generation is complete, so there is no front yet" in result.stderr
    assert "generation 0 up to training step 0, 1 architectures evaluated" in result.stderr
    with pytest.raises(CheckpointError, match="holds a run already; go on with --resume"):
        _call(*search)
    with pytest.raises(CheckpointError, match="has no completed generation; let its search go on"):
        _call("report", "a run", "--allow-plugin", "tests.fakes.raising_signals")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--max-evaluations=0", "max_evaluations is 0; it is a whole number over 0"),
        ("--max-time=0", "max_time_s is 0.0; it is a number over 0"),
        ("--max-time=soon", "--max-time 'soon' is no time; the form is 90s, 30m, 2h or seconds"),
        ("--max-time=-3s", "--max-time '-3s' is no time"),
        ("--max-time=1e9h", "--max-time '1e9h' is no time"),
        ("--max-time=nan", "--max-time 'nan' is no time"),
    ],
)
def test_a_budget_that_is_none_is_one_line_and_leaves_no_folder(option: str, said: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        _call("search", "--run", "new", option)
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not (folder / "new").exists()


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ([signal.SIGINT], 130, "interrupted: kept: generation 0 up to training step 0, 1 architectures"),
        ([signal.SIGTERM], 143, "terminated: kept: generation 0 up to training step 0, 1 architectures"),
        ([signal.SIGINT, signal.SIGINT], 130, "interrupted: kept: nothing yet"),
    ],
    ids=["Ctrl-C", "kill", "Ctrl-C twice"],
)
def test_a_signal_ends_a_search_with_one_line_whose_command_goes_on(
    sent: list[signal.Signals], status: int, said: str, folder: Path
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where a shell's background ignores it
    try:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        raising_signals.SENT[:] = sent
        result = _call("search", "--run", "a run", "--config", "config.toml")
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == status
    [line] = [line for line in result.stderr.splitlines() if line.startswith("cars-hw: ")]
    assert said in line
    command = _go_on(line)
    assert command == ["search", "--run=a run", "--resume", "--allow-plugin=tests.fakes.raising_signals"]
    assert _call(*command).exit_code in (0, 3)
    assert (folder / "a run" / "checkpoints" / "0001").is_dir()


def _saved(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").glob("[0-9]*")}


_LONGER = (
    _CONFIG.replace(TINIEST, TINY)
    .replace("warm_up_epochs = 0\n", "warm_up_epochs = 3\ncheckpoint_every_s = 0.1\n")
    .replace(', "tests.fakes.raising_signals"', "")
)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_search_that_is_ended_again_and_again_ends_as_one_that_was_not(
    number: signal.Signals, folder: Path
) -> None:
    (folder / "config.toml").write_text(_LONGER)
    verb = [sys.executable, "-m", "cars_hw", "search", "--config", "config.toml", "--resume", "--run"]
    subprocess.run([*verb, "straight"], check=True, capture_output=True, timeout=300)
    rng, ended = np.random.default_rng(int(number)), 0
    while True:
        before = _saved(folder / "killed")
        process = subprocess.Popen([*verb, "killed"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for(
            lambda: _saved(folder / "killed") != before or process.poll() is not None,  # noqa: B023
            lambda: "nothing new is saved",
            within_s=100.0,
        )
        time.sleep(float(rng.uniform(0.0, 2.0)))
        process.send_signal(number)
        _, said = process.communicate(timeout=100)
        if process.returncode in (0, 3):
            break
        assert process.returncode in (-number, 128 + number), said
        assert b"Traceback" not in said
        ended += 1
    assert ended >= 2
    one, other = (folder / run / "checkpoints" / "0001" for run in ("straight", "killed"))
    assert (one / "arrays.safetensors").read_bytes() == (other / "arrays.safetensors").read_bytes()
    strategies = [
        json.loads((newest / "state.json").read_bytes())["values"]["strategy"] for newest in (one, other)
    ]
    assert strategies[0] == strategies[1]
