"""What every objective promises; a new one is tested by being a file of ``cars_hw/objectives``."""

import pytest

from cars_hw import objectives
from cars_hw.testing import ObjectiveContract


class TestEveryObjective(ObjectiveContract):
    @pytest.fixture(autouse=True, params=objectives.names())
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def test_it_is_named_after_its_file(self) -> None:
        assert objectives.find(self.name)[0].name == self.name


class TestAnObjectiveFromOutside(ObjectiveContract):
    name = "tests.fakes.nodes_n"
