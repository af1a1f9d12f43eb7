"""A real ``sshd`` on loopback, with a configuration and keys of its own: what a board is in our tests."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.environments import demand

_SERVER = "/usr/sbin/sshd"
_START_S = 10.0


class Sshd:
    """The server, its host key and its user's key below ``folder``.

    Args:
        folder: Private to the test.

    Attributes:
        folder: Where all of it lies.
        config: What ``CARS_HW_SSH_CONFIG`` names: it knows the server as ``board``.
        cache: Where our folder on the board is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.config, self.cache = folder, folder / "config", folder / "cache"
        self.cache.mkdir(mode=0o700)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = _free_port()
        for name in ("host", "user", "stranger"):
            made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
            subprocess.run(made, check=True, timeout=20)
        shutil.copy(folder / "user.pub", folder / "authorized")
        self.knows(True)
        self.write_config()
        self.start()

    @property
    def board_folder(self) -> Path:
        """Our folder on the board."""
        return self.cache / "cars_hw_board"

    def ours(self) -> list[str]:
        """List what is in our folder on the board."""
        return sorted(path.name for path in self.board_folder.iterdir()) if self.board_folder.is_dir() else []

    @property
    def is_running(self) -> bool:
        """Whether the server takes connections."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def write_config(self, *lines: str, key: str = "user") -> None:
        """Write the configuration of the client, with these lines first."""
        self.config.write_text(
            "\n".join(
                [
                    "Host board board2",
                    *lines,
                    "HostName 127.0.0.1",
                    "HostKeyAlias board",
                    f"Port {self._port}",
                    f"User {pwd.getpwuid(os.getuid()).pw_name}",
                    f"IdentityFile {self.folder / key}",
                    "IdentitiesOnly yes",
                    "IdentityAgent none",
                    "KexAlgorithms curve25519-sha256",
                    f"UserKnownHostsFile {self.folder / 'known_hosts'}",
                    "GlobalKnownHostsFile /dev/null",
                    "",
                ]
            )
        )

    def knows(self, is_known: bool, key: str = "host") -> None:
        """Have the client know the server, under the host key ``key``, or not."""
        public = (self.folder / f"{key}.pub").read_text()
        (self.folder / "known_hosts").write_text(f"board {public}" if is_known else "")

    def start(self, *, sftp: str = "internal-sftp", home: Path | None = None, sessions: int = 10) -> None:
        """Start the server, and wait until it takes connections.

        Args:
            sftp: The command that takes files.
            home: Of its user, where that is not ``folder``; our folder is then below it.
            sessions: How many it opens on one connection.
        """
        if os.getuid() == 0:  # Debian's sshd confines its unprivileged part there
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        path = f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        places = [f"HOME={home}"] if home else [f"HOME={self.folder}", f"XDG_CACHE_HOME={self.cache}"]
        environment = " ".join(_quoted(word) for word in (*places, f"PATH={path}"))
        settings = [
            f"ListenAddress=127.0.0.1:{self._port}",
            f"HostKey={self.folder / 'host'}",
            f"AuthorizedKeysFile={self.folder / 'authorized'}",
            *("UsePAM=no", "PidFile=none", "StrictModes=no", "PermitRootLogin=prohibit-password"),
            *("PasswordAuthentication=no", "KbdInteractiveAuthentication=no", "PrintMotd=no"),
            *(
                "UseDNS=no",
                f"MaxSessions={sessions}",
                f"SetEnv={environment}",
                f"Subsystem=sftp {sftp}",
            ),
        ]
        argv = [_SERVER, "-D", "-e", "-f", "/dev/null", *(f"-o{setting}" for setting in settings)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end_s = time.monotonic() + _START_S
        while not _listens(self._port):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end_s, "sshd does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server; connections that are open stay so."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop_for_good(self) -> None:
        """Stop the server, and break every connection, as a board does that loses its power."""
        self.cut()
        self.stop()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Have every connection fall silent without an end, as where a cable is pulled, until left."""
        sessions = _children(self.pid)
        for pid in sessions:
            os.kill(pid, signal.SIGSTOP)
        yield
        for pid in sessions:
            os.kill(pid, signal.SIGCONT)

    def cut(self) -> None:
        """Break every connection of the running server, as a network does that is lost."""
        for pid in _children(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """Serve until left, as ``ssh:board`` of this process, whose locks lie in ``folder``.

    Skips the test where there is no sshd, unless CARS_HW_REQUIRE names it.
    """
    demand("sshd", is_there=Path(_SERVER).exists(), remedy="install openssh-server")
    server = Sshd(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARS_HW_SSH_CONFIG", str(server.config))
        patch.setenv("XDG_CACHE_HOME", str(folder / "locks"))
        try:
            yield server
        finally:
            if server.is_running:
                server.cut()
            server.stop()


def _quoted(word: str) -> str:
    """Return a word as sshd's configuration takes it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _children(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        caller.settimeout(1.0)
        return caller.connect_ex(("127.0.0.1", port)) == 0
