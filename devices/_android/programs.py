"""Programs on a phone: on chosen processors, verified, and none left running.

Each writes its process number, and when that process was born, to a file of ours before it starts. Numbers
are used again, births are not: what a crashed process of ours left running is found by both.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from devices._adb.reconnection import Reconnecting
from devices._adb.transport import quoted
from devices._android.shell import Shell
from devices._cores import mask
from devices._device import Completed
from devices._environment import with_environment
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices._kinds import listed
from devices.foundation.text import one_line

#: Becomes the program ($6 and on) if this is the boot $4 (empty: any) and the processors are those of $5;
#: else prints, after the mark $2, what is not so. What stands on standard error before the mark and "starts"
#: is not the program's. Root is $1, the file for the process $3. Field 22 of ``stat`` is the birth.
_START = """
R=$1 mark=$2 pid_file=$3 boot=$4 wanted=$5; shift 5
refuse() { echo "$mark $1" >&2; exit 125; }
now=; { read -r now < "$R/proc/sys/kernel/random/boot_id"; } 2>/dev/null
[ -z "$boot" ] || [ "$now" = "$boot" ] || refuse restarted
while read -r key value; do [ "$key" != Cpus_allowed_list: ] || allowed=$value; done < "$R/proc/$$/status"
[ "$allowed" = "$wanted" ] || refuse "runs on $allowed"
read -r stat < "$R/proc/$$/stat"
born() { set -- ${1##*) }; echo "${20}"; }
echo "$$ $(born "$stat")" > "$pid_file" || refuse "no space"
echo "$mark starts" >&2
exec "$@"
"""

#: Kills the processes that files of the folder $2 name, and removes the files. Root is $1.
_END = """
R=$1 folder=$2
for file in "$folder"/*.pid; do
  pid=; born=; read -r pid born < "$file"
  case "$pid" in ''|*[!0-9]*) pid=0;; esac
  stat=; read -r stat < "$R/proc/$pid/stat"
  set -- ${stat##*) }
  if [ -n "$born" ] && [ "${20}" = "$born" ]; then kill -9 "$pid"; fi
  rm -f "$file"
done 2>/dev/null
"""

#: Lifts the limits that Android 13 and later put on a shell's processors.
_LIFT_LIMITS = (
    "if command -v settaskprofile >/dev/null 2>&1; then settaskprofile $$ MaxPerformance >/dev/null; fi; "
)

#: Characters of a complaint that a message takes.
_LONGEST = 200


class Programs:
    """Starts programs on a phone.

    Args:
        transport: The connection.
        shell: The phone's shell, asked once already.
        folder: Path of our folder there.
        processors: Where all programs run.
    """

    def __init__(
        self, transport: Reconnecting, shell: Shell, *, folder: str, processors: Sequence[int]
    ) -> None:
        self._transport, self._shell = transport, shell
        self._folder, self._processors = folder, tuple(processors)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        """Run a program to its end, on the chosen processors; our folder is there.

        Raises:
            DeviceTimeoutError: It took longer than ``timeout_s``; it was killed.
            DeviceLostError: The phone was lost, or restarted.
            DeviceError: It did not start: what stands before it failed, its processors are not those that
                were asked for, or there is no such variable.
        """
        mark, pid_file = secrets.token_hex(8), f"{self._folder}/{secrets.token_hex(8)}.pid"
        boot = self._shell.boot_id or ""
        words = [
            self._shell.root,
            mark,
            pid_file,
            boot,
            listed(self._processors),
            *with_environment(environment),
            *argv,
        ]
        start = quoted(["taskset", mask(self._processors), "sh", "-c", _START, "sh", *words])
        command = f"{_LIFT_LIMITS}{start}; status=$?; rm -f {quoted([pid_file])}; (exit $status)"
        try:
            done = self._transport.shell(command, timeout_s=timeout_s)
        except DeviceTimeoutError:
            with suppress(DeviceError):
                self.end_leftovers()
            raise
        before, word, written = _split(done.stderr, mark)
        if word is None:
            raise self._not_started(done.exit_status, before + written or done.stdout)
        if word != "starts":
            raise self._refused(word, before)
        kept = before + written if done.exit_status else written
        return replace(done, stderr=kept)

    def end_leftovers(self) -> None:
        """Kill what runs still although nobody waits for it any more.

        Raises:
            DeviceError: The phone was lost.
        """
        self._shell.script(_END, self._shell.root, self._folder)

    def _not_started(self, exit_status: int, complaint: bytes) -> DeviceError:
        return DeviceError(
            f"no program can be started on processors {listed(self._processors)} of this phone: "
            f"{_said(complaint) or 'nothing is printed'} (exit status {exit_status}); wake the phone, or ask "
            "for other ?cores="
        )

    def _refused(self, reason: str, before: bytes) -> DeviceError:
        said = f" ({complaint})" if (complaint := _said(before)) else ""
        if reason == "restarted":
            return DeviceLostError("the phone restarted; connect again, what was measured before is kept")
        if reason == "no space":
            return DeviceError(f"{self._folder} on the phone cannot be written to{said}; free space there")
        return DeviceError(
            f"a program started for processors {listed(self._processors)} {one_line(reason, 64)}{said}; "
            "wake the phone and keep its screen on, or ask for other ?cores="
        )


def _split(stderr: bytes, mark: str) -> tuple[bytes, str | None, bytes]:
    """Return what stands before ``mark``, the words after it (``None``: there is none), and the rest."""
    match = re.search(rb"%s ([^\n]*)\n?" % mark.encode(), stderr)
    if match is None:
        return stderr, None, b""
    return stderr[: match.start()], match[1].decode(errors="replace").strip(), stderr[match.end() :]


def _said(complaint: bytes) -> str:
    """Return the lines of a complaint as one line."""
    return one_line("; ".join(complaint[:4096].decode(errors="replace").split("\n")).strip("; "), _LONGEST)
