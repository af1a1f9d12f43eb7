"""Real programs for the tests of ADB: the daemon of ``scripts/adbd``, and a server of Debian's adb."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.environments import demand
from tests.fakes.waiting import wait_for

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cars_hw/adbd"

#: The adb server looks for emulators there.
_EMULATORS = range(5555, 5586)


def free_port() -> int:
    """Return a port of loopback that nobody uses now, and that adb does not take for an emulator's."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        if port not in _EMULATORS:
            return port


@dataclass
class RealDaemon:
    """A running adbd.

    Attributes:
        program: Its file.
        port: Where it listens, on loopback.
        environment: What it is started with.
    """

    program: Path
    port: int
    environment: Mapping[str, str]
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        null = subprocess.DEVNULL
        process = subprocess.Popen(
            [self.program],
            env=dict(self.environment),
            stdin=null,
            stdout=null,
            stderr=null,
            start_new_session=True,
        )
        self._processes.append(process)
        wait_for_port(self.port)

    def stop(self) -> None:
        """End it, as a phone that restarts ends it: without a word."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()


def daemon_program(variant: str) -> Path | None:
    """Return the file that ``scripts/adbd`` built; ``None`` where it has not."""
    return next(iter(sorted(_CACHE.glob(f"*/adbd-{variant}"), reverse=True)), None)


@contextmanager
def real_daemon(variant: str, folder: Path, *, path: str = "") -> Iterator[RealDaemon]:
    """Run the real daemon.

    Args:
        variant: ``"open"``, or ``"auth"``, which knows the public keys of ``folder / "adb_keys"``.
        folder: Where its home is.
        path: Folders of its programs; empty: this machine's.
    """
    program = daemon_program(variant)
    demand("adbd", is_there=program is not None, remedy="run ./scripts/adbd")
    assert program is not None
    port = free_port()
    environment = {
        "PATH": path or os.environ["PATH"],
        "HOME": str(folder),
        "ADBD_PORT": str(port),
        "ADBD_KEYS": str(folder / "adb_keys"),
    }
    daemon = RealDaemon(program, port, environment)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


@dataclass(frozen=True)
class AdbServer:
    """A server of Debian's adb, apart from any other.

    Attributes:
        environment: With which adb and adbutils find it.
        process: That runs it.
    """

    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes]"

    def adb(self, *arguments: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess[bytes]:
        """Run the client against it."""
        return subprocess.run(
            ["adb", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )

    def connect(self, address: str) -> None:
        """Let it connect to a device on the network, and wait until it has."""
        self.adb("connect", address)
        wait_for(
            lambda: self.adb("-s", address, "get-state").stdout.strip() == b"device",
            lambda: f"adb does not reach {address}: {self.adb('devices').stdout!r}",
        )

    def end(self) -> None:
        """End it: not by ``kill-server``, which a busy one may never answer."""
        self.process.kill()
        self.process.wait()


@contextmanager
def adb_server(folder: Path) -> Iterator[AdbServer]:
    """Run an adb server on a port of its own, with its home in ``folder``."""
    demand("adb", is_there=shutil.which("adb") is not None, remedy="Debian package adb")
    port = str(free_port())
    environment = {
        "ANDROID_ADB_SERVER_PORT": port,
        "HOME": str(folder),
        "ADB_MDNS": "0",
        "TMPDIR": str(folder),
    }
    with (folder / "adb-server.log").open("wb") as log:
        process = subprocess.Popen(
            ["adb", "server", "nodaemon"], env={**os.environ, **environment}, stdout=log, stderr=log
        )
    server = AdbServer(environment, process)
    try:
        wait_for_port(int(port))
        yield server
    finally:
        server.end()


def wait_for_port(port: int) -> None:
    """Wait until somebody listens there."""

    def is_open() -> bool:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
        return False

    wait_for(is_open, lambda: f"nobody listens on port {port}")


def wait_until_gone(path: Path) -> None:
    """Wait for the real daemon to remove a part of a file: it says first that it failed."""
    wait_for(lambda: not path.exists(), lambda: f"{path} stays")


def shells() -> list[str]:
    """List the shells that are here: of Debian, of most computers, and of Android (mksh)."""
    return [shell for shell in ("sh", "bash", "mksh") if shutil.which(shell)]
