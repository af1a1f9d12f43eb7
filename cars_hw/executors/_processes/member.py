"""Member: one worker process, from the side that asks it."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from cars_hw.executors._answer import Answer
from cars_hw.executors._executor import WorkerLostError
from cars_hw.executors._processes.worker import Given

_START = "from cars_hw.executors._processes.worker import main; main({}, {})"
_ENDING_S = 1.0
#: A worker is one of as many as there are cores; its libraries read this when they are loaded.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Member:
    """A process that works, with this interpreter and its search path; it ends with this one.

    Args:
        memory_descriptor: Of the memory that it reads.

    Attributes:
        connection: To wait for.
        index: Of the input that it works on; ``None``: it rests.
        is_wanted: Whether anybody waits for what comes of that.

    Raises:
        WorkerLostError: The system starts no more processes.
    """

    def __init__(self, memory_descriptor: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _started(theirs.fileno(), memory_descriptor)
        self.connection: Connection[Given, Answer] = Connection(ours.detach())
        self.index: int | None = None
        self.is_wanted = False

    def give(self, index: int, given: Given) -> None:
        """Let it work on input ``index``; if it is gone, ``answer`` says so."""
        self.index, self.is_wanted = index, True
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(given)

    def answer(self) -> Answer | None:
        """Return what came of it, once ``connection`` has something; ``None``: the process has ended."""
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return None
        self.index = None
        return answer

    def end(self, *, at_once: bool = False) -> str:
        """End the process if it has not ended itself, and return how it had ended, in words.

        Args:
            at_once: Whether it is not waited for first: the connection of one that ends closes a moment
                before it has.
        """
        self.connection.close()
        if not at_once:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_S)
        self._process.kill()
        status = self._process.wait()
        return f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def _started(connection_descriptor: int, memory_descriptor: int) -> "subprocess.Popen[bytes]":
    paths = [os.getcwd() if path == "" else path for path in sys.path]
    command = _START.format(connection_descriptor, memory_descriptor)
    try:
        return subprocess.Popen(  # noqa: S603  (this interpreter, and our own module)
            [sys.executable, "-P", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(connection_descriptor, memory_descriptor),
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # a Ctrl-C is for the one who asks
        )
    except OSError as error:
        raise WorkerLostError(f"cannot start a worker: {error.strerror}; use fewer --workers") from error
