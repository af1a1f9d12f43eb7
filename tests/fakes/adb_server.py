"""An adb server in this process that says what a test wants it to say; it knows no real phone."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Self


class FakeAdbServer:
    """Answers requests by text; what it does not know, it refuses. A context manager: inside it listens.

    Args:
        answers: By request; changed at any time. An exception's text is a refusal; ``EOFError`` hangs up.

    Attributes:
        port: Where it listens.
        requests: All that came.
    """

    def __init__(self, answers: Mapping[str, str | Exception]) -> None:
        self.answers = {"host:version": "001d", **answers}
        self.requests: list[str] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError, ValueError):
                connection.settimeout(5)
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        while True:
            request = _exactly(connection, int(_exactly(connection, 4), 16)).decode()
            self.requests.append(request)
            answer = self.answers.get(request, RuntimeError("unknown host service"))
            if isinstance(answer, EOFError):
                return
            text = str(answer).encode()
            status = b"FAIL" if isinstance(answer, Exception) else b"OKAY"
            leads_on = request.startswith(("host:transport:", "host:transport-id:")) and status == b"OKAY"
            connection.sendall(status if leads_on else status + b"%04x" % len(text) + text)
            if not leads_on:  # a real one hangs up too; adb waits for that
                return


def _exactly(connection: socket.socket, n: int) -> bytes:
    content = b""
    while len(content) < n:
        piece = connection.recv(n - len(content))
        if not piece:
            raise OSError("closed")
        content += piece
    return content
