"""One connection to a board, by the system's ``ssh``: its user's keys, configuration and jump hosts.

The first client, the master, makes it and holds it open; a program is another client that goes through the
master's socket. Passwords are not asked for, and host keys that are unknown not accepted.

On the board the master's own session is a shell that answers small questions, in a millisecond where a
client takes ten and a slow start-up file 150. It ends with its standard input, which comes however we end:
the connection closes with this process, be it killed.
"""

import logging
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from devices._device import Completed
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices._ssh.channel import Channel
from devices._ssh.complaints import explained
from devices._ssh.scripts import Script, without_marks

logger = logging.getLogger(__name__)

#: Names another file than ~/.ssh/config.
CONFIG_VARIABLE = "CARS_HW_SSH_CONFIG"

#: Seconds for connecting, through jump hosts too, and for a command that we only ask with.
CONNECT_S, ANSWER_S = 30.0, 30.0

_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.5

#: How often it is looked whether the connection has ended behind what is there to be read.
_MOST_READS = 64

#: What is kept of what ssh says meanwhile, in bytes.
_MOST_ERRORS = 1 << 16

#: How long a client may take to report the end of what it was told to end.
_GRACE_S = 2.0

_MASTER = (
    *("BatchMode=yes", "StrictHostKeyChecking=yes", "ControlMaster=yes", "ControlPersist=no"),
    *("ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3", "ClearAllForwardings=yes"),
    *("ForwardAgent=no", "ForwardX11=no", "PermitLocalCommand=no", "RemoteCommand=none", "RequestTTY=no"),
    *("EscapeChar=none", "UpdateHostKeys=no", "LogLevel=INFO"),
)

#: Where the socket is gone, a client would connect by itself: it must not.
_CLIENT = ("BatchMode=yes", "ControlMaster=no", "ProxyCommand=false", "LogLevel=ERROR", "EscapeChar=none")

#: Goes on where a command of ours leads its process group, as sshd arranges, so that it can be ended whole.
_KEEPER = """
read -r stat < "/proc/$$/stat" || { echo "it has no /proc" >&2; exit 1; }
set -- $$ ${stat##*) }
[ "$1" = "$4" ] || { echo "its SSH server gives commands no process group: install OpenSSH's" >&2; exit 1; }
echo ready
while IFS= read -r line; do eval "$(printf "$line")" </dev/null; done
"""

_HOST = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}@)?"
    r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,15})?)"
)

Answer = TypeVar("Answer")


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
        self.folder = Path(tempfile.mkdtemp(prefix="cars-hw-"))
        self._master: Channel | None = None
        self._is_closed = False
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def ask(self, text: str, *words: str, timeout_s: float = ANSWER_S) -> Completed:
        """Run a small script in the shell that waits on the board; connect anew once where that is lost.

        Args:
            text: Does no harm when it is run twice; finds ``words`` in ``$1``, ``$2`` and so on.
            words: Taken as they are.
            timeout_s: After that the connection is given up.

        Raises:
            DeviceTimeoutError: It took longer.
            DeviceLostError: The connection broke, and could not be made anew.
            DeviceError: It wrote more than any answer is; the connection is given up, too.
        """
        return self.retried(lambda: self._ask(Script.of(text, words), timeout_s))

    def answer(
        self,
        text: str,
        *words: str,
        timeout_s: float,
        most_bytes: int = 16 << 20,
        before_again: Callable[[], object] = lambda: None,
    ) -> Completed:
        """Run a script as a command of its own; connect anew once where the connection breaks.

        Args:
            text: Does no harm when it is run twice; finds ``words`` in ``$1``, ``$2`` and so on.
            words: Taken as they are.
            timeout_s: After that it is left, and its standard input, which is empty until then, closed.
            most_bytes: After that it is left, too.
            before_again: Called when it is to be run a second time.

        Raises:
            DeviceTimeoutError: It took longer.
            DeviceLostError: The connection broke, and could not be made anew.
            DeviceError: It wrote more than ``most_bytes``, or was killed there.
        """
        return self.retried(lambda: self._answer(Script.of(text, words), timeout_s, most_bytes), before_again)

    def retried(self, ask: Callable[[], Answer], before_again: Callable[[], object] = lambda: None) -> Answer:
        """Return what ``ask`` does, asked once more where the connection breaks, over a new one."""
        try:
            return ask()
        except DeviceLostError as error:
            logger.warning("%s; connecting again", error)
        self.reconnect()
        before_again()
        return ask()

    def start(self, script: Script) -> Channel:
        """Start a script as a command of its own; return its client.

        Raises:
            DeviceLostError: The connection is broken.
        """
        return self.client("ssh", [f"-S{self.socket}", "-T"], script.command_line())

    def client(self, program: str, options: Sequence[str], *words: str) -> Channel:
        """Start a client that goes through the master, in our folder.

        Raises:
            DeviceLostError: The connection is broken.
        """
        if not self.is_alive():
            raise self.lost()
        argv = [program, "-Fnone", *options, *(f"-o{option}" for option in _CLIENT)]
        host = self.host.rpartition("@")[2]  # stands for the connection alone
        return Channel([*argv, "--", host, *words], folder=self.folder)

    @property
    def socket(self) -> Path:
        """Where clients find the master."""
        return self.folder / "s"

    def is_alive(self) -> bool:
        """Tell whether the connection is up, as far as ssh has noticed."""
        master = self._master
        if master is None:
            return False
        for _ in range(_MOST_READS):
            master.output.clear()  # nothing was asked that this could answer
            del master.errors[:-_MOST_ERRORS]
            if master.is_ended or not master.move(0.0):
                break
        return not master.is_ended

    def lost(self, said: bytes = b"") -> DeviceError:
        """Return the error of a connection that broke, or takes no more clients, by what one has ``said``."""
        if self._is_closed:
            return DeviceError(f"the connection to {self.host} was closed; connect again")
        if b"Session open refused by peer" in said:
            return DeviceError(
                f"{self.host} opens no further session on a connection; raise MaxSessions in its sshd_config"
            )
        words = said + b"\n" + (bytes(self._master.errors) if self._master else b"")
        return DeviceLostError(f"the connection to {self.host} broke ({explained(without_marks(words))[0]})")

    def reconnect(self) -> None:
        """Connect anew, in at most three attempts with a growing pause.

        Raises:
            DeviceLostError: The board did not come back.
            DeviceError: The connection was closed.
        """
        if self._is_closed:
            raise self.lost()
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
        self._is_closed = True
        self._drop(_GRACE_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _drop(self, grace_s: float = 0.0) -> None:
        master, self._master = self._master, None
        if master is not None:
            master.close(grace_s)

    def _connect(self) -> None:
        self._drop()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        script = Script.of(_KEEPER)
        config = os.environ.get(CONFIG_VARIABLE)
        file = [f"-F{Path(config).absolute()}"] if config else []  # ssh runs in our folder
        options = [*file, f"-S{self.socket}", *(f"-o{one}" for one in _MASTER)]
        master = Channel(["ssh", *options, "--", self.host, script.command_line()], folder=self.folder)
        self._master, ready = master, script.before_output() + b"ready\n"
        try:
            is_ready = master.move_until(lambda: ready in master.output, CONNECT_S)
        except DeviceError as error:
            self._drop()
            raise DeviceError(
                f"{self.host} prints without end before it takes a command; mend the start-up files of its "
                "user's shell"
            ) from error
        if not is_ready:
            said = bytes(master.errors)
            self._drop()
            raise self._unreachable(said, script)

    def _ask(self, script: Script, timeout_s: float) -> Completed:
        if not self.is_alive() or (master := self._master) is None:
            raise self.lost()
        master.output.clear()
        master.errors.clear()
        master.send(script.request())
        try:
            has_ended = master.move_until(lambda: script.has_ended(master.output, master.errors), timeout_s)
        except DeviceError:
            self._drop()
            raise
        if not has_ended:
            if master.is_ended:
                raise self.lost()
            self._drop()
            raise DeviceTimeoutError(f"{self.host} did not answer within {timeout_s:g} s")
        output = bytes(master.output[: -len(script.before_output())])
        done = script.completed(output, bytes(master.errors))
        if done is None:
            raise DeviceError(f"{self.host} answers with what it was not asked; connect again")
        return done

    def _answer(self, script: Script, timeout_s: float, most_bytes: int) -> Completed:
        channel = self.start(script)
        try:
            channel.run(timeout_s, most_bytes)
        finally:
            channel.close(0.0 if channel.is_ended else _GRACE_S)
        done = script.completed(bytes(channel.output), bytes(channel.errors))
        if done is None:
            raise self._unfinished(bytes(channel.errors), script)
        return done

    def _unfinished(self, said: bytes, script: Script) -> DeviceError:
        """Return why a command ended without a status: a broken connection ends its client first."""
        if script.before_errors() in said and self._answers():
            return DeviceError(
                f"a program on {self.host} was killed together with its shell; free memory there"
            )
        return self.lost(said)

    def _answers(self) -> bool:
        """Tell whether the board still does."""
        try:
            return self._ask(Script.of(":"), _GRACE_S).exit_status == 0
        except DeviceError:
            return False

    def _unreachable(self, said: bytes, script: Script) -> DeviceError:
        _, starts, after = said.partition(script.before_errors())
        if starts:
            return DeviceError(f"{self.host} cannot be measured on: {explained(without_marks(after))[0]}")
        reason, remedy = explained(said or f"it takes no command within {CONNECT_S:g} s")
        return DeviceError(f"{self.host} cannot be reached ({reason}): {remedy.format(host=self.host)}")
