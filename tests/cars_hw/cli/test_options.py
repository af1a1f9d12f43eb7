"""What every verb has: help with examples that parse, quiet, and configurations that init writes."""

import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from cars_hw import __version__, spaces
from cars_hw.assembly import make_space, make_trainer
from cars_hw.cli import app, main
from cars_hw.config import SearchConfig


def _commands() -> Iterator[tuple[str, TyperCommand]]:
    """Yield each verb's words and its command."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            for inner, one in command.commands.items():
                assert isinstance(one, TyperCommand)
                yield f"{name} {inner}", one
        else:
            assert isinstance(command, TyperCommand)
            yield name, command


_VERBS = dict(_commands())


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_version_is_printed_by_the_module_too() -> None:
    command = [sys.executable, "-m", "cars_hw", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"cars-hw {__version__}\n"


@pytest.mark.parametrize("words", ["", "table", *_VERBS])
def test_every_help_has_examples_that_parse(words: str) -> None:
    assert _run(*words.split(), "-h") == _run(*words.split(), "--help")
    assert _examples(words)
    for example in _examples(words):
        program, *arguments = shlex.split(example)
        assert program == "cars-hw"
        assert arguments[: len(words.split())] == words.split()
        verb = next(verb for verb in _VERBS if arguments[: len(verb.split())] == verb.split())
        _VERBS[verb].make_context(verb, arguments[len(verb.split()) :]).close()


def _examples(words: str) -> list[str]:
    """Return the examples at the end of the help of a verb, of verbs in common, or of all."""
    command = typer.main.get_command(app)
    for word in words.split():
        assert isinstance(command, TyperGroup)
        command = command.commands[word]
    head, *examples = str(command.epilog).split("\n\n")
    assert head == "Examples:"
    return examples


def test_an_example_that_does_not_parse_would_be_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        _VERBS["search"].make_context("search", ["--run", "r", "--generation", "3"])


@pytest.mark.slow
def test_quiet_leaves_results_and_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "search.toml")
    command = [sys.executable, "-m", "cars_hw"]
    done = subprocess.run([*command, "init", path, "--quiet"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    again = subprocess.run([*command, "--quiet", "init", path], capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr.startswith("cars-hw: ")
    assert "--force" in again.stderr
    assert len(again.stderr.splitlines()) == 1


@pytest.mark.parametrize("space", spaces.names())
def test_a_written_configuration_fits_its_images_and_says_what_each_key_means(
    space: str, tmp_path: Path
) -> None:
    path = tmp_path / "search.toml"
    _run("init", str(path), "--space", space, "--data", "digits")
    text = path.read_text()
    config = SearchConfig.load(path)
    assert make_trainer(config, make_space(config)).space.deploys_search_graph
    lines = text.splitlines()
    keys = [i for i, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert len(keys) > 35
    uncommented = [lines[i] for i in keys if not lines[i - 1].startswith("#")]
    assert uncommented == []
    assert max(map(len, lines)) <= 120
    assert set(tomllib.loads(text)) == {"space", "strategy", "data", "training", "search", "latency"}


@pytest.mark.slow
def test_what_init_writes_is_profiled_searched_exported_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _run("init", "search.toml", "--device", "fake", "--runtime", "fake")
    small = ("--set", "search.warm_up_epochs=0.1", "--set", "search.epochs_per_generation=0.05")
    _run("profile", "--config", "search.toml")
    assert "latency_ms" in _run(
        "search", "--config", "search.toml", "--run", "run", "--generations", "1", *small
    )
    shown = json.loads(_run("report", "run", "--json"))
    assert not Path("run/report.html").exists()
    assert shown["generation"] == 1
    assert shown["objectives"] == ["error", "parameters", "latency_ms"]
    assert {member["architecture"] for member in shown["front"]}
    assert shown["configuration"]["strategy"]["population_size"] == 16
    assert "never validated" in shown["trust"]
    _run("export", "run", "--pick", "least:parameters", "--pick", "latency_ms<=1e6 and parameters <= 1e9")
    assert Path("run/export/least:parameters.onnx").exists()
    card = Path("run/export/latency_ms-1000000-and-parameters-1000000000.json")
    told = json.loads(card.read_text())
    assert told["pick"] == "latency_ms<=1000000 and parameters<=1000000000"
    assert told["picked_as"].startswith("the least error, as the search estimates it, of the ")


def test_a_command_that_is_wrong_exits_with_2_and_one_of_ours_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, status in ((["search"], 2), (["report", "nowhere"], 1)):
        monkeypatch.setattr(sys, "argv", ["cars-hw", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == status
