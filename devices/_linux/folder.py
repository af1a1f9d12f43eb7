"""Our one folder on a board: files named by their SHA-256, and a fresh sub-folder for each run."""

import getpass
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from devices._errors import DeviceError
from devices._linux.shell import Shell
from devices._ssh import transfer
from devices._ssh.connection import Connection
from devices._ssh.transfer import UnwrittenError
from devices.foundation.owners import Owner
from devices.foundation.text import one_line

#: Where it is, as a script says it: below the user's own files, which programs may be run from.
PATH = 'printf %s "${XDG_CACHE_HOME:-$HOME/.cache}/cars_hw_board"'

#: Makes the folder ours ($1), and prints the hash of a file in it ($2), given the mode $3 if it is there.
_PREPARE = """
said=$(mkdir -p -m 700 "$1" 2>&1)
if [ -L "$1" ]; then echo link; exit 1; fi
if ! [ -d "$1" ]; then echo "missing $said"; exit 1; fi
if ! [ -O "$1" ]; then echo foreign; exit 1; fi
chmod 700 "$1"
if [ -f "$2" ] && ! [ -L "$2" ]; then chmod "$3" "$2" && sha256sum "$2"; fi
exit 0
"""

#: Gives the file $1 the name $2 and the mode $4 if its hash is $3, or finds that it was given it already.
_INSTALL = """
found=$(sha256sum "$1" 2>/dev/null || sha256sum "$2") || exit 1
[ "${found%% *}" = "$3" ] || { echo "its hash is wrong" >&2; exit 1; }
[ ! -f "$1" ] || { chmod "$4" "$1" && mv -f "$1" "$2"; }
"""

#: Seconds that a hash or a removal may take, on a slow card.
_DISK_S = 120.0

_REFUSALS = {
    "link": "is a link, through which we could overwrite other files; remove it",
    "missing": "cannot be made",
    "foreign": "belongs to another user; remove it as that user",
}


def this_machine() -> str:
    """Return a name of this machine and its user, which says nothing of either."""
    name = f"{Owner.this_process().machine} {getpass.getuser()}"
    return hashlib.sha256(b"cars_hw: a machine " + name.encode()).hexdigest()[:8]


class Folder:
    """Our folder on a board; nothing is written outside of it.

    Args:
        connection: The way to it.
        shell: The board's shell.
        path: Where it is.
        machine: Begins the name of all that is there for a while: other machines leave it alone.
    """

    def __init__(self, connection: Connection, shell: Shell, path: str, machine: str) -> None:
        self.path = path
        self._machine = machine
        self._connection, self._shell = connection, shell

    def prepare(self) -> None:
        """Make the folder, or make sure that it is ours.

        Raises:
            DeviceError: It is a link, another user's, or cannot be made.
        """
        self._hash_of(self.path, "700")

    def push(self, content: bytes, *, executable: bool) -> str:
        """Write ``content`` to a file named by its SHA-256, unless that is there; return its path.

        It is written under another name first, and hashed on the board: a file of a right name is whole.

        Raises:
            DeviceError: The board is full or refuses, or was lost; nothing is left of the file.
        """
        sha256, mode = hashlib.sha256(content).hexdigest(), "700" if executable else "600"
        path = f"{self.path}/{sha256}"
        if self._hash_of(path, mode) == sha256:
            return path
        temporary = f"{self.path}/{self._machine}-new-{secrets.token_hex(8)}"
        try:
            transfer.push(self._connection, content, temporary)
            done = self._shell.script(_INSTALL, temporary, path, sha256, mode, timeout_s=_DISK_S)
            if done.exit_status != 0:
                raise UnwrittenError(f"{path} did not arrive whole ({one_line(done.stderr)})")
        except UnwrittenError as error:
            raise self._refused(error, temporary) from error
        return path

    def _refused(self, error: UnwrittenError, temporary: str) -> DeviceError:
        """Remove what arrived of a file, and return what hindered the rest."""
        free = ""
        with suppress(DeviceError):
            self._shell.script('rm -f "$1"', temporary, timeout_s=_DISK_S)
            done = self._shell.script(
                'df -Pk "$1" | { read -r head; read -r a b c free e; echo "$free"; }', self.path
            )
            free = f"; {int(done.stdout) >> 10} MiB are free there" if done.stdout.strip().isdigit() else ""
        return DeviceError(f"{error}{free}: free space on the board, or check the network")

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """Make a fresh sub-folder of a random name; leaving removes it, at the latest the next connection.

        Raises:
            DeviceError: It cannot be made.
        """
        self.prepare()
        path = f"{self.path}/{self._machine}-run-{secrets.token_hex(8)}"
        if self._shell.script('mkdir -p -m 700 "$1"', path).exit_status != 0:
            raise DeviceError(f"{path} cannot be made on the board; free space there")
        try:
            yield path
        finally:
            with suppress(DeviceError):
                self._shell.script('rm -rf "$1"', path)

    def remove_leftovers(self) -> None:
        """Remove what crashed processes of this machine left half-written, and their results.

        Raises:
            DeviceError: The board was lost.
        """
        begin = f"{self.path}/{self._machine}"
        self._shell.script('rm -rf "$1"-new-* "$1"-run-*', begin, timeout_s=_DISK_S)

    def _hash_of(self, path: str, mode: str) -> str:
        """Return the SHA-256 of a file in our folder, empty where it is absent."""
        done = self._shell.script(_PREPARE, self.path, path, mode)
        word, _, said = done.stdout.decode(errors="replace").strip().partition(" ")
        if done.exit_status != 0:
            why = _REFUSALS.get(word, _REFUSALS["missing"])
            reason = f" ({one_line(said)}); free space there, or mend its rights" if word == "missing" else ""
            raise DeviceError(f"{self.path} on the board {why}{reason}")
        return word
