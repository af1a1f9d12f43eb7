"""Images of one's own in class folders: JPEG, PNG, WebP and BMP of any size and kind.

``PATH/CLASS/...``, or ``PATH/train/CLASS/...`` with ``val`` or ``test`` beside it, as ImageNet has it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cars_hw.data._check import Check
from cars_hw.data._image_set import ImageSet
from cars_hw.data._resize import ResizeRule
from cars_hw.data._stored.class_folders import ImageFile, Listing, identity, listed, read_content
from cars_hw.data._stored.decoding import Load
from cars_hw.data._stored.reading import (
    Contents,
    Look,
    Part,
    StoredDataSet,
    StoredSettings,
    first_of,
    read_part,
)
from cars_hw.errors import DataError
from devices.foundation import printable


class Folder(StoredDataSet):
    """Images in folders that are named after their classes."""

    settings: StoredSettings

    def read_by(self, rule: ResizeRule | None) -> ImageSet:
        listing = self._listing()
        return self._decoded(rule, listing, listing.training)

    def read_test_by(self, rule: ResizeRule | None) -> ImageSet | None:
        listing = self._listing()
        return None if listing.test is None else self._decoded(rule, listing, listing.test)

    def looked_at(self, look: Look) -> Check:
        listing = listed(self._root())
        found = {"training": listing.training, "test": listing.test or []}
        known = set(listing.class_names)
        parts = {
            role: (self._part(listing, usable), _Files(listing.root, usable))
            for role, files in found.items()
            if (usable := [file for file in files if file.label in known])
        }
        checked = look.at(self, self.settings.channels, parts)
        problems = (*listing.problems, *checked.problems)
        return replace(checked, skipped=tuple(listing.skipped), problems=problems)

    def _root(self) -> Path:
        if self.path is None:
            raise DataError(
                "folder is read from files of your own; set data.path to a folder of class folders"
            )
        return self.path

    def _listing(self) -> Listing:
        listing = listed(self._root())
        if listing.problems:
            raise DataError(f"{self.name} would lose images: {first_of(tuple(listing.problems))}")
        if not listing.training:
            raise DataError(
                f"{listing.root} holds no images in class folders; set data.path to a folder with "
                "CLASS/*.jpg or train/CLASS/*.jpg"
            )
        return listing

    def _part(self, listing: Listing, files: Sequence[ImageFile]) -> Part:
        numbers = {label: i for i, label in enumerate(listing.class_names)}
        labels = np.array([numbers[file.label] for file in files], np.int64)
        return Part(labels, listing.class_names, f"a folder, {len(files)} images")

    def _decoded(self, rule: ResizeRule | None, listing: Listing, files: Sequence[ImageFile]) -> ImageSet:
        return read_part(self, self.settings, rule, self._part(listing, files), _Files(listing.root, files))


class _Files(Contents):
    """Files below a folder."""

    def __init__(self, root: Path, files: Sequence[ImageFile]) -> None:
        self._root, self._names = root, [file.name for file in files]

    def loads(self) -> Iterator[Load]:
        for name in self._names:
            yield partial(read_content, self._root / name)

    def name(self, number: int) -> str:
        return printable(self._names[number])

    def identity(self) -> Iterator[bytes]:
        yield from identity(self._root, self._names, now_ns=time.time_ns())
