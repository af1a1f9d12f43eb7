"""Single bits that flip in everything that is stored, and every reader of it: nothing may be silent.

A table is profiled and validated, a run is searched, extended and killed inside a generation, and a member is
exported, by the installed commands. Then bits flip, one at a time, in the table and in every file of the run
folder that is read back: the configuration and what was changed later, all files of the checkpoints, the
cards and the models. Each flip is read by every reader of that file:

* a run by what opens a search to go on, by what the report reads, by what an export reads;
* a table by what opens it to read and to write, and by its repair, whose result is read again;
* a card by what measures the model beside it.

A reader may refuse by name, or warn and take an earlier state, or read the very same as before, where the bit
has no meaning. Anything else is *silent*. Older states are read where the newer ones are not there. A sample
of the flips is read by the installed commands as well.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import _flip_commands
from _flip_material import Stored, make, stored, without
from _rows import Row, finish, parse_options, store

from tests.fakes.flips import Outcome, flips, outcome

_RESULTS = "flips"
_FLIPS, _QUICK_FLIPS = 500, 40
_KINDS = ("table", "checkpoint", "configuration", "card", "model")
_HOW = {Outcome.REFUSED: "refused", Outcome.WARNED: "warned", Outcome.WITHOUT_MEANING: "without_meaning"}


def flip_all(folder: Path, n: int) -> list[dict[str, Any]]:
    """Flip at least ``n`` bits of each kind; return for each file and reader what became of them."""
    files = stored(folder)
    found = []
    for kind in _KINDS:
        of_kind = [file for file in files if file.kind == kind]
        if not of_kind:
            sys.exit(f"there is no {kind} to flip bits in")
        for file in of_kind:
            found += _flip(file, -(-n // len(of_kind)), folder)
            print(f"{kind}: {found[-1]}", file=sys.stderr, flush=True)
    return found


def _flip(file: Stored, n: int, folder: Path) -> list[dict[str, Any]]:
    with without(file.aside):
        sound = {name: read() for name, read in file.readers.items()}
        seen: dict[str, Counter[Outcome]] = {name: Counter() for name in file.readers}
        silent: dict[str, list[int]] = {name: [] for name in file.readers}
        for bit in flips(file.path, n):
            for name, read in file.readers.items():
                became = outcome(read, sound[name], file.older.get(name, ()))
                seen[name][became] += 1
                if became is Outcome.SILENT:
                    silent[name].append(bit)
    where = file.path.relative_to(folder).as_posix()
    return [
        {
            "kind": file.kind,
            "file": where,
            "reader": name,
            "seen": {how.value: n for how, n in seen[name].items()},
            "silent": silent[name],
        }
        for name in file.readers
    ]


def rows(raw: Mapping[str, Any], source: str, *, least: int = _FLIPS) -> list[Row]:
    """Return for each kind how many bits flipped, and what its readers made of them."""
    found = []
    for kind in _KINDS:
        files = [entry for entry in raw["flips"] if entry["kind"] == kind]
        readers = len({entry["reader"] for entry in files})
        seen = sum((Counter(entry["seen"]) for entry in files), Counter[str]())
        reads = seen.total()
        goal = f">= {least}"
        found.append(Row(f"flips.{kind}.count", reads / readers, "", goal, n=len(files), source=source))
        found.append(Row(f"flips.{kind}.silent", seen[Outcome.SILENT], "", "<= 0", n=reads, source=source))
        found += [
            Row(f"flips.{kind}.{word}", 100 * seen[how] / reads, "%", n=reads, source=source)
            for how, word in _HOW.items()
        ]
    commands = Counter(entry["became"] for entry in raw["commands"])
    if raw["commands"]:
        silent, n = commands[Outcome.SILENT], commands.total()
        found.append(Row("flips.commands.silent", silent, "", "<= 0", n=n, source=source))
    return found


def judge(n: int, commands: int) -> dict[str, Sequence[Any]]:
    """Flip at least ``n`` bits of each kind, and read so many flips by the installed commands."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        with chdir(folder):  # the run names its table by a relative path
            return {"commands": _flip_commands.flip_some(folder, commands), "flips": flip_all(folder, n)}


def main() -> None:
    """Flip 500 bits of each kind; with ``--quick`` 40, and none by command."""
    options = parse_options(__doc__ or "")
    if options.quick:
        finish(rows(judge(_QUICK_FLIPS, 0), "fresh", least=_QUICK_FLIPS), options)
    raw = judge(_FLIPS, 20)
    store(_RESULTS, json.loads(json.dumps(raw)))
    finish(rows(raw, "fresh"), options)


if __name__ == "__main__":
    main()
