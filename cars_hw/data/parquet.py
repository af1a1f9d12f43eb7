"""Images of one's own in Parquet files: a column of image files, as bytes or as paths, and one of labels.

As the datasets of Hugging Face have them: a structure of ``bytes`` and ``path``, names of classes in the
schema, and files or folders that are named after their part, ``train-00000-of-00002.parquet``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from cars_hw.data._check import Check
from cars_hw.data._image_set import ImageSet
from cars_hw.data._resize import ResizeRule
from cars_hw.data._stored.parquet_rows import Rows
from cars_hw.data._stored.reading import Look, Part, StoredDataSet, StoredSettings, read_part
from cars_hw.errors import DataError

_TEST = re.compile(r"(?:^|[/_.-])(?:test|testing)(?=[/_.-])", re.IGNORECASE)
_VALIDATION = re.compile(r"(?:^|[/_.-])(?:val|valid|validation)(?=[/_.-])", re.IGNORECASE)


class ParquetSettings(StoredSettings):
    """Settings of images in Parquet files.

    Attributes:
        image_column: Of image files, as bytes, as paths below the Parquet file's folder, or as a structure of
            ``bytes`` and ``path``.
        label_column: Of labels: whole numbers from 0 on, or names.
    """

    image_column: str = "image"
    label_column: str = "label"


class Parquet(StoredDataSet):
    """Rows of an image and a label."""

    settings: ParquetSettings

    def read_by(self, rule: ResizeRule | None) -> ImageSet:
        rows = self._rows()
        return self._decoded(rule, rows["training"], rows["training"].class_names)

    def read_test_by(self, rule: ResizeRule | None) -> ImageSet | None:
        rows = self._rows()
        return self._decoded(rule, rows["test"], rows["training"].class_names) if "test" in rows else None

    def looked_at(self, look: Look) -> Check:
        rows = self._rows()
        names = rows["training"].class_names
        parts = {role: (_part(one, names), one) for role, one in rows.items()}
        return look.at(self, self.settings.channels, parts)

    def _decoded(self, rule: ResizeRule | None, rows: Rows, names: tuple[str, ...]) -> ImageSet:
        return read_part(self, self.settings, rule, _part(rows, names), rows)

    def _rows(self) -> dict[str, Rows]:
        """Return the rows to train and search on, and those to test on, if they are told apart."""
        columns = (self.settings.image_column, self.settings.label_column)
        return {role: Rows(files, *columns) for role, files in self._files().items() if files}

    def _files(self) -> dict[str, list[Path]]:
        """Return the files of each part, in the order of their names.

        As in folders of classes: where there is a part for tests, that for validation is searched on.
        """
        if self.path is None:
            raise DataError(
                "parquet is read from files of your own; set data.path to a file or a folder of them"
            )
        if not self.path.is_dir():
            return {"training": [self.path]}
        found = sorted(_below(self.path))
        if not found:
            raise DataError(
                f"{self.path} holds no file *.parquet; set data.path to one, or to a folder of them"
            )
        names = {path: f"/{path.relative_to(self.path).as_posix()}" for path in found}
        tests = [path for path in found if _TEST.search(names[path])]
        tests = tests or [path for path in found if _VALIDATION.search(names[path])]
        training = [path for path in found if path not in tests]
        if not training:
            raise DataError(
                f"{self.path} holds Parquet files for tests alone; set data.path to one to train on it"
            )
        return {"training": training, "test": tests}


def _below(folder: Path) -> Iterator[Path]:
    """Yield the Parquet files below ``folder``, hidden ones left out."""
    for path in folder.rglob("*"):
        if path.suffix.lower() == ".parquet" and not any(
            part.startswith(".") for part in path.relative_to(folder).parts
        ):
            yield path


def _part(rows: Rows, names: tuple[str, ...]) -> Part:
    labels = rows.labels(names)
    return Part(labels, names, f"Parquet files, {len(labels)} images")
