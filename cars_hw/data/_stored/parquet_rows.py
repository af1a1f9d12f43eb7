"""Rows of Parquet files: a column of image files, and one of labels. Needs pyarrow."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from cars_hw.data._image_set import Labels
from cars_hw.data._stored.class_folders import identity, read_content
from cars_hw.data._stored.decoding import Load
from cars_hw.data._stored.reading import Contents
from cars_hw.errors import DataError
from devices.foundation import first_line, one_line, open_regular, printable

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_ROWS_AT_ONCE = 256
#: What the datasets of Hugging Face add to a schema.
_FEATURES = b"huggingface"


class Rows(Contents):
    """The rows of files that have the same columns.

    Args:
        files: The files.
        image_column: Of bytes, of paths, or of a structure of ``bytes`` and ``path``.
        label_column: Of whole numbers or of names.

    Raises:
        DataError: pyarrow is not installed, or a file cannot be read.
    """

    def __init__(self, files: Sequence[Path], image_column: str, label_column: str) -> None:
        self._files, self._image, self._label = files, image_column, label_column

    def loads(self) -> Iterator[Load]:
        for path in self._files:
            for value in _values(path, self._image):
                yield partial(_content, value, path.parent)

    def name(self, number: int) -> str:
        for path, labels in zip(self._files, self._labels, strict=True):
            if number < len(labels):
                return f"{printable(path.name)}, row {number}"
            number -= len(labels)
        raise IndexError(number)

    def identity(self) -> Iterator[bytes]:
        yield f"{self._image}\0{self._label}\0".encode()
        for path in self._files:
            names = [path.name, *_paths(path, self._image)]
            yield from identity(path.parent, names, now_ns=time.time_ns())

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes: those that the schema names, else those that the labels are, in their order.

        Raises:
            DataError: A label is missing, negative, or of another type.
        """
        found = {label for labels in self._labels for label in labels}
        if all(isinstance(label, int) for label in found):
            return self._schema_names or tuple(map(str, sorted(found)))
        return tuple(sorted(map(str, found)))

    def labels(self, class_names: Sequence[str]) -> Labels:
        """Return the label of each row as an index into ``class_names``, (n,).

        Raises:
            DataError: One is none of these.
        """
        numbers = {name: i for i, name in enumerate(class_names)}
        found = [self._name_of(label) for labels in self._labels for label in labels]
        for i, name in enumerate(found):
            if name not in numbers:
                raise DataError(f"{self.name(i)}: its label {name!r:.64} is none of the classes")
        return np.array([numbers[name] for name in found], np.int64)

    def _name_of(self, label: int | str) -> str:
        if isinstance(label, int) and label < len(self._schema_names):
            return self._schema_names[label]
        return str(label)

    @cached_property
    def _schema_names(self) -> tuple[str, ...]:
        with _opened(self._files[0]) as file:
            return _names_in((file.schema_arrow.metadata or {}).get(_FEATURES, b"{}"), self._label)

    @cached_property
    def _labels(self) -> list[list[int] | list[str]]:
        """The labels of each file."""
        return [_checked_labels(path, list(_values(path, self._label))) for path in self._files]


def _values(path: Path, column: str) -> Iterator[Any]:
    """Yield the values of a column.

    Raises:
        DataError: There is no such column, or the file cannot be read.
    """
    with _opened(path) as file:
        if column not in file.schema_arrow.names:
            known = ", ".join(map(printable, file.schema_arrow.names))
            raise DataError(
                f"{path} has no column {column}; set data.image_column and data.label_column to two "
                f"of: {known:.200}"
            )
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[column]):
            yield from batch.column(0).to_pylist()


def _paths(path: Path, column: str) -> Iterator[str]:
    """Yield the paths of the images that lie in files of their own."""
    with _opened(path) as file:
        metadata = file.metadata
        chunks = [
            metadata.row_group(i).column(k)
            for i in range(metadata.num_row_groups)
            for k in range(metadata.num_columns)
        ]
        parts = [chunk for chunk in chunks if chunk.path_in_schema in (column, f"{column}.bytes")]
        is_text = any("String" in str(chunk.statistics and chunk.statistics.logical_type) for chunk in parts)
        holds_all = all(chunk.statistics is not None and chunk.statistics.null_count == 0 for chunk in parts)
    if holds_all and not is_text:
        return
    for value in _values(path, column):
        name = _path_in(value)
        if name is not None and _is_below(name):
            yield name


def _content(value: object, folder: Path) -> bytes:
    """Return the image file of a row.

    Raises:
        ValueError: There is none, or it would not lie below ``folder``.
        OSError: It cannot be read.
    """
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        value = value["bytes"]
    if isinstance(value, bytes):
        return value
    name = _path_in(value)
    if name is None:
        raise ValueError("its row holds no image")
    if not _is_below(name):
        raise ValueError(f"its path {one_line(name)} leads out of the folder of the Parquet file")
    return read_content(folder / name)


def _path_in(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("path") if value.get("bytes") is None else None
    return value if isinstance(value, str) else None


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _checked_labels(path: Path, values: list[Any]) -> list[int] | list[str]:
    """Return labels that are all whole numbers from 0 on, or all names.

    Raises:
        DataError: They are not.
    """
    for i, value in enumerate(values):
        where = f"{printable(path.name)}, row {i}"
        if value is None:
            raise DataError(f"{where} has no label; leave such rows out")
        if isinstance(value, str):
            if not value.isprintable() or not value:
                raise DataError(f"{where} has a label that cannot be printed: {value!r:.64}")
        elif not isinstance(value, int):
            raise DataError(f"{where} has the label {value!r:.64}; give whole numbers from 0 on, or names")
        elif value < 0:
            raise DataError(
                f"{where} has the label {value}, which mostly stands for none; leave such rows out"
            )
    if len({isinstance(value, str) for value in values}) > 1:
        raise DataError(f"{path} has labels of several types; give whole numbers from 0 on, or names")
    return values


def _names_in(features: bytes, column: str) -> tuple[str, ...]:
    """Return the names of the labels that a schema of Hugging Face's ``datasets`` has."""
    try:
        names = json.loads(features)["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError):
        return ()
    is_usable = isinstance(names, list) and all(
        isinstance(name, str) and name.isprintable() for name in names
    )
    return tuple(names) if is_usable and len(set(names)) == len(names) else ()


@contextmanager
def _opened(path: Path) -> "Iterator[ParquetFile]":
    """Open a file; whatever is wrong with it while it is open is one line.

    Raises:
        DataError: pyarrow is not installed, or the file cannot be read.
    """
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise DataError(
            "Parquet files are read by pyarrow; install it: pip install 'cars-hw[parquet]'"
        ) from error
    try:
        with open_regular(path) as raw, ParquetFile(raw) as file:
            yield file
    except (OSError, pyarrow.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise DataError(f"cannot read {printable(str(path))}: {one_line(reason)}") from error
