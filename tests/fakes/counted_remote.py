"""A remote device that is this machine, as a plug-in whose calls are kept beyond a connection."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from devices._device import Completed
from tests.fakes.local_remote import LocalRemote


class CountedRemote(LocalRemote):
    """Counts what all connections ask for.

    Attributes:
        connections: How many there were.
        calls: The words of every program that was run.
    """

    connections: ClassVar[int] = 0
    calls: ClassVar[list[Sequence[str]]] = []

    @classmethod
    def connect(cls, address: str) -> "CountedRemote":
        cls.connections += 1
        return super().connect(address)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        self.calls.append(argv)
        return super().run(argv, timeout_s=timeout_s, environment=environment)
