"""Files that appear whole or not at all, and outlive a crash; and where those lie that can be made again."""

import io
import os
import secrets
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, making its folder; a kill or a crash leaves the old or the new content.

    Several processes may do so at once: whoever reads finds what one of them wrote, whole.

    Raises:
        OSError: The disk refuses; the old content stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each call: two writers of one temporary would give the file a mixture.
    temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(8)}.tmp")
    try:
        with io.FileIO(temporary, "x") as file:
            write_durably(file, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_durably(file: io.FileIO, content: bytes) -> None:
    """Write all of ``content`` to ``file``, and bring it to the disk.

    Raises:
        OSError: The disk refuses.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring the names in ``folder`` to the disk, so that what was created or renamed there stays so.

    Raises:
        OSError: The disk refuses.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_folder() -> Path:
    """Return where files lie that can be made again: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cars_hw"
