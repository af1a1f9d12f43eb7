"""Files that networks are exported to: one file per format."""

from pathlib import Path

from devices.foundation import UnknownNameError, load_plugin, plugin_names
from profilers.formats._batches import Array, Images
from profilers.formats._format import FileFormat, InputDtype
from profilers.lowering.description import Description

__all__ = [
    "DEFAULT",
    "Array",
    "Description",
    "FileFormat",
    "Images",
    "InputDtype",
    "load",
    "names",
    "names_with_int8",
    "of_file",
    "runtimes",
]

#: The format of files where the user names none.
DEFAULT = "onnx"


def load(name: str) -> FileFormat:
    """Return the format ``name``.

    Raises:
        UnknownNameError: There is no such format.
    """
    return load_plugin("profilers.formats", name, FileFormat, what="file format")()


def names() -> tuple[str, ...]:
    """List the formats of this project."""
    return plugin_names("profilers.formats")


def names_with_int8() -> tuple[str, ...]:
    """List the formats of this project that are also written with 8-bit integers."""
    return tuple(name for name in names() if load(name).has_int8)


def runtimes() -> frozenset[str]:
    """Return the names of the runtimes that run the formats of this project where the user names none."""
    return frozenset(load(name).runtime for name in names())


def of_file(path: Path) -> FileFormat:
    """Return the format of this project that the suffix of ``path`` means.

    Raises:
        UnknownNameError: None of them has that suffix.
    """
    by_suffix = {made_by.suffix: made_by for made_by in map(load, names())}
    if path.suffix not in by_suffix:
        raise UnknownNameError("suffix of a model file", path.suffix, by_suffix)
    return by_suffix[path.suffix]
