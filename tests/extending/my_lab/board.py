"""A board that is reached by a folder: a remote device, in one file."""

import hashlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from devices import Completed, DeviceError, DeviceInfo, DeviceState, DeviceTimeoutError, RemoteDevice


class Board(RemoteDevice):
    """Programs run in a folder of their own, which stands for a board with one core."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._state = folder, DeviceState()

    @classmethod
    def connect(cls, address: str) -> Self:
        if not os.path.isdir(address) or not os.path.isabs(address):
            raise DeviceError(f"there is no board at {address[:64]!r}; name its folder")
        return cls(Path(address))

    @classmethod
    def addresses(cls) -> Sequence[str]:
        return ()

    def info(self) -> DeviceInfo:
        return DeviceInfo("my_lab.board", "a board", "a folder", "none", cores=1)

    def state(self) -> DeviceState:
        return self._state

    @contextmanager
    def quiet(self, threads: int) -> Iterator[None]:
        if threads != 1:
            raise DeviceError(f"the board has 1 core, not {threads}; ask for 1 thread")
        self._state = replace(self._state, threads=1)
        try:
            yield
        finally:
            self._state = replace(self._state, threads=None)

    def push(self, content: bytes, *, executable: bool = False) -> str:
        path = self._folder / hashlib.sha256(content).hexdigest()
        path.write_bytes(content)
        path.chmod(0o700 if executable else 0o600)
        return str(path)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        variables = {**os.environ, **(environment or {})}
        try:
            done = subprocess.run(list(argv), capture_output=True, timeout=timeout_s, env=variables)
        except subprocess.TimeoutExpired as error:
            raise DeviceTimeoutError(f"{argv[0]} took over {timeout_s} s; it was killed") from error
        return Completed(done.stdout, done.stderr, done.returncode)

    def pull(self, path: str, *, max_bytes: int) -> bytes:
        content = Path(path).read_bytes()
        if len(content) > max_bytes:
            raise DeviceError(f"{path} has over {max_bytes} bytes")
        return content

    @contextmanager
    def scratch(self) -> Iterator[str]:
        folder = self._folder / secrets.token_hex(8)
        folder.mkdir()
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder)
