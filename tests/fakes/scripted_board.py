"""A board whose program says what a test wants, and nothing else; it tells how long it was waited for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from devices._device import Conversation
from devices._errors import DeviceTimeoutError
from profilers._messages import send
from tests.fakes.local_board import LocalBoard


class ScriptedConversation(Conversation):
    """Says what it was given, then the same byte for ever, or nothing.

    Args:
        said: At first.
        endless: Said after that, again and again; empty: silence, as of a program that hangs.

    Attributes:
        waited_s: The time-out of each read that found nothing.
        read_bytes: How much was read.
    """

    def __init__(self, said: bytes, endless: bytes) -> None:
        self._said, self._endless = said, endless
        self.waited_s: list[float] = []
        self.read_bytes = 0

    def write(self, content: bytes) -> None:
        """Take everything, and do nothing."""

    def read(self, n: int, *, timeout_s: float) -> bytes:
        part, self._said = self._said[:n], self._said[n:]
        part = part or self._endless * n
        if not part:
            self.waited_s.append(timeout_s)
            raise DeviceTimeoutError("nothing came")
        self.read_bytes += len(part)
        return part

    def last_words(self) -> str:
        return "that was all"


class ScriptedBoard(LocalBoard):
    """A board with such a program.

    Args:
        folder: In which its files lie.
        answers: Of the program, in order.
        endless: What it says after these, for ever.
    """

    def __init__(
        self, folder: Path, answers: Sequence[Mapping[str, object]], *, endless: bytes = b""
    ) -> None:
        super().__init__(folder)
        said = bytearray()
        for answer in answers:
            send(said.extend, answer)
        self.conversation = ScriptedConversation(bytes(said), endless)

    @contextmanager
    def converse(  # type: ignore[override]
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Iterator[ScriptedConversation]:
        yield self.conversation
