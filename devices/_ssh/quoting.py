"""The one place where words become a command line of a board.

A server gives what it is sent to the user's own shell, be it bash, fish or tcsh, whose rules of quoting
differ. So what is sent holds nothing that any of them takes for its own: letters, digits, and backslashes
between single quotes. The board's ``sh`` takes that back to the text that we mean.
"""

import re
import shlex
from collections.abc import Sequence

from devices._errors import DeviceError

#: Linux takes no longer word of a command line.
_MAX_BYTES = 128 * 1024 - 256

#: Writes marks before and after what a script prints: a start-up file may print too, and ssh gives 255 for a
#: status of 255, for a program that a signal ended, and for a connection that broke.
_FRAMED = r"""
set -- {words}
echo; echo {mark}; {{ echo; echo {mark} starts; }} >&2
({script})
printf '\n%s ended %s\n' {mark} "$?" >&2
"""


def command_line(script: str, words: Sequence[str], mark: str) -> str:
    """Return the line by which a board's ``sh`` runs ``script``, which finds ``words`` in ``$1`` and so on.

    Raises:
        DeviceError: A word holds a NUL, which no program can be given, or the line would be too long.
    """
    if any("\0" in word for word in words):
        raise DeviceError("a command line cannot hold a NUL character; leave it out")
    text = _FRAMED.format(words=shlex.join(words), mark=mark, script=script).encode()
    line = f"exec sh -c 'eval \"$(printf \"$1\")\"' sh '{_escaped(text)}'"
    if len(line) > _MAX_BYTES:
        raise DeviceError(
            f"a command line of {len(text)} bytes is longer than a board takes; push what is long as a file"
        )
    return line


def _escaped(text: bytes) -> str:
    """Return ``text`` as ``printf`` reads it, with all but letters as octal numbers."""
    return re.sub(rb"[^A-Za-z]", lambda match: b"\\%03o" % match[0][0], text).decode()
