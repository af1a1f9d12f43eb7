"""Processes of this machine, by what stands in their command lines."""

import time
from pathlib import Path


def running(mark: str) -> list[int]:
    """Return the processes that have ``mark`` in their command line."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if mark in _text(path)]


def ended(mark: str, *, within_s: float = 5.0) -> bool:
    """Wait until no process has ``mark`` in its command line; tell whether it came to that."""
    end_s = time.monotonic() + within_s
    while running(mark):
        if time.monotonic() >= end_s:
            return False
        time.sleep(0.01)
    return True


def is_running(process: int) -> bool:
    """Tell whether there is such a process that has not ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")  # empty for one that is dead and not waited for
    except (FileNotFoundError, ProcessLookupError):
        return ""
