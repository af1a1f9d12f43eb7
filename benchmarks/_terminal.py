"""A command in a terminal and a process group of its own, which can be killed at any moment."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_ROWS, _COLUMNS = 60, 250
_POLL_S = 0.01
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def cars_hw_program() -> str:
    """Return the installed command."""
    return str(Path(sys.executable).with_name("cars-hw"))


def environment() -> dict[str, str]:
    """Return what commands run with: one thread each, so that two of them do not wait for each other."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "PYTHONPATH": str(_ROOT)}


@dataclass(frozen=True)
class Shown:
    """What a command wrote to its terminal, and when.

    Attributes:
        text: All of it.
        ends: Where each piece ends in the text, ascending.
        times_s: When it was read, in seconds since 1970.
    """

    text: str
    ends: Sequence[int]
    times_s: Sequence[float]

    def plain(self) -> str:
        """Return the text without colours and movements of the cursor."""
        return _ESCAPE.sub("", self.text)

    def when(self, pattern: "re.Pattern[str]") -> float | None:
        """Return when the text first matched ``pattern``; ``None`` where it never did."""
        found = pattern.search(self.text)
        if found is None:
            return None
        return self.times_s[bisect_right(self.ends, found.end() - 1)]


class Command:
    """A running command.

    Args:
        words: The program and its arguments.
        folder: Where it runs.
        environment: Its whole environment.
    """

    def __init__(self, words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        self._pieces: list[tuple[float, bytes]] = []
        self.started_s = time.time()
        self._process = subprocess.Popen(
            words,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, args=(master,), daemon=True)
        self._reader.start()

    def shown(self) -> Shown:
        """Return what the terminal has shown so far."""
        text, ends, times_s = "", [], []
        for time_s, piece in list(self._pieces):
            text += piece.decode(errors="replace")
            ends.append(len(text))
            times_s.append(time_s)
        return Shown(text, ends, times_s)

    def wait(self, until_s: float) -> int | None:
        """Wait for the end, or until a time in seconds since 1970; return the exit status if it has ended."""
        while (status := self._process.poll()) is None and time.time() < until_s:
            time.sleep(_POLL_S)
        if status is not None:
            self._reader.join(timeout=5.0)
        return status

    def kill(self) -> float:
        """Kill the whole group; return when, in seconds since 1970."""
        killed_s = time.time()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=5.0)
        return killed_s

    def _read(self, master: int) -> None:
        while True:
            try:
                piece = os.read(master, 1 << 16)
            except OSError:  # what Linux says of a terminal whose other side is closed
                break
            if not piece:
                break
            self._pieces.append((time.time(), piece))
        os.close(master)
