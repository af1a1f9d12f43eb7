"""What is stored, of each kind, and what reads it."""

import hashlib
import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w
from _terminal import Command, cars_hw_program, environment

from cars_hw import open_search, report_json
from cars_hw.config import SearchSection
from cars_hw.ledger import Json
from cars_hw.results.members import restored
from cars_hw.results.model_card import CARD_KIND, card_path, read_card
from cars_hw.runs import Run
from cars_hw.saving.record import Generation
from cars_hw.trainer import TrainerState
from latency_tables import LatencyTable, repair_table
from profilers import formats

logger = logging.getLogger(__name__)

RUN, TABLE, CONFIG = "run", "table.jsonl", "search.toml"

_EVERY = "checkpoint_every_s"
_SPACE = {"name": "nasbench201", "deploy": "search", "channels": 4, "cells": 1}
_SPACE_OF_DIGITS = {**_SPACE, "image_size": 8, "image_channels": 1}
_CONFIG: Mapping[str, Mapping[str, Any]] = {
    "space": _SPACE_OF_DIGITS,
    "strategy": {"name": "cars", "population_size": 6},
    "data": {"name": "digits", "fitness_images": 300},
    "training": {"batch_size": 32, "crop_padding": 0},
    "search": {
        "objectives": ["error", "parameters", "latency_ms"],
        "warm_up_epochs": 4,
        "epochs_per_generation": 4,
        "generations": 6,
        **({_EVERY: 0.3} if _EVERY in SearchSection.model_fields else {}),
    },
    "latency": {"device": "fake", "runtime": "fake", "table": TABLE},
}
_POLL_S, _PATIENCE_S = 0.01, 60.0

Reader = Callable[[], str]


@dataclass(frozen=True)
class Stored:
    """A file, and who reads it.

    Attributes:
        kind: ``"table"``, ``"checkpoint"``, ``"configuration"``, ``"card"`` or ``"model"``.
        path: The file.
        readers: Return, by their names, what is equal where what they read is.
        older: What they may return where they warn and take an earlier state, by the same names.
        aside: What is not there while they read: states that are newer.
    """

    kind: str
    path: Path
    readers: Mapping[str, Reader]
    older: Mapping[str, frozenset[str]] = field(default_factory=dict)
    aside: tuple[Path, ...] = ()


def make(folder: Path) -> None:
    """Profile, validate, search, extend, kill and export in ``folder``, by the installed commands."""
    (folder / CONFIG).write_text(tomli_w.dumps(_CONFIG))
    command("profile", "--config", CONFIG, folder=folder)
    command("table", "validate", "--config", CONFIG, folder=folder)
    _search_and_kill(folder, "--config", CONFIG)
    _search_and_kill(folder, "--resume", "--generations", "7")
    command("export", RUN, "--pick", "fastest", folder=folder)


def command(*words: str, folder: Path) -> str:
    """Run an installed command that has to succeed; return what it printed."""
    done = subprocess.run(
        [cars_hw_program(), *words],
        cwd=folder,
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"cars-hw {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _search_and_kill(folder: Path, *words: str) -> None:
    """Search, and kill that once it has stored a state beside two complete ones.

    Where states are stored inside a generation, it is such a one. A version that cannot extend a search
    refuses to, and leaves what it has.
    """
    search = [cars_hw_program(), "search", "--run", RUN, *words]
    running = Command(search, folder, environment())
    while running.wait(time.time() + _POLL_S) is None:
        if _is_fit(folder / RUN, running.started_s):
            running.kill()
            return
        if time.time() > running.started_s + _PATIENCE_S:
            running.kill()
            sys.exit(f"{' '.join(search)} stored no state: {running.shown().plain()[-2000:]}")


def _is_fit(run: Path, since_s: float) -> bool:
    there = states(run)
    complete = [state for state in there if state.name.isdecimal()]
    is_inside = bool(there) and there[-1] not in complete
    return (
        len(complete) > 1
        and (is_inside or _EVERY not in _CONFIG["search"])
        and _written_s(there[-1]) > since_s
    )


def states(run: Path) -> list[Path]:
    """List the folders of a run that hold a whole state, oldest first."""
    found = [path.parent for path in run.glob("checkpoints/*/manifest.json")]
    whole = [state for state in found if not state.name.startswith(".")]
    return sorted(whole, key=_written_s)


def _written_s(state: Path) -> float:
    try:
        return (state / "manifest.json").stat().st_mtime
    except FileNotFoundError:  # a newer one has just taken its place
        return 0.0


def stored(folder: Path) -> list[Stored]:
    """Return every file below ``folder`` that is read back, with its readers."""
    table = folder / TABLE
    return [Stored("table", table, _readers_of_table(table)), *_of_run(folder / RUN), *_of_exports(folder)]


def _of_run(run: Path) -> list[Stored]:
    readers = {
        "resume": partial(_resumed, run),
        "report": partial(_reported, run),
        "export": partial(_exported, run),
    }
    there = states(run)
    values: list[dict[str, str]] = []
    for n in range(len(there)):
        with without(there[len(there) - n :]):
            values.append({name: read() for name, read in readers.items()})
    found = []
    for path in _files(run):
        if path.is_relative_to(run / "export"):
            continue
        is_of_run = path.is_relative_to(run / "checkpoints")
        n_newer = next((n for n, state in enumerate(reversed(there)) if path.is_relative_to(state)), 0)
        older = {name: frozenset(v[name] for v in values[n_newer + 1 :]) for name in readers}
        kind, aside = "checkpoint" if is_of_run else "configuration", there[len(there) - n_newer :]
        found.append(Stored(kind, path, readers, older, tuple(aside)))
    return found


def _files(run: Path) -> Iterator[Path]:
    """Yield the files of a run that hold something and are read back: not the page, no temporaries."""
    for path in sorted(run.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(run).parts)
        if path.is_file() and path.stat().st_size and not is_hidden and path.suffix != ".html":
            yield path


def _of_exports(folder: Path) -> Iterator[Stored]:
    suffixes = {formats.load(name).suffix for name in formats.names()}
    for model in sorted(path for path in folder.rglob("export/*") if path.suffix in suffixes):
        readers = {"card": partial(_carded, model)}
        yield Stored("card", card_path(model), readers)
        yield Stored("model", model, readers)


@contextmanager
def without(gone: Sequence[Path]) -> Iterator[None]:
    """Take folders away until left."""
    places = {path: path.parents[2] / f"aside-{path.name}" for path in gone}
    for path, place in places.items():
        path.rename(place)
    try:
        yield
    finally:
        for path, place in places.items():
            place.rename(path)


def _resumed(run: Path) -> str:
    search = open_search(Run.open(run))
    state = search.trainer.state()
    return digest(
        [_arrays(state), dict(state.values), dict(search.strategy.state()), list(map(_shown, search.history))]
    )


def _reported(run: Path) -> str:
    return digest(report_json(Run.open(run)))


def _exported(run: Path) -> str:
    opened = restored(Run.open(run))
    members = [[list(member.architecture), list(member.costs)] for member in opened.front]
    return digest([_arrays(opened.trainer.state()), members, opened.trust, opened.run.config.to_values()])


def _carded(model: Path) -> str:
    card = read_card(model)
    return f"no {CARD_KIND}" if card is None else card.model_dump_json()


def _readers_of_table(table: Path) -> dict[str, Reader]:
    sound = LatencyTable.open(table)
    return {
        "read": lambda: _table_digest(LatencyTable.open(table)),
        "write": partial(_opened_for_writing, table, sound),
        "repair": partial(_repaired, table, sound),
    }


def _table_digest(table: LatencyTable) -> str:
    return f"{table.digest()} {table.validation!r}"


def _opened_for_writing(path: Path, sound: LatencyTable) -> str:
    copy = _copied(path)
    with LatencyTable.open_for_writing(copy, sound.header) as table:
        return _table_digest(table)


def _repaired(path: Path, sound: LatencyTable) -> str:
    """Repair a copy; it may lack what the repair says is lost, and nothing that it has may be another."""
    copy = _copied(path)
    found = repair_table(copy, write=True)
    table = LatencyTable.open(copy)
    if not found.is_needed:
        return _table_digest(table)
    for line in (*found.lost, *found.mended):
        logger.warning("%s", line)
    is_part = table.header == sound.header and table.validation in (None, sound.validation)
    is_part = is_part and all(
        sound.measurements[entry.spec] == entry for entry in table.measurements.values()
    )
    return _table_digest(sound if is_part else table)


def _copied(path: Path) -> Path:
    folder = path.parent / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return Path(shutil.copy(path, folder))


def _arrays(state: TrainerState) -> Json:
    return [[name, array.tobytes().hex()] for name, array in sorted(state.arrays.items())]


def _shown(generation: Generation) -> Json:
    members: list[Json] = [
        [list(member.architecture), list(member.costs)] for member in generation.population
    ]
    return [generation.index, members, len(generation.front), dict(generation.ledger), generation.seconds]


def digest(value: object) -> str:
    """Return the SHA-256 of a value as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
