"""The shell of a board: many files and reports in one round trip, and whether it is still the same boot."""

import secrets
from collections.abc import Mapping

from devices._device import Completed
from devices._errors import DeviceError, DeviceLostError
from devices._remote_reports import Boot, reports
from devices._ssh.connection import ANSWER_S, Connection

_BOOT = 'show "$R"/proc/sys/kernel/random/boot_id'

#: Prints a small file of lines without starting a program, of which a slow board starts some 500 a second.
_SHOW = """show() { while IFS= read -r line; do printf '%s\\n' "$line"; done < "$1"; }"""


class Shell:
    """Asks a board, and notices when it restarted meanwhile.

    Args:
        connection: The way to it.
        root: Where ``proc``, ``sys`` and ``etc`` are; empty on a board.
    """

    def __init__(self, connection: Connection, root: str = "") -> None:
        self.root = root
        self._connection = connection
        self._boot = Boot()

    @property
    def boot_id(self) -> str | None:
        """Random name of the boot that was first asked; empty where it is not reported, ``None`` before."""
        return self._boot.boot_id

    def script(self, text: str, *words: str, timeout_s: float = ANSWER_S) -> Completed:
        """Run a script as ``Connection.ask`` does."""
        return self._connection.ask(text, *words, timeout_s=timeout_s)

    def texts(self, commands: Mapping[str, str]) -> dict[str, str]:
        """Run all ``commands`` at once; return what each wrote, by name, empty where it failed.

        Args:
            commands: Shell text by name; ``$R`` is the root, and ``show`` prints a small file.

        Raises:
            DeviceLostError: The board restarted since the first call.
            DeviceError: It was lost, took too long, or its answer is cut.
        """
        mark = secrets.token_hex(8)  # so that no report can hold it
        asked = {"boot": _BOOT, **commands}
        parts = [f'echo; echo "$1"; {{ {command}; }} 2>/dev/null' for command in asked.values()]
        lines = "\n".join(["R=$2", _SHOW, *parts, 'echo; echo "$1"'])
        answer = self._connection.ask(lines, mark, self.root).stdout
        found = reports(answer.decode(errors="replace"), asked, mark)
        if found is None:
            raise DeviceError("the board's answer is cut short; check the network and try again")
        if self._boot.is_over(found.pop("boot")):
            raise DeviceLostError("the board restarted; connect again, what was measured before is kept")
        return found
