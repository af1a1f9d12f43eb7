"""The shell of a board: many files and reports in one round trip, and whether it is still the same boot."""

import re
import secrets
from collections.abc import Mapping

from devices._device import Completed
from devices._errors import DeviceError, DeviceLostError
from devices._ssh.connection import ANSWER_S, Connection

#: Longest report that is read.
_LONGEST = 1 << 20

_BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BOOT = 'show "$R"/proc/sys/kernel/random/boot_id'

#: Prints a small file of lines without starting a program, of which a slow board starts some 500 a second.
_SHOW = """show() { while IFS= read -r line; do printf '%s\\n' "$line"; done < "$1"; }"""


class Shell:
    """Asks a board, and notices when it restarted meanwhile.

    Args:
        connection: The way to it.
        root: Where ``proc``, ``sys`` and ``etc`` are; empty on a board.

    Attributes:
        boot_id: Random name of the present boot; empty where the board does not report it.
    """

    def __init__(self, connection: Connection, root: str = "") -> None:
        self.root = root
        self._connection = connection
        self.boot_id: str | None = None

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
        sections = answer.decode(errors="replace").split(f"\n{mark}\n")
        if len(sections) != len(asked) + 2:
            raise DeviceError("the board's answer is cut short; check the network and try again")
        found = dict(zip(asked, (section[:_LONGEST] for section in sections[1:]), strict=False))
        self._require_same_boot(found.pop("boot").strip())
        return found

    def _require_same_boot(self, found: str) -> None:
        boot_id = found if _BOOT_ID.fullmatch(found) else ""
        if self.boot_id is None:
            self.boot_id = boot_id
        elif boot_id != self.boot_id:
            raise DeviceLostError("the board restarted; connect again, what was measured before is kept")
