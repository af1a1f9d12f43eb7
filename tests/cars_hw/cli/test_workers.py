"""``--workers`` and ``--executor`` of ``search``: they change no result; and what is refused."""

import json
from pathlib import Path

import pytest

from tests.fakes.command_line import Done, run
from tests.fakes.configurations import TINIEST

_CONFIG = f"""{TINIEST}
[search]
objectives = ["error", "parameters"]
warm_up_epochs = 0.02
epochs_per_generation = 0.02
generations = 0
[strategy]
population_size = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(_CONFIG)
    return tmp_path


def _search(name: str, *words: str) -> Done:
    return run("search", "--config", "config.toml", "--run", name, *words)


def _front(done: Done) -> object:
    assert done.status == 0, done.err
    return json.loads(done.out)["front"]


def test_workers_change_no_result_and_are_named_by_the_command_that_goes_on() -> None:
    alone = _search("alone", "--workers", "1", "--json")
    ended = _search("helped", "--workers", "2", "--max-evaluations", "1", "--json")
    assert "--workers=2" in json.loads(ended.out)["ended"]["go_on"]
    helped = run("search", "--run", "helped", "--resume", "--workers", "1", "--json")
    assert _front(helped) == _front(alone)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--workers", "0"), "workers is 0; it is a whole number from 1 to 1024"),
        (("--workers", "2000"), "workers is 2000"),
        (("--executor", "proceses"), "did you mean 'processes'"),
        (("--executor", "in_process", "--workers", "2"), "take processes for more"),
        (("--executor", "processes://host"), "processes has no address"),
        (("--workers", "2", "--set", "search.torch_device=meta"), "workers compute on the CPU"),
    ],
)
def test_workers_that_there_cannot_be_are_refused_in_one_line_and_nothing_is_left(
    words: tuple[str, ...], expected: str
) -> None:
    done = _search("refused", *words)
    assert done.status == 1
    [line] = done.err.splitlines()
    assert expected in line
    assert not Path("refused").exists()


def test_searches_of_several_seeds_keep_a_run_each_and_go_on_by_the_same_command() -> None:
    words = ("searches", "runs", "--config", "config.toml", "--seed", "1", "--seed", "2")
    done = run(*words, "--executor", "in_process", "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert sorted(found) == ["runs/config-1", "runs/config-2"]
    assert found["runs/config-1"]["front"] != found["runs/config-2"]["front"]
    again = run(*words, "--executor", "in_process", "--json")
    assert json.loads(again.out) == found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--seed", "1", "--seed", "1"), "two searches would be runs/config-1"),
        (("--workers", "0"), "workers is 0"),
        (("--set", "search.generations=-1"), "search.generations"),
    ],
)
def test_searches_that_there_cannot_be_are_refused_in_one_line_and_nothing_is_left(
    words: tuple[str, ...], expected: str
) -> None:
    done = run("searches", "runs", "--config", "config.toml", *words)
    assert done.status == 1
    assert expected in done.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--executor", "in_process"), "in_process has no devices but those of this process"),
        (("--executor", "proceses"), "did you mean 'processes'"),
    ],
)
def test_hosts_that_cannot_profile_are_refused_and_nothing_is_left(
    words: tuple[str, ...], expected: str
) -> None:
    device = ("--device", "fake", "--runtime", "fake", "--table", "t.jsonl")
    done = run("profile", "--config", "config.toml", "--by-operations", *device, *words)
    assert done.status == 1
    assert expected in done.err
    assert not list(Path().glob("t.jsonl*"))
