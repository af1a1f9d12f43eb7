"""What every space's operations become in TFLite."""

import pytest

from cars_hw import spaces
from cars_hw.testing import SpaceInTfLiteContract


class TestEverySpaceInTfLite(SpaceInTfLiteContract):
    @pytest.fixture(autouse=True, params=spaces.names())
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param
