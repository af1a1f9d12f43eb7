"""What an ADB device does on a stream: runs commands (shell v1 and v2) and keeps files (sync v1)."""

import os
import signal
import stat
import struct
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_SYNC = struct.Struct("<4sI")
_CHUNK = 1 << 16

#: What answers a command: standard output, standard error, exit status; ``None`` really runs it.
Answer = tuple[bytes, bytes, int] | None


class Pipe(ABC):
    """Bytes both ways. ``EOFError`` where the other side ended it."""

    @abstractmethod
    def read(self, n: int) -> bytes:
        """Return exactly ``n`` bytes."""

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Send all of ``content``."""

    @property
    @abstractmethod
    def is_ended(self) -> bool:
        """Tell whether the other side ended it."""


class Processes:
    """The process groups that a device runs.

    Args:
        shell: What runs commands.
    """

    def __init__(self, shell: str) -> None:
        self._shell = shell
        self._running: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._is_over = False

    def start(self, command: str, *, are_outputs_apart: bool) -> subprocess.Popen[bytes]:
        """Run a command line as adbd does: in ``sh``, which leads a session.

        Raises:
            EOFError: The device is switched off.
        """
        with self._lock:
            if self._is_over:
                raise EOFError
            process = subprocess.Popen(
                [self._shell, "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if are_outputs_apart else subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.append(process)
        return process

    def kill(self) -> None:
        """End all that still runs, and start no more: a request may be under way."""
        with self._lock:
            self._is_over = True
            for process in self._running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def serve_shell(
    pipe: Pipe, command: str, answer: Answer, processes: Processes, form: tuple[bool, bool]
) -> None:
    """Answer a command, or run it.

    Args:
        pipe: Where the answer goes.
        command: What to run.
        answer: What to say instead.
        processes: Keeps what runs.
        form: Whether the answer is in packets of shell_v2, and whether an exit code ends it.
    """
    is_v2, has_exit_code = form
    if answer is None:
        status = _run(pipe, processes.start(command, are_outputs_apart=is_v2), is_v2)
    else:
        *outputs, status = answer
        for kind, content in enumerate(outputs, start=1):
            for start in range(0, len(content), _CHUNK):
                _write(pipe, kind, content[start : start + _CHUNK], is_v2)
    if has_exit_code:
        pipe.write(struct.pack("<BIB", 3, 1, status & 0xFF))


def _write(pipe: Pipe, kind: int, content: bytes, is_v2: bool) -> None:
    pipe.write(struct.pack("<BI", kind, len(content)) + content if is_v2 else content)


def _run(pipe: Pipe, process: subprocess.Popen[bytes], is_v2: bool) -> int:
    lock = threading.Lock()

    def forward(kind: int, descriptor: int) -> None:
        with suppress(OSError, EOFError):
            while part := os.read(descriptor, _CHUNK):
                with lock:
                    _write(pipe, kind, part, is_v2)

    pipes = [(kind, output) for kind, output in ((1, process.stdout), (2, process.stderr)) if output]
    threads = [threading.Thread(target=forward, args=(kind, output.fileno())) for kind, output in pipes]
    for thread in threads:
        thread.start()
    is_hung_up = False
    while any(thread.is_alive() for thread in threads):
        threads[0].join(timeout=0.02)
        if pipe.is_ended and not is_hung_up:  # as the real daemon does; a program may ignore it
            is_hung_up = True
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGHUP)
    status = process.wait()
    for _, output in pipes:
        output.close()
    return status


def serve_files(pipe: Pipe, place: Callable[[str], Path], disk_bytes: int | None) -> None:
    """Answer requests of protocol sync until the other side ends them.

    Args:
        pipe: Both ways.
        place: Where a path of the device lies.
        disk_bytes: Room for one file; ``None`` for no limit.
    """
    while True:
        request, n_bytes = _SYNC.unpack(pipe.read(_SYNC.size))
        name = pipe.read(n_bytes).decode()
        if request == b"SEND":
            path, _, mode = name.rpartition(",")
            _take_file(pipe, place(path), int(mode), disk_bytes)
        elif request == b"RECV":
            _give_file(pipe, place(name))
        elif request == b"STAT":
            _tell_file(pipe, place(name))
        else:
            return


def _take_file(pipe: Pipe, path: Path, mode: int, disk_bytes: int | None) -> None:
    """Write a file; one that does not become whole is removed, and the rest of it thrown away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    room = 1 << 40 if disk_bytes is None else disk_bytes
    with path.open("xb") as file:
        own, is_whole = os.fstat(file.fileno()), False
        try:
            while True:
                kind, n_bytes = _SYNC.unpack(pipe.read(_SYNC.size))
                if kind == b"DONE":
                    break
                file.write(pipe.read(n_bytes)[: max(0, room - file.tell())])
            is_whole = file.tell() < room
            os.fchmod(file.fileno(), stat.S_IMODE(mode))
        finally:
            # A newer connection may have put a file of its own there before this one noticed its end.
            with suppress(FileNotFoundError):
                if not is_whole and os.path.samestat(own, path.stat()):
                    path.unlink()
    if is_whole:
        pipe.write(_SYNC.pack(b"OKAY", 0))
    else:
        _fail(pipe, b"write failed: No space left on device")


def _give_file(pipe: Pipe, path: Path) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        _fail(pipe, f"open failed: {error.strerror}".encode())
        return
    for start in range(0, len(content), _CHUNK):
        part = content[start : start + _CHUNK]
        pipe.write(_SYNC.pack(b"DATA", len(part)) + part)
    pipe.write(_SYNC.pack(b"DONE", 0))


def _tell_file(pipe: Pipe, path: Path) -> None:
    try:
        facts = path.stat()
        pipe.write(
            struct.pack("<4s3I", b"STAT", facts.st_mode, facts.st_size & 0xFFFFFFFF, int(facts.st_mtime))
        )
    except OSError:
        pipe.write(struct.pack("<4s3I", b"STAT", 0, 0, 0))


def _fail(pipe: Pipe, reason: bytes) -> None:
    pipe.write(_SYNC.pack(b"FAIL", len(reason)) + reason)
