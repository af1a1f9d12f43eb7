"""The three streams of a program behind an ssh client, none of which waits for another."""

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from devices._errors import DeviceError, DeviceTimeoutError

_PART_BYTES = 1 << 16

#: More than anything prints that we wait for.
_MOST_BYTES = 16 << 20


class Deadline:
    """A moment after which nothing is waited for.

    Args:
        timeout_s: How far off it is.
    """

    def __init__(self, timeout_s: float) -> None:
        self._end_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Return how much time is left, 0 where it has passed."""
        return max(0.0, self._end_s - time.monotonic())


class Channel:
    """An ssh client that runs, with what it has written so far.

    Args:
        argv: Its words.
        folder: Where it runs.

    Attributes:
        output: What came on its standard output and was not taken yet.
        errors: What came on its standard error.
        takes_input: Whether its standard input is open.

    Raises:
        DeviceError: There is no such client here.
    """

    def __init__(self, argv: Sequence[str], *, folder: Path) -> None:
        self.output, self.errors = bytearray(), bytearray()
        try:  # in a session of its own: the Ctrl-C that ends us must leave us the time to end what runs there
            self._process = subprocess.Popen(  # noqa: S603  (the system's ssh; words, no shell)
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=folder,
                start_new_session=True,
                env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},  # a jump host may not ask either
            )
        except FileNotFoundError as error:
            raise DeviceError(
                f"{argv[0]} is not installed on this machine; install OpenSSH's client"
            ) from error
        except OSError as error:
            raise DeviceError(f"{argv[0]} cannot be started: {error.strerror}") from error
        self._to_send = memoryview(b"")
        self.takes_input = True
        self._selector = selectors.DefaultSelector()
        self._receiving = 2
        for number, sink in ((1, self.output), (2, self.errors)):
            os.set_blocking(self._stream(number).fileno(), False)
            self._selector.register(self._stream(number), selectors.EVENT_READ, sink)
        os.set_blocking(self._stream(0).fileno(), False)

    def _stream(self, number: int) -> IO[bytes]:
        found = (self._process.stdin, self._process.stdout, self._process.stderr)[number]
        assert found is not None  # noqa: S101  (all three are pipes)
        return found

    @property
    def is_ended(self) -> bool:
        """Whether both outputs have ended: nothing comes any more."""
        return not self._receiving

    @property
    def exit_status(self) -> int | None:
        """The client's own, once it is closed: negative where a signal ended it."""
        return self._process.returncode

    @property
    def unsent_bytes(self) -> int:
        """How much of what was to be sent is still here."""
        return len(self._to_send)

    def send(self, content: bytes) -> None:
        """Put ``content`` on its way, behind what has not gone yet; ``move`` sends it."""
        if not (content and self.takes_input):
            return
        if not self._to_send:
            self._selector.register(self._stream(0), selectors.EVENT_WRITE)
        self._to_send = memoryview(bytes(self._to_send) + content)

    def end_input(self) -> None:
        """Tell the program that nothing more comes; what was not sent is dropped."""
        if self.takes_input:
            self.takes_input = False
            if self._to_send:
                self._selector.unregister(self._stream(0))
                self._to_send = memoryview(b"")
            with contextlib.suppress(BrokenPipeError):
                self._stream(0).close()

    def move(self, timeout_s: float) -> bool:
        """Send and receive what can be at once; tell whether anything moved within ``timeout_s``."""
        ready = self._selector.select(timeout_s)
        for key, events in ready:
            if events & selectors.EVENT_WRITE:
                self._write()
            else:
                self._read(key.fd, key.data)
        return bool(ready)

    def move_until(
        self, is_enough: Callable[[], bool], timeout_s: float, most_bytes: int = _MOST_BYTES
    ) -> bool:
        """Move until it is enough; tell whether it came to that before the end, and within ``timeout_s``.

        Raises:
            DeviceError: More than ``most_bytes`` came.
        """
        deadline = Deadline(timeout_s)
        while not is_enough():
            if self.is_ended:
                return False
            left_s = deadline.left_s()
            self.move(left_s)
            if len(self.output) + len(self.errors) > most_bytes:
                raise DeviceError(
                    f"a program on the board wrote more than {most_bytes >> 20} MiB; it was ended"
                )
            if not left_s:  # however much still comes
                return is_enough()
        return True

    def run(self, timeout_s: float, most_bytes: int) -> None:
        """Receive until the program ends.

        Raises:
            DeviceTimeoutError: It took longer than ``timeout_s``.
            DeviceError: It writes more than ``most_bytes``.
        """
        if not self.move_until(lambda: self.is_ended, timeout_s, most_bytes):
            raise DeviceTimeoutError(f"a program on the board took longer than {timeout_s:g} s")

    def _write(self) -> None:
        try:
            written = os.write(self._stream(0).fileno(), self._to_send[:_PART_BYTES])
        except BlockingIOError:
            return
        except BrokenPipeError:  # whoever reads learns why
            self.end_input()
            return
        self._to_send = self._to_send[written:]
        if not self._to_send:
            self._selector.unregister(self._stream(0))

    def _read(self, descriptor: int, sink: bytearray) -> None:
        try:
            part = os.read(descriptor, _PART_BYTES)
        except BlockingIOError:
            return
        sink += part
        if not part:
            self._selector.unregister(descriptor)
            self._receiving -= 1

    def close(self, grace_s: float = 0.0) -> bool:
        """End the input, wait for the client to end by itself, else kill it; tell whether it ended by itself.

        A second time does nothing.
        """
        self.end_input()
        deadline = Deadline(grace_s)
        while not self.is_ended and deadline.left_s():
            self.move(deadline.left_s())
            self.output.clear()
            del self.errors[:-_MOST_BYTES]
        has_ended = self.is_ended
        if has_ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for number in (1, 2):
            self._stream(number).close()
        self._receiving = 0
        return has_ended
