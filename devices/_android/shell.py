"""The shell of a phone: many files and reports in one round trip, and whether it is still the same boot."""

import secrets
from collections.abc import Mapping

from devices._adb.reconnection import Reconnecting
from devices._adb.transport import quoted
from devices._device import Completed
from devices._errors import DeviceError, DeviceLostError
from devices._remote_reports import Boot, reports

#: Seconds that a report may take; services of a busy phone answer in tenths of a second.
ANSWER_S = 30.0

_BOOT = 'cat "$R"/proc/sys/kernel/random/boot_id'


class Shell:
    """Asks a phone, and notices when it restarted meanwhile.

    Args:
        transport: The connection.
        root: Where ``proc``, ``sys`` and ``data`` are; empty on a phone.
    """

    def __init__(self, transport: Reconnecting, root: str = "") -> None:
        self.root = root
        self._transport = transport
        self._boot = Boot()

    @property
    def boot_id(self) -> str | None:
        """Random name of the boot that was first asked; empty where it is not reported, ``None`` before."""
        return self._boot.boot_id

    def script(self, text: str, *words: str, timeout_s: float = ANSWER_S) -> Completed:
        """Run the shell script ``text``, which finds ``words`` in ``$1``, ``$2`` and so on.

        Raises:
            DeviceError: The phone was lost, or took too long.
        """
        return self._transport.shell(quoted(["sh", "-c", text, "sh", *words]), timeout_s=timeout_s)

    def texts(self, commands: Mapping[str, str]) -> dict[str, str]:
        """Run all ``commands`` at once; return what each wrote, by name, empty where it failed.

        Args:
            commands: Shell text by name; ``$R`` is the root.

        Raises:
            DeviceLostError: The phone restarted since the first call.
            DeviceError: It was lost, took too long, or its answer is cut.
        """
        mark = secrets.token_hex(8)  # so that no report can hold it
        asked = {"boot": _BOOT, **commands}
        parts = [f"echo; echo {mark}; ( {command} ) 2>/dev/null" for command in asked.values()]
        line = "; ".join([f"R={quoted([self.root])}", *parts, f"echo; echo {mark}"])
        answer = self._transport.shell(line, timeout_s=ANSWER_S).stdout
        found = reports(answer.decode(errors="replace").replace("\r\n", "\n"), asked, mark)
        if found is None:
            raise DeviceError("the phone's answer is cut short; check the cable and try again")
        if self._boot.is_over(found.pop("boot")):
            raise DeviceLostError("the phone restarted; connect again, what was measured before is kept")
        return found
