"""What a connection to a phone gives: byte streams to its services."""

import time
from abc import ABC, abstractmethod


class Deadline:
    """A moment that is not to be passed, on a clock that nobody sets back.

    Args:
        timeout_s: Seconds from now.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Return the seconds left, 0 when it has passed."""
        return max(0.0, self._end_s - time.monotonic())


class Stream(ABC):
    """One service of a phone, in use: bytes both ways. What comes from there is not trusted."""

    @abstractmethod
    def read(self, n: int, deadline: Deadline) -> bytes:
        """Return exactly ``n`` bytes.

        Raises:
            EndOfStreamError: The service ended first.
            DeviceTimeoutError: ``deadline`` passed; what had come already is kept for the next call.
            DeviceLostError: The connection broke.
        """

    @abstractmethod
    def write(self, content: bytes | memoryview, deadline: Deadline) -> None:
        """Send all of ``content``.

        Raises:
            EndOfStreamError: The service ended first.
            DeviceTimeoutError: ``deadline`` passed.
            DeviceLostError: The connection broke.
        """

    @abstractmethod
    def close(self) -> None:
        """End the service, without waiting for it."""


class EndOfStreamError(Exception):
    """A service ended where more was to come. Only inside the transports: no caller of theirs sees it."""


class Link(ABC):
    """A way to the services of one phone."""

    @abstractmethod
    def open(self, service: str, deadline: Deadline) -> Stream:
        """Open ``service``, ``"sync:"`` for one.

        Raises:
            DeviceError: The phone refuses, or cannot be used; the message names the remedy.
            DeviceTimeoutError: ``deadline`` passed.
            DeviceLostError: The connection broke.
        """

    @abstractmethod
    def reconnect(self) -> None:
        """Find the phone again, once.

        Raises:
            DeviceError: It is not there, or cannot be used.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what is held; a second time does nothing."""
