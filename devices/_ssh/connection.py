"""One connection to a board, by the system's ``ssh``: its user's keys, configuration and jump hosts.

The first client, the master, makes it and holds it open; each command is another client that goes through
the master's socket, some 10 ms. Passwords are not asked for, and host keys that are unknown not accepted.

On the board the master's own session waits for the end of its standard input, which comes however we end:
the connection closes with this process, be it killed.
"""

import logging
import os
import random
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from devices._device import Completed
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices._ssh.channel import Channel, Deadline
from devices._ssh.complaints import explained
from devices._ssh.quoting import command_line

logger = logging.getLogger(__name__)

#: Names another file than ~/.ssh/config.
CONFIG_VARIABLE = "CARS_HW_SSH_CONFIG"

#: Seconds for connecting, through jump hosts too, and for a command that we only ask with.
CONNECT_S, ANSWER_S = 30.0, 30.0

#: Most that a command may write, in bytes.
_MOST_BYTES = 16 << 20

_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.5

#: How long a client may take to report the end of what it was told to end.
_GRACE_S = 2.0

_SAFETY = ("-T", "-a", "-x", *(f"-o{option}" for option in ("BatchMode=yes", "EscapeChar=none")))
_MASTER = (
    *("StrictHostKeyChecking=yes", "ControlMaster=yes", "ControlPersist=no", "ConnectTimeout=10"),
    *("ServerAliveInterval=5", "ServerAliveCountMax=3", "ClearAllForwardings=yes", "PermitLocalCommand=no"),
    *("RemoteCommand=none", "RequestTTY=no", "UpdateHostKeys=no"),
)

#: Where the socket is gone, a client would connect by itself: it must not.
_CLIENT = ("ControlMaster=no", "ProxyCommand=false", "LogLevel=ERROR")

#: Succeeds where a command of ours leads its process group, as sshd arranges, so that it can be ended whole.
_KEEPER = """
read -r stat < "/proc/$$/stat" || { echo "it has no /proc" >&2; exit 1; }
set -- $$ ${stat##*) }
[ "$1" = "$4" ] || { echo "its SSH server gives no command a process group; use OpenSSH's" >&2; exit 1; }
echo ready
cat > /dev/null
"""

_OWN_LINE = re.compile(rb"[0-9a-f]{16} (starts|ended [0-9]{1,3})")

_HOST = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}@)?(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,15})?)"
)


class Connection:
    """A connection to the board ``host``, made on construction; see ``close``.

    Args:
        host: ``HOST`` or ``USER@HOST``, as ssh takes it: a name of its configuration, too.
        pause: Waits so many seconds; for the pauses between attempts to reconnect.

    Raises:
        DeviceError: The board cannot be reached, or refuses us; the message names the remedy.
    """

    def __init__(self, host: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        if os.name == "nt":
            raise DeviceError("ssh on Windows shares no connections; run this in WSL")
        if not _HOST.fullmatch(host):
            raise DeviceError(f"{host[:64]!r} is no host; write ssh:HOST or ssh:USER@HOST")
        self.host = host
        self._pause = pause
        self._folder = Path(tempfile.mkdtemp(prefix="cars-hw-"))
        self._master: Channel | None = None
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def answer(
        self,
        script: str,
        *words: str,
        content: bytes | None = None,
        timeout_s: float = ANSWER_S,
        before_again: Callable[[], object] = lambda: None,
    ) -> Completed:
        """Run a script in the board's ``sh`` to its end; connect anew once where the connection breaks.

        Args:
            script: Does no harm when it is run twice; finds ``words`` in ``$1``, ``$2`` and so on.
            words: Taken as they are.
            content: What it reads on its standard input; ``None``: that stays open, and empty.
            timeout_s: After that it is left, and its standard input closed.
            before_again: Called when it is to be run a second time.

        Raises:
            DeviceTimeoutError: It took longer.
            DeviceLostError: The connection broke, and could not be made anew.
            DeviceError: It wrote more than 16 MiB, or was killed there.
        """
        try:
            return self._answer(script, words, content, timeout_s)
        except DeviceLostError as error:
            logger.warning("%s; connecting again", error)
        self.reconnect()
        before_again()
        return self._answer(script, words, content, timeout_s)

    def start(self, script: str, *words: str) -> tuple[Channel, str]:
        """Start a script; return its client, and the mark that stands around what it writes.

        Raises:
            DeviceLostError: The connection is broken.
        """
        if not self.is_alive():
            raise self._lost()
        mark = secrets.token_hex(8)
        line = command_line(script, words, mark)
        options = [f"-o{option}" for option in _CLIENT]
        return Channel(
            ["ssh", "-Fnone", f"-S{self._socket}", *_SAFETY, *options, "--", self._name, line]
        ), mark

    def is_alive(self) -> bool:
        """Tell whether the connection is up, as far as ssh has noticed."""
        if self._master is None:
            return False
        while not self._master.is_ended and self._master.move(0.0):
            pass
        return not self._master.is_ended

    def reconnect(self) -> None:
        """Connect anew, in at most three attempts with a growing pause.

        Raises:
            DeviceLostError: The board did not come back.
            DeviceError: It came back, but refuses us.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._pause(_FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)
            try:
                return self._connect()
            except DeviceError as error:
                if attempt == _ATTEMPTS - 1:
                    raise DeviceLostError(str(error)) from error
        return None

    def close(self) -> None:
        """Close the connection and all that runs over it; a second time does nothing."""
        master, self._master = self._master, None
        if master is not None:
            master.close(_GRACE_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _socket(self) -> Path:
        return self._folder / "s"

    @property
    def _name(self) -> str:
        """The host without user, which stands for the connection alone."""
        return self.host.rpartition("@")[2]

    def _connect(self) -> None:
        if self._master is not None:
            self._master.close()
        self._socket.unlink(missing_ok=True)
        mark = secrets.token_hex(8)
        config = os.environ.get(CONFIG_VARIABLE)
        options = [f"-o{option}" for option in _MASTER]
        argv = ["ssh", *([f"-F{config}"] if config else []), f"-S{self._socket}", *_SAFETY, *options]
        master = self._master = Channel([*argv, "--", self.host, command_line(_KEEPER, (), mark)])
        deadline = Deadline(CONNECT_S)
        while f"\n{mark}\nready\n".encode() not in master.output and not master.is_ended:
            if not master.move(deadline.left_s()) and not deadline.left_s():
                break
        if master.is_ended or not master.output:
            raise self._unreachable(bytes(master.errors), mark)
        master.output.clear()

    def _answer(
        self, script: str, words: tuple[str, ...], content: bytes | None, timeout_s: float
    ) -> Completed:
        channel, mark = self.start(script, *words)
        try:
            exchange(channel, content, timeout_s)
        finally:
            channel.close(0.0 if channel.is_ended else _GRACE_S)
        done = completed(bytes(channel.output), bytes(channel.errors), mark)
        if done is None:
            raise self._unfinished(bytes(channel.errors), mark)
        return done

    def _unfinished(self, said: bytes, mark: str) -> DeviceError:
        """Return why a command ended without a status."""
        if mark.encode() in said and self.is_alive():
            return DeviceError(
                f"a program on {self.host} was killed together with its shell; free memory there"
            )
        return self._lost(said)

    def _lost(self, said: bytes = b"") -> DeviceLostError:
        lines = (said + (bytes(self._master.errors) if self._master else b"")).splitlines()
        words = b"\n".join(line for line in lines if not _OWN_LINE.fullmatch(line))
        return DeviceLostError(f"the connection to {self.host} broke ({explained(words)[0]})")

    def _unreachable(self, said: bytes, mark: str) -> DeviceError:
        _, starts, after = said.partition(f"{mark} starts\n".encode())
        if starts:
            reason = after.partition(f"\n{mark}".encode())[0].decode(errors="replace")
            return DeviceError(f"{self.host} cannot be measured on: {explained(reason)[0]}")
        reason, remedy = explained(said)
        return DeviceError(f"{self.host} cannot be reached ({reason}): {remedy.format(host=self.host)}")


def exchange(channel: Channel, content: bytes | None, timeout_s: float) -> None:
    """Send ``content`` and the end of it, and receive until the program ends.

    Raises:
        DeviceTimeoutError: It took longer than ``timeout_s``.
        DeviceError: It writes more than 16 MiB.
    """
    deadline = Deadline(timeout_s)
    channel.send(content or b"")
    while not channel.is_ended:
        if content is not None and not channel.is_sending:
            channel.end_input()
        if not channel.move(deadline.left_s()) and not deadline.left_s():
            raise DeviceTimeoutError(f"a program on the board took longer than {timeout_s:g} s")
        if len(channel.output) + len(channel.errors) > _MOST_BYTES:
            raise DeviceError("a program on the board wrote more than 16 MiB; it was ended")


def completed(output: bytes, errors: bytes, mark: str) -> Completed | None:
    """Return what stands between the marks, and the status after them; ``None`` where there is none."""
    ended = re.search(rb"\n%s ended ([0-9]{1,3})\n\Z" % mark.encode(), errors)
    starts = errors.find(f"\n{mark} starts\n".encode())
    first = output.find(f"\n{mark}\n".encode())
    if ended is None or starts < 0 or first < 0:
        return None
    stderr = errors[starts + len(f"\n{mark} starts\n") : ended.start()]
    return Completed(output[first + len(f"\n{mark}\n") :], stderr, int(ended[1]))
