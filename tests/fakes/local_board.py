"""A board that is this machine: programs of ours really run and answer; faults on demand."""

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from devices._device import Conversation, DeviceInfo, RemoteHost
from devices._errors import DeviceLostError, DeviceTimeoutError
from tests.fakes.local_remote import LocalRemote


class LocalBoard(LocalRemote, RemoteHost):
    """This machine in the part of a board.

    Args:
        folder: In which everything lies.
        packages: Where Python there finds packages before its own.

    Attributes:
        interpreter: The Python of the board.
        conversations: The programs that were started, oldest first.
        is_lost: Whether the board cannot be reached any more.
    """

    def __init__(self, folder: Path, *, packages: Path | None = None) -> None:
        super().__init__(folder)
        self._packages = str(packages or "")
        self.interpreter = sys.executable
        self.conversations: list[LocalConversation] = []
        self.is_lost = False

    def info(self) -> DeviceInfo:
        return DeviceInfo("tests.fakes.local_board", "This machine", "as a board", "none", cores=1)

    def why_not_ready(self) -> str | None:
        if self.is_lost:
            raise DeviceLostError("the board was lost")
        return None

    def python(self) -> str:
        return self.interpreter

    @contextmanager
    def converse(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Iterator["LocalConversation"]:
        with (
            tempfile.TemporaryFile() as words,
            subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": self._packages, **(environment or {})},
            ) as process,
        ):
            conversation = LocalConversation(process, words.fileno())
            self.conversations.append(conversation)
            try:
                yield conversation
            finally:
                conversation.end_input()


class LocalConversation(Conversation):
    """A program that runs here.

    Args:
        process: With pipes.
        words: Where its standard error goes.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", words: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self._asking, self._answers, self._words = process, process.stdin, process.stdout, words

    def write(self, content: bytes) -> None:
        left = memoryview(content)
        try:
            while left:
                left = left[self._asking.write(left) or 0 :]
        except BrokenPipeError as error:
            raise DeviceLostError("the program has ended") from error

    def read(self, n: int, *, timeout_s: float) -> bytes:
        if not select.select([self._answers], [], [], timeout_s)[0]:
            raise DeviceTimeoutError(f"nothing came in {timeout_s:g} s")
        return os.read(self._answers.fileno(), n)

    def end_input(self) -> None:
        """End its standard input; a second time does nothing."""
        self._asking.close()

    def last_words(self) -> str:
        return os.pread(self._words, 1 << 16, 0).decode(errors="replace")
