"""A few flipped bits, read by the installed commands."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _flip_material import RUN, TABLE, states, stored
from _terminal import cars_hw_program, environment

from tests.fakes.flips import Outcome, flips

_EXPORTED = f"{RUN}/export/fastest.onnx"
_OF_RUN = {
    "report": ("report", RUN, "--json"),
    "export": ("export", RUN, "--pick", "fastest", "--to", "elsewhere", "--json"),
    "search": ("search", "--run", RUN, "--resume", "--json"),
}
_COMMANDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "table": {"show": ("table", "show", TABLE, "--json")},
    "checkpoint": _OF_RUN,
    "configuration": _OF_RUN,
    "card": {"bench": ("bench", _EXPORTED, "--json")},
    "model": {"bench": ("bench", _EXPORTED, "--json")},
}
_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class _Said:
    """What a command came to.

    Attributes:
        status: Its exit status.
        results: What it printed, without what time it took.
        remarks: What it said beside that.
    """

    status: int
    results: str
    remarks: str

    @property
    def is_refusal(self) -> bool:
        """Whether it ended with one line that says why."""
        return self.status == 1 and not self.results and self.remarks.count("cars-hw: ") == 1


def flip_some(folder: Path, n: int) -> list[dict[str, Any]]:
    """Flip ``n`` bits, in turn of each kind; return what an installed command made of each."""
    files = stored(folder)
    kinds = list(_COMMANDS)
    found = []
    for i in range(n):
        kind = kinds[i % len(kinds)]
        of_kind = [file for file in files if file.kind == kind and not file.aside]
        file = of_kind[i // len(kinds) % len(of_kind)]
        names = list(_COMMANDS[kind])
        name = names[i // len(kinds) % len(names)]
        words = _COMMANDS[kind][name]
        sound = _said(words, folder)
        older = _older(words, folder) if kind == "checkpoint" else sound
        for bit in flips(file.path, 1, seed=i):
            became = _became(_said(words, folder), sound, older)
            where = file.path.relative_to(folder).as_posix()
            found.append({"command": name, "file": where, "bit": bit, "became": became.value})
    return found


def _became(said: _Said, sound: _Said, older: _Said) -> Outcome:
    if said.is_refusal:
        return Outcome.REFUSED
    if said.results == sound.results:
        return Outcome.WITHOUT_MEANING
    is_told = "falling back" in said.remarks
    return Outcome.WARNED if is_told and said.results == older.results else Outcome.SILENT


def _older(words: tuple[str, ...], folder: Path) -> _Said:
    """Return what a command says without the newest state."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(shutil.copytree(folder, Path(name) / "copy"))
        shutil.rmtree(states(copy / RUN)[-1])
        return _said(words, copy)


def _said(words: tuple[str, ...], folder: Path) -> _Said:
    """Run a command in a copy of ``folder``, which it may change."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(shutil.copytree(folder, Path(name) / "copy"))
        done = subprocess.run(
            [cars_hw_program(), *words],
            cwd=copy,
            env=environment(),
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    return _Said(done.returncode, _timeless(done.stdout), done.stderr)


def _timeless(printed: str) -> str:
    """Return results as JSON without what differs from one run to the next."""
    try:
        value = json.loads(printed)
    except ValueError:
        return printed
    return json.dumps(_without_times(value), sort_keys=True)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _without_times(held) for name, held in value.items() if not _is_time(name)}
        return {name: held for name, held in kept.items() if name != "spent"}
    return list(map(_without_times, value)) if isinstance(value, list) else value


def _is_time(name: str) -> bool:
    return name.endswith(("_s", "_ms", "seconds", "_percent")) and name != "max_latency_ms"
