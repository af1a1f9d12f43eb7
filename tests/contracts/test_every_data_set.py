"""What every data set promises; a new one is tested by being a file of ``cars_hw/data``."""

from pathlib import Path

import numpy as np
import pytest

from cars_hw import data
from cars_hw.testing import DataSetContract


class TestEveryDataSet(DataSetContract):
    @pytest.fixture(autouse=True, params=data.names())
    def _choose(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        self.name, self.folder = request.param, tmp_path

    def path(self) -> Path | None:
        return written(self.folder) if self.name == "cifar10" else None


class TestADataSetFromOutside(DataSetContract):
    name = "tests.fakes.stripes"

    def settings(self) -> dict[str, object]:
        return {"width": 2}


def written(folder: Path) -> Path:
    """Write 60 images as CIFAR-10 has them: in each of five files, records of a label and 3072 pixels."""
    rng = np.random.default_rng(0)
    for i in range(1, 6):
        records = rng.integers(0, 256, size=(12, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(12 * i, 12 * i + 12) % 10
        (folder / f"data_batch_{i}.bin").write_bytes(records.tobytes())
    return folder
