"""What every strategy has to do; a new one is tested by being a file of ``cars_hw/strategies``."""

import pytest

from cars_hw import strategies
from cars_hw.testing import StrategyContract
from devices.foundation import UnknownNameError


class TestEveryStrategy(StrategyContract):
    @pytest.fixture(autouse=True, params=strategies.names())
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def test_its_population_has_a_size(self) -> None:
        with pytest.raises(UnknownNameError) as caught:
            strategies.check(self.name, {"colour": "red"})
        assert "population_size" in caught.value.known
