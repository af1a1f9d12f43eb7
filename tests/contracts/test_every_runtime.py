"""What every runtime promises, on the first device here that it can use."""

import pytest

from cars_hw.testing import RuntimeContract
from devices.foundation import UnknownNameError
from profilers import runtimes


class TestEveryRuntime(RuntimeContract):
    @pytest.fixture(autouse=True, params=runtimes.names())
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown runtime 'onnxruntme'; did you mean 'onnxruntime'"):
        runtimes.load("onnxruntme")
