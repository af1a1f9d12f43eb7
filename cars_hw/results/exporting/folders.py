"""The folder of files that take a while to make, and the names that are free in it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cars_hw.results.exporting.example import example_path
from cars_hw.results.model_card import card_path
from profilers import ExportError


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make the folder of files that take a while to make; where none is made in the end, leave no folder.

    Raises:
        ExportError: The disk refuses a folder, or files in it.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        make_folder(folder)
        yield
    except BaseException:
        for one in missing:  # the innermost first
            try:
                one.rmdir()
            except OSError:
                break  # it holds something, or was never made
        raise


def make_folder(folder: Path) -> None:
    """Make the folder of files that will take a while to make.

    Raises:
        ExportError: The disk refuses a folder, or files in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ExportError(f"cannot write to {folder}: {error.strerror}; choose another folder") from error


def require_files_possible(*paths: Path) -> None:
    """Refuse files whose name, or the name of whose card or example, is taken by a folder.

    Raises:
        ExportError: It is.
    """
    for one in (*paths, *map(card_path, paths), *map(example_path, paths)):
        if os.path.isdir(one):
            raise ExportError(f"cannot write {one}: it is a folder; choose another folder for the files")
