"""Programs on a board: on chosen processors, and none left running.

A program that only runs has no standard input: the connection's is read beside it, and its end, which comes
when we close it, die, or lose the connection, ends the program with all that it started. Where the board does
not notice that the connection is gone, the next one ends the program: each writes its process number, and
when that process was born, to a file of ours before it starts. Numbers are used again, births are not.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from devices._cores import mask
from devices._device import Completed
from devices._environment import with_environment
from devices._errors import DeviceError, DeviceLostError
from devices._kinds import listed
from devices._linux.shell import Shell
from devices._ssh.connection import Connection
from devices._ssh.conversation import SshConversation
from devices._ssh.scripts import Script
from devices.foundation.text import one_line

#: Refuses to start a program unless this is the boot $4 (empty: any) and its processors are those of the list
#: $6, mask $5; what stands on standard error before the mark $2 is not the program's. Root is $1, the file
#: for the process $3. Field 22 of ``stat`` is the birth.
_PROLOGUE = """
R=$1 mark=$2 pid_file=$3 boot=$4 mask=$5 wanted=$6; shift 6
refuse() { echo "$mark $1" >&2; exit 125; }
find_allowed() {
  while read -r key value; do
    if [ "$key" = Cpus_allowed_list: ]; then allowed=$value; fi
  done < /proc/self/status
}
now=; { read -r now < "$R/proc/sys/kernel/random/boot_id"; } 2>/dev/null
[ -z "$boot" ] || [ "$now" = "$boot" ] || refuse restarted
find_allowed
if [ "$allowed" != "$wanted" ]; then
  read -r me rest < /proc/self/stat
  taskset -p "$mask" "$me" >/dev/null
  find_allowed
  [ "$allowed" = "$wanted" ] || refuse "runs on $allowed"
fi
born() { set -- ${1##*) }; echo "${20}"; }
read -r stat < "/proc/$$/stat"
echo "$$ $(born "$stat")" > "$pid_file" || refuse "no space"
"""

#: Beside the program the connection's standard input is waited for, whose end ends the whole process group.
_RUN = """
exec 3<&0
( cat <&3; kill -9 "-$$" ) >/dev/null 2>&1 &
exec 3<&-
echo "$mark starts" >&2
"$@" </dev/null
status=$?
rm -f "$pid_file"
exit "$status"
"""

_CONVERSE = """
echo "$mark starts" >&2
"$@"
status=$?
rm -f "$pid_file"
exit "$status"
"""

#: Kills the process groups that the files $1, $2 and so on name, and removes the files.
_END = """
for file do
  pid=; born=; read -r pid born < "$file"
  case "$pid" in ''|*[!0-9]*) pid=0;; esac
  stat=; read -r stat < "/proc/$pid/stat"
  set -- ${stat##*) }
  if [ -n "$born" ] && [ "${20}" = "$born" ]; then kill -9 "-$pid"; fi
  rm -f "$file"
done 2>/dev/null
"""

#: Characters of a complaint that a message takes.
_LONGEST = 200


class Programs:
    """Starts programs on a board.

    Args:
        connection: The way to it.
        shell: The board's shell, asked once already.
        files: What the paths of their files begin with, in our folder there.
        processors: Where all programs run.
    """

    def __init__(
        self, connection: Connection, shell: Shell, *, files: str, processors: Sequence[int]
    ) -> None:
        self._connection, self._shell = connection, shell
        self._files, self._processors = files, tuple(processors)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        """Run a program to its end, on the chosen processors; our folder is there.

        Raises:
            DeviceTimeoutError: It took longer than ``timeout_s``; it was killed.
            DeviceLostError: The board was lost, or restarted.
            DeviceError: It did not start: its processors are not those that were asked for, or there is no
                such variable.
        """
        mark, pid_file = self._names()
        words = self._words(mark, pid_file, argv, environment)
        try:
            done = self._connection.answer(
                _PROLOGUE + _RUN, *words, timeout_s=timeout_s, before_again=lambda: self._end(pid_file)
            )
        except DeviceError:
            with suppress(DeviceError):
                self._end(pid_file)
            raise
        return replace(done, stderr=self._own_words(done.stderr, mark))

    @contextmanager
    def converse(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Iterator[SshConversation]:
        """Start a program that reads what it is asked; leaving ends its input, and then the program.

        Raises:
            DeviceError: As of ``run``.
        """
        mark, pid_file = self._names()
        words = self._words(mark, pid_file, argv, environment)
        if not self._connection.is_alive():
            self._connection.reconnect()
        script = Script.of(_PROLOGUE + _CONVERSE, words)
        conversation = SshConversation(
            self._connection.start(script), self._connection, marks=(script.mark, mark)
        )
        try:
            before = conversation.started()
            self._own_words(before, mark)
            yield conversation
        finally:
            if not conversation.close():
                with suppress(DeviceError):
                    self._end(pid_file)

    def end_leftovers(self) -> None:
        """Kill what runs still although nobody waits for it any more.

        Raises:
            DeviceError: The board was lost.
        """
        self._shell.script('set -- "$1"-*.pid' + _END, self._files)

    def _end(self, pid_file: str) -> None:
        self._shell.script(_END, pid_file)

    def _names(self) -> tuple[str, str]:
        return secrets.token_hex(8), f"{self._files}-{secrets.token_hex(8)}.pid"

    def _words(
        self, mark: str, pid_file: str, argv: Sequence[str], environment: Mapping[str, str] | None
    ) -> list[str]:
        if not argv:
            raise DeviceError("there is no program to run; give its words")
        processors = (mask(self._processors), listed(self._processors))
        before = [self._shell.root, mark, pid_file, self._shell.boot_id or "", *processors]
        return [*before, *with_environment(environment), *argv]

    def _own_words(self, stderr: bytes, mark: str) -> bytes:
        """Return what a program itself wrote to its standard error, or raise why it did not start."""
        match = re.search(rb"(?:^|\n)%s ([^\n]*)\n" % mark.encode(), stderr)
        word = match[1].decode(errors="replace") if match else ""
        if match is not None and word == "starts":
            return stderr[match.end() :]
        raise self._refused(word, stderr[: match.start() if match else None])

    def _refused(self, reason: str, before: bytes) -> DeviceError:
        said = one_line("; ".join(before[:4096].decode(errors="replace").split("\n")).strip("; "), _LONGEST)
        told = f" ({said})" if said else ""
        if reason == "restarted":
            return DeviceLostError("the board restarted; connect again, what was measured before is kept")
        if reason == "no space":
            return DeviceError(f"{self._files}-* on the board cannot be written to{told}; free space there")
        return DeviceError(
            f"a program started for processors {listed(self._processors)} "
            f"{one_line(reason, 64) or 'did not start'}{told}; install util-linux there, or ask for other "
            "?cores="
        )
