"""Scripts for a board's ``sh``: the one place where words become a command, and how its end is told.

A server gives what it is sent to the user's own shell, be it bash, fish or tcsh, whose rules of quoting
differ. So what is sent holds nothing that any of them takes for its own: letters, digits, and backslashes
between single quotes. The board's ``sh`` takes that back to the text that we mean.

Marks stand before and after what a script prints, for a start-up file may print too, and ssh gives 255 for a
status of 255, for a program that a signal ended, and for a connection that broke.
"""

import re
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from devices._device import Completed
from devices._errors import DeviceError

#: Linux takes no longer word of a command line.
_MAX_BYTES = 128 * 1024 - 256

_FRAMED = r"""
set -- {words}
echo; echo {mark}; {{ echo; echo {mark} starts; }} >&2
({script})
printf '\n%s ended %s\n' {mark} "$?" >&2
"""

_OWN_LINE = re.compile(rb"[0-9a-f]{16}( starts| ended [0-9]{1,3})?")


@dataclass(frozen=True)
class Script:
    """A script with its words, and the mark that stands around what it prints.

    Attributes:
        text: What a board's ``sh`` runs.
        mark: Random, so that nothing else prints it.
    """

    text: bytes
    mark: str

    @classmethod
    def of(cls, text: str, words: Sequence[str] = ()) -> "Script":
        """Return the script ``text``, which finds ``words`` in ``$1`` and so on, framed.

        Raises:
            DeviceError: A word holds a NUL, which no program can be given.
        """
        if any("\0" in word for word in words):
            raise DeviceError("a command line cannot hold a NUL character; leave it out")
        mark = secrets.token_hex(8)
        framed = _FRAMED.format(words=shlex.join(words), mark=mark, script=text)
        return cls(framed.encode(errors="surrogateescape"), mark)

    def command_line(self) -> str:
        """Return the line by which any shell runs it, and then ends all that is left of its process group.

        Raises:
            DeviceError: The line would be too long.
        """
        text = self.text + b'kill -9 "-$$" 2>/dev/null\n'
        escaped = re.sub(rb"[^A-Za-z]", lambda match: b"\\%03o" % match[0][0], text).decode()
        line = f"exec sh -c 'eval \"$(printf \"$1\")\"' sh '{escaped}'"
        if len(line) > _MAX_BYTES:
            raise DeviceError(
                f"a command of {len(self.text)} bytes is longer than a board takes; push what is long as "
                "a file"
            )
        return line

    def request(self) -> bytes:
        """Return the line that an ``sh`` runs which reads lines, and gives each to ``printf``."""
        text = self.text + f"echo; echo {self.mark}".encode()
        escaped = text.replace(b"\\", b"\\\\").replace(b"%", b"%%").replace(b"\n", b"\\n")
        return escaped + b"\n"

    def before_output(self) -> bytes:
        """Return what stands before its output."""
        return f"\n{self.mark}\n".encode()

    def before_errors(self) -> bytes:
        """Return what stands before what it writes to standard error."""
        return f"\n{self.mark} starts\n".encode()

    def has_ended(self, output: bytes | bytearray, errors: bytes | bytearray) -> bool:
        """Tell whether all that it prints as a request is there."""
        mark = self.before_output()
        has_output = output.endswith(mark) and output.find(mark) < output.rfind(mark)
        return has_output and f"\n{self.mark} ended ".encode() in errors and errors.endswith(b"\n")

    def completed(self, output: bytes, errors: bytes) -> Completed | None:
        """Return what it printed, and its status; ``None`` where it has not ended.

        Args:
            output: Without what marks the end of a request's.
            errors: All of it.
        """
        ended = re.search(rb"\n%s ended ([0-9]{1,3})\n\Z" % self.mark.encode(), errors)
        starts, first = errors.find(self.before_errors()), output.find(self.before_output())
        if ended is None or starts < 0 or first < 0:
            return None
        stdout = output[first + len(self.before_output()) :]
        return Completed(stdout, errors[starts + len(self.before_errors()) : ended.start()], int(ended[1]))


def without_marks(said: bytes) -> bytes:
    """Return the lines of ``said`` that we have not written ourselves."""
    return b"\n".join(line for line in said.splitlines() if not _OWN_LINE.fullmatch(line))
