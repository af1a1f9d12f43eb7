"""A remote device that is this machine: programs really run, in a folder of their own; faults on demand."""

import hashlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from devices._device import Completed, DeviceInfo, DeviceState, RemoteDevice
from devices._errors import DeviceError, DeviceTimeoutError


class LocalRemote(RemoteDevice):
    """This machine in the part of a phone.

    Args:
        folder: In which everything lies.
        on_run: Called with the words of each program before it runs; may raise what a transport raises.
        on_pull: Given what is pulled; returns what arrives.

    Attributes:
        ran: The words of every program that was run.
        rested_s: Seconds of rest that were asked for; none is taken.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_run: Callable[[Sequence[str]], None] = lambda _: None,
        on_pull: Callable[[bytes], bytes] = lambda content: content,
    ) -> None:
        self.folder, self.on_run, self.on_pull = folder, on_run, on_pull
        self.ran: list[list[str]] = []
        self.rested_s = 0.0
        self._threads: int | None = None

    @classmethod
    def connect(cls, address: str) -> Self:
        return cls(Path(address))

    def info(self) -> DeviceInfo:
        return DeviceInfo("android", "This machine", "as a phone", "none", cores=1)

    def state(self) -> DeviceState:
        return DeviceState(threads=self._threads)

    @contextmanager
    def quiet(self, threads: int) -> Iterator[None]:
        self._threads = threads
        try:
            yield
        finally:
            self._threads = None

    def pause(self, seconds: float) -> None:
        self.rested_s += seconds

    def push(self, content: bytes, *, executable: bool = False) -> str:
        path = self.folder / hashlib.sha256(content).hexdigest()
        if not path.exists():
            path.write_bytes(content)
            path.chmod(0o755 if executable else 0o644)
        return str(path)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        self.ran.append(list(argv))
        self.on_run(argv)
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                timeout=timeout_s,
                env={**os.environ, **(environment or {})},
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceTimeoutError(f"{argv[0]} took longer than {timeout_s} s; it was killed") from error
        except OSError as error:
            return Completed(b"", str(error).encode(), 126)
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return Completed(done.stdout, done.stderr, status)

    def pull(self, path: str, *, max_bytes: int) -> bytes:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise DeviceError(f"{path} is not on the device: {error.strerror}") from error
        if len(content) > max_bytes:
            raise DeviceError(f"{path} has over {max_bytes} bytes")
        return self.on_pull(content)

    @contextmanager
    def scratch(self) -> Iterator[str]:
        path = self.folder / secrets.token_hex(8)
        path.mkdir()
        try:
            yield str(path)
        finally:
            shutil.rmtree(path)
