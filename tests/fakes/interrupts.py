"""The installed command in a session of its own, interrupted as a terminal or the system does it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.waiting import wait_for

_ROOT = Path(__file__).parents[2]


@dataclass
class Verb:
    """A command that runs.

    Attributes:
        process: It, the leader of its session.
        errors: The file of its standard error.
    """

    process: "subprocess.Popen[str]"
    errors: Path

    def said(self) -> str:
        """Return what it has written on standard error."""
        return self.errors.read_text()

    def wait_until(self, text: str) -> None:
        """Wait until it has said ``text``."""
        wait_for(lambda: text in self.said(), lambda: f"{self.said()!r} lacks {text!r}")

    def wait_until_ready(self) -> None:
        """Wait until it takes a signal by itself: before, Python is still starting."""
        wait_for(lambda: self._catches(signal.SIGTERM) or self.process.poll() is not None, self.said)

    def interrupt(self, number: int) -> int:
        """Send SIGINT to all of the session, as a terminal does, or another signal to the command alone.

        Return its exit status, which it has within 5 s and a bit for a busy machine.
        """
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if number == signal.SIGINT else os.kill)(self.process.pid, number)
        return self.process.wait(timeout=10)

    def children(self) -> list[int]:
        """Return the processes of its session that live on."""
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _session(path) == self.process.pid]

    def _catches(self, number: int) -> bool:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return False
        caught = next((line for line in status.splitlines() if line.startswith("SigCgt")), "SigCgt: 0")
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def command() -> list[str]:
    """Return the words of the installed command, or of the module where it is not installed."""
    script = Path(sys.executable).with_name("cars-hw")
    return [str(script)] if script.exists() else [sys.executable, "-m", "cars_hw"]


def environment() -> dict[str, str]:
    """Return an environment in which the command is found by its name, and the tests' plug-ins too."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(_ROOT)}


@contextlib.contextmanager
def running(folder: Path, *words: str) -> Iterator[Verb]:
    """Run a command line in ``folder``; end what is left of it."""
    errors = folder / "stderr.txt"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
            start_new_session=True,
            preexec_fn=_take_interrupts,
        )
    try:
        yield Verb(process, errors)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def _take_interrupts() -> None:
    """Undo what a shell does to a job in the background, in which these tests may run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _session(process: Path) -> int | None:
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[3])
