"""A connection to a phone that outlives a pulled cable, a restarted adb server, or a weak network."""

import logging
from collections.abc import Callable
from typing import TypeVar

from devices._adb.transport import Transport
from devices._device import Completed
from devices._errors import DeviceLostError

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Reconnecting:
    """A transport that connects anew where it breaks, and asks once more: repeating a request does no harm.

    Args:
        transport: The connection; closed with this one.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def shell(self, command: str, *, timeout_s: float) -> Completed:
        """Run a command line as ``Transport.shell`` does."""
        return self._asked(lambda: self._transport.shell(command, timeout_s=timeout_s))

    def push(self, content: bytes, path: str, *, mode: int = 0o644, timeout_s: float) -> None:
        """Write a file as ``Transport.push`` does."""
        self._asked(lambda: self._transport.push(content, path, mode=mode, timeout_s=timeout_s))

    def pull(self, path: str, *, max_bytes: int, timeout_s: float) -> bytes:
        """Read a file as ``Transport.pull`` does."""
        return self._asked(lambda: self._transport.pull(path, max_bytes=max_bytes, timeout_s=timeout_s))

    def close(self) -> None:
        """Release the connection."""
        self._transport.close()

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except DeviceLostError as error:
            logger.warning("%s; connecting again", error)
        self._transport.reconnect()
        return ask()
