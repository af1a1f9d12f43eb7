"""Our one folder on a phone: files named by their SHA-256, and a fresh sub-folder for each run."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from devices._adb.reconnection import Reconnecting
from devices._android.shell import Shell
from devices._errors import DeviceError, DeviceLostError

#: Where the shell may write and run programs on every phone.
PARENT = "/data/local/tmp"

#: Slowest push that is waited for, in bytes a second: a wireless phone at the edge of its network.
_SLOWEST_PUSH = 100_000

#: Makes the folder ours ($1), and prints the hash of a file in it ($2), given the mode $3 if it is there.
_PREPARE = """
mkdir -p -m 700 "$1" 2>/dev/null
if [ -L "${1%/*}" ] || [ -L "$1" ]; then echo link; exit 1; fi
if ! [ -d "$1" ]; then echo missing; exit 1; fi
if ! [ -O "$1" ]; then echo foreign; exit 1; fi
chmod 700 "$1"
if [ -f "$2" ] && ! [ -L "$2" ]; then chmod "$3" "$2" && sha256sum "$2"; fi
"""

#: Gives the file $1 the name $2 if its hash is $3, or finds that it was given it already.
_INSTALL = """
found=$(sha256sum "$1" || sha256sum "$2") || exit 1
[ "${found%% *}" = "$3" ] || exit 1
if [ -f "$1" ]; then mv -f "$1" "$2"; fi
"""

_REFUSALS = {
    "link": "is a link, through which we could overwrite other files; remove it",
    "missing": "cannot be made; free space there, and check that `adb shell` may write to " + PARENT,
    "foreign": "belongs to another user; remove it as that user, perhaps after `adb root`",
}


def noexec_mount(mounts: str) -> bool:
    """Return whether programs cannot run from our folder, going by the text of ``/proc/mounts``."""
    options: dict[str, list[str]] = {}
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) >= 4:  # the last mount on a point is the one that shows
            options[fields[1]] = fields[3].split(",")
    above = [point for point in options if f"{PARENT}/".startswith(f"{point.rstrip('/')}/")]
    return bool(above) and "noexec" in options[max(above, key=len)]


class Folder:
    """Our folder on a phone; nothing is written outside of it.

    Args:
        transport: The connection.
        shell: The phone's shell.

    Attributes:
        path: Where it is.
    """

    def __init__(self, transport: Reconnecting, shell: Shell) -> None:
        self.path = f"{shell.root}{PARENT}/cars_hw"
        self._transport, self._shell = transport, shell

    def prepare(self) -> None:
        """Make the folder, or make sure that it is ours.

        Raises:
            DeviceError: It is a link, another user's, or cannot be made.
        """
        self._hash_of(self.path, "700")

    def push(self, content: bytes, *, executable: bool) -> str:
        """Write ``content`` to a file named by its SHA-256, unless that is there; return its path.

        It is written under another name first, and hashed on the phone: a file of a right name is whole.

        Raises:
            DeviceError: The phone is full or refuses, or was lost; nothing is left of the file.
        """
        sha256, mode = hashlib.sha256(content).hexdigest(), 0o700 if executable else 0o600
        path = f"{self.path}/{sha256}"
        if self._hash_of(path, f"{mode:o}") == sha256:
            return path
        temporary = f"{self.path}/new-{secrets.token_hex(8)}"
        try:
            timeout_s = 60.0 + len(content) / _SLOWEST_PUSH
            self._transport.push(content, temporary, mode=mode, timeout_s=timeout_s)
            if self._shell.script(_INSTALL, temporary, path, sha256).exit_status != 0:
                raise DeviceError(f"{path} did not arrive whole: free space on the phone, or check the cable")
        except DeviceError as error:
            if not isinstance(error, DeviceLostError):
                with suppress(DeviceError):
                    self._shell.script('rm -f "$1"', temporary)
            raise
        return path

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """Make a fresh sub-folder of a random name; leaving removes it, at the latest the next connection.

        Raises:
            DeviceError: It cannot be made.
        """
        self.prepare()
        path = f"{self.path}/run-{secrets.token_hex(8)}"
        if self._shell.script('mkdir -p -m 700 "$1"', path).exit_status != 0:
            raise DeviceError(f"{path} cannot be made on the phone; free space there")
        try:
            yield path
        finally:
            with suppress(DeviceError):
                self._shell.script('rm -rf "$1"', path)

    def remove_leftovers(self) -> None:
        """Remove what crashed processes of ours left half-written, and their results.

        Raises:
            DeviceError: The phone was lost.
        """
        self._shell.script('rm -rf "$1"/new-* "$1"/run-*', self.path)

    def _hash_of(self, path: str, mode: str) -> str:
        """Return the SHA-256 of a file in our folder, empty where it is absent."""
        done = self._shell.script(_PREPARE, self.path, path, mode)
        word = done.stdout.decode(errors="replace").partition(" ")[0].strip()
        if done.exit_status != 0:
            raise DeviceError(f"{self.path} on the phone {_REFUSALS.get(word, _REFUSALS['missing'])}")
        return word
