"""What every search space guarantees; a new one is tested by being a file of ``cars_hw/spaces``."""

import pytest

from cars_hw import spaces
from cars_hw.testing import SpaceContract


class TestEverySpace(SpaceContract):
    @pytest.fixture(autouse=True, params=spaces.names())
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param
