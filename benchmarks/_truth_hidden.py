"""Processes that cannot read what a search must not know: published accuracies, and what was found before.

The folders are covered by empty ones in a mount namespace of the process's own, which it and its children see
alone (Linux with user namespaces, or root). Whoever searches asks first whether they really are.
"""

import csv
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from _jobs import stopped_by_signals

#: Covers each folder before ``--`` by an empty one, then becomes the command after it.
_COVER = """
while [ "$1" != "--" ]; do mount -t tmpfs -o size=1m none "$1" || exit 97; shift; done
shift
exec "$@"
"""
_CANNOT = 97


class ReadableError(Exception):
    """Something can be read that a search must not know."""


def run_without(folders: Sequence[Path], command: Sequence[str]) -> int:
    """Run ``command`` in a process to which all ``folders`` are empty; return its exit status.

    SIGINT and SIGTERM are passed on to it, as SIGTERM.

    Raises:
        ReadableError: This machine cannot hide them.
    """
    there = [str(folder.resolve()) for folder in folders if folder.is_dir()]
    unshare = shutil.which("unshare")
    if unshare is None:
        raise ReadableError("published accuracy cannot be hidden from a search: there is no unshare here")
    hidden = ["--user", "--map-root-user", "--mount", "--propagation", "private"]
    shell = ["sh", "-c", _COVER, "sh", *there, "--", *command]
    process = subprocess.Popen([unshare, *hidden, *shell])  # which becomes the command
    with stopped_by_signals(process.terminate):
        status = process.wait()
    if status == _CANNOT:
        raise ReadableError(
            "published accuracy cannot be hidden from a search: this machine permits no mount namespaces; "
            "run as root, or on a kernel that permits them"
        )
    return status


def require_hidden(folders: Sequence[Path], extract: Path) -> None:
    """Refuse to search where something could be read that must not be.

    Args:
        folders: That have to be empty, or absent.
        extract: The folder of what may be known; its files must name no accuracy.

    Raises:
        ReadableError: It could.
    """
    for folder in folders:
        if folder.is_dir() and any(folder.iterdir()):
            raise ReadableError(f"{folder} can be read by the search; hide it, or it proves nothing")
    for path in sorted(extract.glob("*.csv")):
        with path.open(newline="") as file:
            header = next(csv.reader(file), [])
        if header != ["architecture", "latency_ms"]:
            raise ReadableError(f"{path} tells more than latencies: {', '.join(header)[:80]}")
