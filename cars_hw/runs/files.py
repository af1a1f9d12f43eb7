"""Files of a run folder: they appear whole, and never in a folder that is gone."""

from pathlib import Path

from cars_hw.errors import CheckpointError
from devices.foundation import replace_file, sync_folder


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to a file of a run folder; a kill leaves the old or the new content.

    Raises:
        CheckpointError: The disk refuses, or the folder is gone.
    """
    try:
        path.parent.stat()  # a run that was there, and is not any more, is not made again
        replace_file(path, text.encode())
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}; choose another folder") from error


def make_folder(folder: Path) -> None:
    """Make a folder of a run, which is there itself.

    Raises:
        CheckpointError: The disk refuses.
    """
    try:
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise CheckpointError(f"cannot write to {folder}: {error.strerror}; choose another folder") from error
