"""Who else works on a card: processes that are no relatives of ours, and what they have used of it."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from devices.foundation.files import read_regular

#: What ``/proc/self/ns/pid`` links to outside of containers (PROC_PID_INIT_INO of the kernel).
_FIRST_NAMESPACE = "pid:[4026531836]"

#: More generations than any process has; a listing that changes meanwhile may be a loop.
_MOST_GENERATIONS = 64

_MAX_BYTES = 1 << 16

#: A process that used less than this share of an engine draws a desktop's clock, say.
_LEAST_SHARE = 0.02

#: Seconds for which a list of who has the card open is used; making one looks at every file of every process.
_FRESH_S = 5.0

#: Seconds between two counts, at the least.
_COUNTED_S = 0.1

_ENGINE = re.compile(r"^drm-(engine|cycles|total-cycles)-([a-z0-9]{1,32}):\s*([0-9]{1,19})", re.MULTILINE)
_CLIENT = re.compile(r"^drm-client-id:\s*([0-9]{1,19})\s*$", re.MULTILINE)
_CARD = re.compile(r"^drm-pdev:\s*([0-9a-fA-F:.]{1,16})\s*$", re.MULTILINE)

#: By engine: what a client has used, and out of how much; in ns or cycles.
_Uses = Mapping[str, tuple[int, int]]


class Family:
    """A process and all that it started: those that share a measurement.

    Args:
        root: Its number; this process if not given.
        proc: Where ``/proc`` is.
    """

    def __init__(self, root: int | None = None, *, proc: Path = Path("/proc")) -> None:
        self.root = os.getpid() if root is None else root
        self.proc = proc

    def includes(self, pid: int) -> bool:
        """Tell whether a process is one of us; one that cannot be looked at is not."""
        for _ in range(_MOST_GENERATIONS):
            if pid in (self.root, os.getpid()):
                return True
            if pid <= 1:
                return False
            pid = self._parent(pid)
        return False

    def has_the_systems_numbers(self) -> bool:
        """Tell whether a driver's numbers of processes are ours: inside of a container they are not."""
        try:
            return os.readlink(self.proc / "self/ns/pid") == _FIRST_NAMESPACE
        except OSError:
            return False  # another system, which has no such folder: parents cannot be told either

    def _parent(self, pid: int) -> int:
        fields = _text(self.proc / str(pid) / "stat").rpartition(")")[2].split()
        return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else 0


class Clients:
    """Processes of others that use a card, as the kernel counts it for each file that has it open.

    Only those of this user are seen, but by an administrator.

    Args:
        pci: Where the card is: ``0000:03:00.0``.
        family: Us.
        now_s: A monotonic time.
    """

    def __init__(self, pci: str, family: Family, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._pci, self._family, self._now_s = pci, family, now_s
        self._files: list[tuple[int, Path]] = []
        self._listed_s: float | None = None
        self._counted_s: float | None = None
        self._busy: int | None = None
        self._used: dict[tuple[int, str], _Uses] = {}

    def busy(self) -> int | None:
        """Return how many worked on the card since this was asked last; ``None`` at the first time.

        Drivers count in steps of some milliseconds: asked too soon, it returns what it did before.
        """
        now_s = self._now_s()
        if self._counted_s is None or now_s - self._counted_s >= _COUNTED_S:
            self._busy = self._count(now_s, is_first=self._counted_s is None)
            self._counted_s = now_s
        return self._busy

    def _count(self, now_s: float, *, is_first: bool) -> int | None:
        if self._listed_s is None or now_s - self._listed_s > _FRESH_S:
            self._files, self._listed_s = list(self._open_files()), now_s
        before, self._used = self._used, dict(self._uses(now_s))
        working = {
            pid for (pid, client), uses in self._used.items() if _works(before.get((pid, client)), uses)
        }
        return None if is_first else len(working)

    def _uses(self, now_s: float) -> Iterator[tuple[tuple[int, str], _Uses]]:
        for pid, path in self._files:
            text = _text(path)
            card, client = _CARD.search(text), _CLIENT.search(text)
            if card and client and card[1].lower() == self._pci:
                yield (pid, client[1]), _engines(text, now_s)

    def _open_files(self) -> Iterator[tuple[int, Path]]:
        """Return the description of each file that others have open below ``/dev/dri``."""
        for process in self._family.proc.glob("[0-9]*"):
            try:
                files = list((process / "fd").iterdir())
            except OSError:
                continue  # it has ended, or is another user's
            found = [file.name for file in files if _is_of_a_card(file)]
            if found and not self._family.includes(int(process.name)):
                yield from ((int(process.name), process / "fdinfo" / name) for name in found)


def _is_of_a_card(file: Path) -> bool:
    with suppress(OSError):
        return os.readlink(file).startswith("/dev/dri/")
    return False


def _engines(text: str, now_s: float) -> _Uses:
    """Return what was used of each engine, in ns or cycles, and out of how much."""
    found = {(kind, engine): int(n) for kind, engine, n in _ENGINE.findall(text)}
    times = {engine: (n, round(now_s * 1e9)) for (kind, engine), n in found.items() if kind == "engine"}
    cycles = {
        engine: (n, found[("total-cycles", engine)])
        for (kind, engine), n in found.items()
        if kind == "cycles" and ("total-cycles", engine) in found
    }
    return times | cycles


def _works(before: _Uses | None, now: _Uses) -> bool:
    """Tell whether a client used an engine for more than a little of the time between two counts."""
    for engine, (used, total) in now.items():
        used_before, total_before = (before or {}).get(engine, (0, 0))
        if before is not None and used - used_before > _LEAST_SHARE * (total - total_before) >= 0:
            return True
    return False


def _text(path: Path) -> str:
    try:
        return read_regular(path, _MAX_BYTES).decode("ascii", "replace")
    except OSError:
        return ""  # it has ended, or is another user's
