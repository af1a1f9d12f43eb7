"""Sessions: every command that a message prints works as it stands, until no message names another one."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from cars_hw.cli._statuses import DONE, FAILED
from tests.fakes.command_line import Done, printed_commands, run
from tests.fakes.configurations import TINY

_SHORT = """
[search]
warm_up_epochs = 0.6
epochs_per_generation = 0.05
generations = 0
[strategy]
population_size = 3
"""

#: What a shell makes something of: a folder's name that has to be quoted.
_HOSTILE = "-my 'lab'; $(exit 9) & \"more\""

#: Whether figures are right is not asked here, but a shared machine may be in no way steady.
_IN_A_HURRY = {
    "profile": ("--spread-s=0", "--precision=0.5", "--max-drift=100"),
    "table validate": ("--spread-s=0", "--precision=0.5", "--max-drift=100"),
    "bench": ("--spread-s=0",),
}


class Session:
    """Commands one after another, in one folder; each that was printed is run once.

    Attributes:
        ran: All that was run.
    """

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []
        self._waiting: list[tuple[str, ...]] = []

    def __call__(self, *words: str, status: int = DONE) -> Done:
        """Run ``words``, and remember what they print."""
        verb = next((verb for verb in _IN_A_HURRY if words[: len(verb.split())] == tuple(verb.split())), "")
        done = run(*words, *_IN_A_HURRY.get(verb, ()))
        assert done.status == status, (words, done)
        self.ran.append(words)
        self._waiting += [found for found in done.commands if found not in (*self.ran, *self._waiting)]
        return done

    def follow(self, *, but: Iterable[str] = ()) -> None:
        """Run every command that was printed, and that these print, but those of the verbs ``but``."""
        while self._waiting:
            words = self._waiting.pop(0)
            if words[0] not in but:
                self(*words)

    def verbs(self) -> set[str]:
        """The verbs that were run."""
        return {" ".join(words[:2]) if words[0] == "table" else words[0] for words in self.ran}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / _HOSTILE
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def _write(path: str, device: str, runtime: str, *, table: str, more: str = "") -> str:
    """Write a configuration of seconds in place of that which ``init`` wrote."""
    latency = f'[latency]\ndevice = "{device}"\nruntime = "{runtime}"\ntable = "{table}"\n'
    Path(path).write_text(f"{TINY}{_SHORT}{more or latency}")
    return path


def test_every_command_of_a_session_on_the_fake_device_works_as_printed(folder: Path) -> None:
    session = Session()
    session("devices", "--device", "fake")
    begun = session("init", f"{_HOSTILE}.toml"[1:], "--device", "fake")
    config = _write(f"{_HOSTILE}.toml"[1:], "fake", "fake", table="-t 'able'.jsonl")
    refused = session("search", f"--config={config}", "--run=r", status=FAILED)
    assert not Path("r").exists()
    assert [words[0] for words in refused.commands] == ["profile"]
    session.follow()
    assert session.verbs() >= {"init", "profile", "table validate", "search", "export", "report", "bench"}
    assert len(begun.commands) == 3


def test_a_command_that_is_printed_in_another_way_would_be_found() -> None:
    text = "next: cars-hw report 'a; b'; cars-hw bench c\ncars-hw: no; run `cars-hw table show x` now\n"
    assert list(printed_commands(text)) == [
        ("table", "show", "x"),
        ("report", "a; b"),
        ("bench", "c"),
    ]
    with pytest.raises(AssertionError):
        list(printed_commands("then run cars-hw report r"))
