"""Temporary files: what is to replace a file is first written beside it, under a name that says by whom.

A killed process leaves what it was writing. Whoever owns the folder, or a file in it, removes what dead
processes left; by the rules of owner files (see ``owners``): only where the process is known to be dead, and
never because of its age.
"""

import hashlib
import io
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from devices.foundation.files import sync_folder, write_durably
from devices.foundation.owners import Owner

_NAME = re.compile(
    r"\.cars-hw-(?P<place>[0-9a-f]{12})-(?P<boot>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-(?P<started>[0-9]{0,20})"
    r"-[0-9a-f]{16}\.tmp"
)


def replace_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, making its folder; a kill or a crash leaves the old or the new content.

    Several processes may do so at once: whoever reads finds what one of them wrote, whole.

    Raises:
        OSError: The disk refuses; the old content stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_in(path.parent)
    try:
        with io.FileIO(temporary, "x") as file:
            write_durably(file, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def temporary_in(folder: Path, by: Owner | None = None) -> Path:
    """Return a path in ``folder`` that nobody has: another at each call, for two writers of one would mix.

    Its name tells who writes it, and is short, whatever the name of the file that it is for.

    Args:
        folder: Where it is to be.
        by: Who writes it; this process if not given.
    """
    by = by or Owner.this_process()
    process = f"{_place(by)}-{_boot(by)}-{by.pid}-{by.started}"
    return folder / f".cars-hw-{process}-{secrets.token_hex(8)}.tmp"


def remove_stale(folder: Path, *, deep: bool = False) -> None:
    """Remove the temporary files and folders that dead processes left; what the disk refuses stays.

    Args:
        folder: Where to look.
        deep: Whether the folders below are looked through too.
    """
    here = Owner.this_process()
    for path in list(_temporaries(folder, deep=deep)):
        if _is_dead(path.name, here):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


def _temporaries(folder: Path, *, deep: bool) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files) if _NAME.fullmatch(name))
        if not deep:
            return


def _is_dead(name: str, here: Owner) -> bool:
    """Tell whether the process that a temporary's name tells of is known to have ended."""
    found = _NAME.fullmatch(name)
    if found is None or found["place"] != _place(here):
        return False
    if found["boot"] != _boot(here):
        return bool(here.boot) and found["boot"] != _boot(replace(here, boot=""))
    with suppress(OverflowError):
        return replace(here, pid=int(found["pid"]), started=found["started"]).is_dead() is True
    return False


def _place(owner: Owner) -> str:
    """Return where numbers of processes mean the same: the machine and its namespace."""
    return hashlib.sha256("\n".join((owner.host, owner.machine, owner.namespace)).encode()).hexdigest()[:12]


def _boot(owner: Owner) -> str:
    return hashlib.sha256(owner.boot.encode()).hexdigest()[:8]
