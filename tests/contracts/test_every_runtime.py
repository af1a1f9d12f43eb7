"""What every runtime promises, on the first device here that it can use; two of them on a board too."""

import sys
from pathlib import Path

import pytest

from cars_hw.testing import RuntimeContract
from devices import Device
from devices.foundation import UnknownNameError
from profilers import runtimes
from tests.fakes.local_board import LocalBoard


class TestEveryRuntime(RuntimeContract):
    @pytest.fixture(autouse=True, params=runtimes.names())
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="boards run Linux")
class TestEveryRuntimeOfBoards(RuntimeContract):
    @pytest.fixture(autouse=True, params=["onnxruntime", "tflite"])
    def _choose(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        self.name, self.folder = request.param, tmp_path

    def device(self) -> Device:
        return LocalBoard(self.folder)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown runtime 'onnxruntme'; did you mean 'onnxruntime'"):
        runtimes.load("onnxruntme")
