"""An adb server that only lists what ``adb devices`` prints; there is no phone behind it."""

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

#: What adbutils and adb of the last years call their protocol; four hexadecimal digits.
_VERSION = "0029"


@contextmanager
def listing(phones: Mapping[str, str]) -> Iterator[int]:
    """Serve ``phones``, state by serial, on a free port of loopback; yield the port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = self.rfile.read(int(self.rfile.read(4) or b"0", 16)).decode()
            answers = {
                "host:version": _VERSION,
                "host:devices": "".join(f"{serial}\t{state}\n" for serial, state in phones.items()),
            }
            answer = answers.get(request)
            text = f"unknown request {request}" if answer is None else answer
            self.wfile.write(b"FAIL" if answer is None else b"OKAY")
            self.wfile.write(f"{len(text.encode()):04x}{text}".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
