"""Talking with the program on a board: requests, answers, and how it ended; no answer is trusted."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from devices import DeviceError, DeviceLostError, DeviceTimeoutError, RemoteHost
from devices.foundation import CarsHwError, one_line
from profilers._messages import Message, receive, send, signal_name
from profilers.errors import GarbledOutputError, ProfilingError, UnsupportedOperationError

#: How much longer an answer is waited for than a step of it may take: by then the board itself has told why.
#: The blocks of a message take seconds together, unless one of them hangs.
_SPARE_S = 60.0

#: What is read, and how long, of a program that says that it has ended: it has nothing more to say.
_MOST_AFTER_END_BYTES, _AFTER_END_S = 1 << 20, 10.0

_LONGEST_LINE = 200

#: Graphs, profiles and outputs of the networks that are measured here are far smaller.
_MOST_CONTENT_BYTES = 1 << 30

#: What a board may tell, by name; anything else is a ``ProfilingError``.
_KINDS: Mapping[str, type[CarsHwError]] = {
    kind.__name__: kind for kind in (UnsupportedOperationError, DeviceError)
}

_MISSING = "Missing"


class MissingPackageError(DeviceError):
    """A board that lacks a package of Python.

    Attributes:
        module: What could not be imported, as the board says.
    """

    def __init__(self, module: str) -> None:
        super().__init__(f"Python on the board has no {module}")
        self.module = module


class ProgramEndedError(Exception):
    """The program on a board has ended, or was ended because it hung.

    Attributes:
        place: What it was loading or running; ``None`` if nothing, or where that is not known.
        error: What that means for this workload.
    """

    def __init__(self, place: int | None, error: ProfilingError | DeviceTimeoutError) -> None:
        super().__init__(str(error))
        self.place, self.error = place, error


class Program:
    """The program on a board, which answers what it is asked.

    Args:
        device: The board.
        limit_s: Longest that one step of a request takes there.

    Raises:
        DeviceError: It cannot be started, or the board was lost.
    """

    def __init__(self, device: RemoteHost, limit_s: float) -> None:
        self._device, self._limit_s = device, limit_s
        self._opened = ExitStack()
        with _blaming_nothing():
            argv = [device.python(), device.push(_program())]
            self._conversation = self._opened.enter_context(device.converse(argv))

    def ask(
        self, fields: Mapping[str, object], contents: Sequence[bytes] = (), *, places: Sequence[int] = ()
    ) -> Message:
        """Return the answer to a request.

        Args:
            fields: Its JSON object.
            contents: Its raw bytes, in pieces.
            places: Of what it loads or runs: no other is blamed where the program ends.

        Raises:
            ProgramEndedError: There is none.
            ProfilingError: What the board says instead.
            DeviceError: The same, or the board was lost.
        """
        with suppress(DeviceLostError):  # it has ended: so do its answers, which tell why
            send(self._conversation.write, fields, contents)
        message = self._received()
        match message.fields:
            case {"ended": int(status), "place": int(place)}:
                raise ProgramEndedError(place if place in places else None, self._how_it_ended(status))
            case {"error": str(kind), "message": str(text)}:
                raise told(kind, text)
        return message

    def close(self) -> None:
        """End the program, whatever it does."""
        self._opened.close()

    def _received(self) -> Message:
        wait_s = self._limit_s + _SPARE_S
        try:
            reading = self._reading(time.monotonic() + wait_s)
            message = receive(reading, most_content_bytes=_MOST_CONTENT_BYTES)
        except GarbledOutputError as error:
            raise ProgramEndedError(None, error) from error
        except DeviceTimeoutError as error:
            hung = DeviceTimeoutError(f"no answer of the board in {wait_s:g} s")
            raise ProgramEndedError(None, hung) from error
        if message is None:
            with _blaming_nothing():
                self._device.why_not_ready()  # of a device that was lost, this says so
            raise ProgramEndedError(None, ProfilingError(f"it ended: {self._last_words()}"))
        return message

    def _reading(self, until_s: float) -> Callable[[int], bytes]:
        def read(n: int) -> bytes:
            return self._conversation.read(n, timeout_s=max(0.0, until_s - time.monotonic()))

        return read

    def _how_it_ended(self, status: int) -> ProfilingError | DeviceTimeoutError:
        if status == -signal.SIGALRM:
            return DeviceTimeoutError(f"it takes more than {self._limit_s:g} s on the board; it was killed")
        if status < 0:
            return ProfilingError(f"it crashed the program that measured it: {signal_name(-status)}")
        read, left = self._reading(time.monotonic() + _AFTER_END_S), _MOST_AFTER_END_BYTES
        with suppress(DeviceTimeoutError):
            while left > 0 and (piece := read(left)):
                left -= len(piece)  # until its end: then all that it wrote to its standard error is here
        return ProfilingError(f"it ended the program that measured it ({status}): {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._conversation.last_words().strip().splitlines()
        return one_line(lines[-1], _LONGEST_LINE) if lines else "without a word"


def told(kind: str, text: str) -> CarsHwError:
    """Return the error that a board tells of by its name and a message."""
    line = one_line(text, _LONGEST_LINE)
    return MissingPackageError(line) if kind == _MISSING else _KINDS.get(kind, ProfilingError)(line)


@contextmanager
def _blaming_nothing() -> Iterator[None]:
    """Take a board that is slow to answer for a lost one: a time-out would be that of some workload."""
    try:
        yield
    except DeviceTimeoutError as error:
        raise DeviceLostError(str(error)) from error


@cache
def _program() -> bytes:
    return Path(__file__).with_name("program.py").read_bytes()
