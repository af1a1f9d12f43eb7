"""A connection to a phone that outlives a pulled cable, a restarted adb server, or a weak network."""

import logging
from collections.abc import Callable
from typing import TypeVar

from devices._adb.transport import Transport
from devices._device import Completed
from devices._errors import DeviceLostError

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Reconnecting(Transport):
    """Connects anew where the connection breaks, and asks once more: nothing that we ask does harm twice.

    Args:
        transport: The connection; closed with this one.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def shell(self, command: str, *, timeout_s: float) -> Completed:
        return self._asked(lambda: self._transport.shell(command, timeout_s=timeout_s))

    def push(self, content: bytes, path: str, *, mode: int = 0o644, timeout_s: float) -> None:
        self._asked(lambda: self._transport.push(content, path, mode=mode, timeout_s=timeout_s))

    def pull(self, path: str, *, max_bytes: int, timeout_s: float) -> bytes:
        return self._asked(lambda: self._transport.pull(path, max_bytes=max_bytes, timeout_s=timeout_s))

    def reconnect(self) -> None:
        self._transport.reconnect()

    def close(self) -> None:
        self._transport.close()

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except DeviceLostError as error:
            logger.warning("%s; connecting again", error)
        self._transport.reconnect()
        return ask()
