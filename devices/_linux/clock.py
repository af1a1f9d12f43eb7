"""The clock of a board: held by the governor ``performance`` where we may choose it, and given back."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from devices._errors import DeviceError
from devices._linux.shell import Shell

logger = logging.getLogger(__name__)

#: Notes the boot $3, then each processor's governor, in the file $2, and chooses ``performance`` for each.
#: Fails before anything has changed where that may not be. Root is $1; the processors are $4 and on.
_FIX = """
cpus=$1/sys/devices/system/cpu file=$2 boot=$3; shift 3
[ ! -e "$file" ] || exit 1
for i do
  folder=$cpus/cpu$i/cpufreq
  [ -w "$folder/scaling_governor" ] || exit 1
  case " $(cat "$folder/scaling_available_governors") " in *" performance "*) ;; *) exit 1;; esac
done 2>/dev/null
{ echo "$boot"; for i do read -r now < "$cpus/cpu$i/cpufreq/scaling_governor"; echo "$i $now"; done
} > "$file" || { rm -f "$file"; exit 1; }
for i do echo performance > "$cpus/cpu$i/cpufreq/scaling_governor" || exit 2; done
"""

#: Gives the governors back that the file $2 names, if this is the boot in which it was written ($3).
_RELEASE = """
cpus=$1/sys/devices/system/cpu file=$2 boot=$3
[ -f "$file" ] || exit 0
{
  read -r then
  [ "$then" = "$boot" ] || { rm -f "$file"; exit 0; }
  while read -r i governor; do
    case "$i$governor" in ''|*[!0-9a-z_]*) continue;; esac
    echo "$governor" > "$cpus/cpu$i/cpufreq/scaling_governor" || failed=1
  done
} < "$file"
[ -z "$failed" ] && rm -f "$file"
"""


class Clock:
    """Holds a board's clock steady, where we may.

    Args:
        shell: The board's shell, asked once already.
        record: Path of the file that says what was changed; its folder is made by the caller.
        processors: Whose clock.

    Attributes:
        is_fixed: Whether it is held now.
    """

    def __init__(self, shell: Shell, *, record: str, processors: Sequence[int]) -> None:
        self.is_fixed = False
        self._shell, self._processors = shell, [str(i) for i in processors]
        self._words = (shell.root, record, shell.boot_id or "unknown")

    @contextmanager
    def fixed(self) -> Iterator[None]:
        """Hold the clock until left; if the board is lost meanwhile, the next connection releases it.

        Raises:
            DeviceError: The board was lost.
        """
        try:
            self.is_fixed = self._shell.script(_FIX, *self._words, *self._processors).exit_status == 0
            yield
        finally:
            self.is_fixed = False
            try:
                self.release()
            except DeviceError as error:
                # Whatever ended the measuring is the caller's news; it is usually the same.
                logger.warning("the board's governor is restored at the next connection: %s", error)

    def release(self) -> None:
        """Give the governors back, if we hold them, or a process that crashed did.

        Raises:
            DeviceError: The board was lost.
        """
        if self._shell.script(_RELEASE, *self._words).exit_status != 0:
            logger.warning("the board stays under the governor performance; restart it, or choose another")
