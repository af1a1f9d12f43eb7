"""Interrupts: however a verb is ended, it says in one line what is kept and what command goes on.

A verb tells with ``keeps`` what is kept, again and again as that grows. One that does not changes nothing.
"""

import atexit
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from devices.foundation import printable

#: Ctrl-C, ``kill``, and a terminal that is closed; Windows lacks the last.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

#: Seconds that a verb has to end by itself.
_PATIENCE_S = 4.5

_SOON_S = 0.01

#: How the names of the files of Python's own import begin.
_LOADER = "<frozen importlib."

_Handler = Callable[[int, FrameType | None], Any] | int | None

_NAMES: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Interrupt(KeyboardInterrupt):
    """A signal that ends the verb.

    Where ``KeyboardInterrupt`` itself passes code that an extension module runs, CPython ends the process by
    SIGINT, whatever exit status follows (``run_eval_code_obj`` and ``exit_sigint``); this class passes it.
    """


@dataclass
class _Interruption:
    """What is to be said at an interrupt.

    Attributes:
        kept: What is kept, or what returns that.
        adding: Options that the command takes to go on.
        number: The signal that ends the verb.
        asked: The signal that was received first; it waits where modules are being loaded.
    """

    kept: str | Callable[[], str] = "nothing was changed"
    adding: tuple[str, ...] = ()
    number: int | None = None
    asked: int | None = None
    _said: threading.Lock = field(default_factory=threading.Lock)

    def take(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first one ends the verb, and further ones do not disturb its end.

        Extension modules run code of Python's while they are loaded, and end the process where it raises: an
        interrupt waits until they are.
        """
        if self.number is not None:
            return
        if self.asked is None:
            self.asked = number
            watchdog = threading.Timer(_PATIENCE_S, self._leave)
            watchdog.daemon = True
            watchdog.start()
        if _is_loading(frame):
            _soon(number)
            return
        self.number = number
        sys.unraisablehook = self._again
        raise Interrupt

    def say(self) -> int:
        """Say what is kept, once; return the exit status."""
        number = self.number or self.asked or signal.SIGINT
        if self._said.acquire(blocking=False):
            kept = self.kept if isinstance(self.kept, str) else self.kept()
            text = f"cars-hw: {name_of(number)}: {kept}; go on with: {command(self.adding)}"
            sys.stderr.write(f"{printable(text)}\n")
            sys.stderr.flush()
        return 128 + number

    def _leave(self) -> None:
        """End the process, in whatever it hangs."""
        os._exit(self.say())

    def _again(self, ignored: "sys.UnraisableHookArgs") -> None:
        """Interrupt anew where the first interrupt met code that lets no exception through."""
        if isinstance(ignored.exc_value, KeyboardInterrupt) and self.number is not None:
            number, self.number = self.number, None
            _soon(number)


_now = _Interruption()


def keeps(kept: str | Callable[[], str], *, adding: Sequence[str] = ()) -> None:
    """State what is kept if the verb is interrupted from now on.

    Args:
        kept: The statement, or what returns it.
        adding: Options that the command needs beside those that were typed, to go on.
    """
    _now.kept, _now.adding = kept, tuple(adding)


def command(adding: Sequence[str] = ()) -> str:
    """Return the command line that was typed, quoted, with the options of ``adding`` that it lacks."""
    arguments = sys.argv[1:]
    lacking = [option for option in adding if option not in arguments]
    return shlex.join([*_program(sys.argv[0]), *arguments, *lacking])


@contextmanager
def one_line_at_interrupts() -> Iterator[None]:
    """End the process with a line and status 130 or 143 where it is interrupted meanwhile.

    Signals that the caller ignores, as ``nohup`` does, stay ignored.
    """
    keeps("nothing was changed")
    _now.number = _now.asked = None
    handlers = _taken_by(_now.take)
    ours = list(handlers)
    try:
        yield
    finally:
        _ignore(ours)  # what ends from now on is not to be interrupted
        if _now.number is not None:  # whatever the interrupt became on its way here
            raise SystemExit(_now.say())
        atexit.register(_ignore, ours)
        for number in ours:
            signal.signal(number, handlers[number])


@contextmanager
def taken_by(take: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let ``take`` handle the signals that end a verb, but for those that the caller ignores."""
    is_main = threading.current_thread() is threading.main_thread()  # no other one may set handlers
    before = _taken_by(take) if is_main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def name_of(number: int) -> str:
    """Return what a signal did, in a word."""
    return _NAMES.get(number, "ended")


def _taken_by(take: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, _Handler]:
    """Set the handler of each signal that is not ignored; return the former ones."""
    found = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: handler for number, handler in found.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, take)
    return before


def _is_loading(frame: FrameType | None) -> bool:
    """Tell whether ``frame`` runs because a module is being loaded."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_LOADER):
            return True
        frame = frame.f_back
    return False


def _soon(number: int) -> None:
    """Send the signal to this process again, in a moment."""
    timer = threading.Timer(_SOON_S, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def _ignore(numbers: Sequence[int]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def _program(typed: str) -> list[str]:
    """Return how to call this program again: by its name where that is found, else as it was called."""
    path = Path(typed)
    if path.name == "__main__.py":
        return [sys.executable, "-m", "cars_hw"]
    found = shutil.which("cars-hw")
    return ["cars-hw"] if found is None or not path.exists() or path.samefile(found) else [typed]
