"""What every strategy has to do; a new one is tested by being a file of ``cars_hw/strategies``."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from cars_hw import strategies
from cars_hw.testing import StrategyContract
from devices.foundation import UnknownNameError


class TestEveryStrategy(StrategyContract):
    small: ClassVar[Mapping[str, object]] = {"population_size": 6}

    @pytest.fixture(autouse=True, params=strategies.names())
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def test_its_population_has_a_size(self) -> None:
        with pytest.raises(UnknownNameError) as caught:
            strategies.check(self.name, {"colour": "red"})
        assert "population_size" in caught.value.known

    @pytest.mark.slow
    def test_a_run_killed_at_any_safe_point_ends_like_one_that_was_not(self, tmp_path: Path) -> None:
        points = itertools.takewhile(lambda n: self.check_killed_at(n, tmp_path / str(n)), itertools.count(1))
        assert len(list(points)) > 34
