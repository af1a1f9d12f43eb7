"""What every data set promises; a new one is tested by being a file of ``cars_hw/data``."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from cars_hw import data
from cars_hw.data import ResizeRule
from cars_hw.testing import DataSetContract
from tests.fakes.image_files import image_file, two_classes


class TestEveryDataSet(DataSetContract):
    @pytest.fixture(autouse=True, params=data.names())
    def _choose(self, request: pytest.FixtureRequest, tmp_path: Path, own_cache: Path) -> None:
        self.name, self.folder = request.param, tmp_path
        if self.name == "parquet":
            pytest.importorskip("pyarrow", reason="pyarrow is not installed; the extra parquet brings it")
        if self.name in _WRITERS:
            _WRITERS[self.name](tmp_path)

    def path(self) -> Path | None:
        return self.folder if self.name in _WRITERS else None

    def rule(self) -> ResizeRule | None:
        return ResizeRule(mode="fit", height=9, width=9) if self.name in ("folder", "parquet") else None


class TestADataSetFromOutside(DataSetContract):
    name = "tests.fakes.stripes"

    def settings(self) -> dict[str, object]:
        return {"width": 2}


def _write_cifar10(folder: Path) -> None:
    """Write images as CIFAR-10 has them: in each of six files, records of a label and 3072 pixels."""
    for i, name in enumerate([*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]):
        (folder / name).write_bytes(_records(12, label_bytes=1, first=12 * i, classes=10))


def _write_cifar100(folder: Path) -> None:
    """Write images as CIFAR-100 has them: each has a coarse label as well."""
    (folder / "train.bin").write_bytes(_records(400, label_bytes=2, first=0, classes=100))
    (folder / "test.bin").write_bytes(_records(200, label_bytes=2, first=0, classes=100))


def _write_folder(folder: Path) -> None:
    two_classes(folder)


def _write_parquet(folder: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    images = [{"bytes": image_file(i, size=(8 + i % 3, 10)), "path": None} for i in range(12)]
    parquet.write_table(pyarrow.table({"image": images, "label": [0, 1] * 6}), folder / "a.parquet")


def _records(n: int, *, label_bytes: int, first: int, classes: int) -> bytes:
    records = np.random.default_rng(first).integers(0, 256, size=(n, label_bytes + 3072), dtype=np.uint8)
    records[:, label_bytes - 1] = np.arange(first, first + n) % classes
    return records.tobytes()


_WRITERS: Mapping[str, Callable[[Path], None]] = {
    "cifar10": _write_cifar10,
    "cifar100": _write_cifar100,
    "folder": _write_folder,
    "parquet": _write_parquet,
}
