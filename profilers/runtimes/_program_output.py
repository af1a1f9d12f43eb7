"""What a program on a remote device has written: not trusted, and summed up in one line."""

import hashlib
import re
from collections.abc import Callable
from typing import TypeVar

from devices import Completed, RemoteDevice
from devices.foundation import one_line
from profilers.errors import GarbledOutputError

#: Exit statuses of a shell for a program that it cannot find or start.
NOT_STARTED = (126, 127)

#: What a program or its system prints when it dies; not every exit status arrives.
CRASHED = re.compile(
    r"Segmentation fault|Fatal signal|Aborted|terminate called|Bus error|Illegal instruction|^FATAL",
    re.MULTILINE,
)
_ERROR_LINE = re.compile(r"^(?:ERROR|FATAL|error)\b.*$", re.MULTILINE)

_LIMIT_S = 30.0

Result = TypeVar("Result")


def output_text(completed: Completed) -> str:
    """Return all that a program printed, whatever bytes those were."""
    return (completed.stdout + b"\n" + completed.stderr).decode("utf-8", errors="replace")


def complaint(text: str) -> str:
    """Return the line of ``text`` that names best what went wrong, short and printable."""
    found = _ERROR_LINE.search(text) or CRASHED.search(text)
    return one_line(found[0] if found else text.strip().rpartition("\n")[2], 160) or "it printed nothing"


def retried(run: Callable[[], Result]) -> Result:
    """Return what ``run`` returns, with a second try where the first gave what cannot be trusted.

    A byte that a cable dropped is no fact about an operation.
    """
    try:
        return run()
    except GarbledOutputError:
        return run()


def require_sha256(device: RemoteDevice, path: str, content: bytes) -> None:
    """Check that ``content`` is what the file ``path`` holds on ``device``.

    Raises:
        GarbledOutputError: It is not.
    """
    answer = device.run(["sha256sum", path], timeout_s=_LIMIT_S).stdout.decode("ascii", errors="replace")
    if answer.split(maxsplit=1)[:1] != [hashlib.sha256(content).hexdigest()]:
        raise GarbledOutputError("a result changed on its way from the device; run it again")
