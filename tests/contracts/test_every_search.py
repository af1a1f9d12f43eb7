"""Every strategy on real images, end to end; marked slow, on every space."""

import pytest

from cars_hw import spaces, strategies
from cars_hw.spaces import SearchSpace
from cars_hw.testing import SearchContract
from tests.fakes.small_spaces import small


class TestEveryStrategy(SearchContract):
    @pytest.fixture(autouse=True, params=strategies.names())
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.strategy = request.param

    def space(self) -> SearchSpace:
        return small("nasbench201")


@pytest.mark.slow
class TestEveryStrategyOnEverySpace(SearchContract):
    @pytest.fixture(autouse=True, params=strategies.names())
    def _choose_strategy(self, request: pytest.FixtureRequest) -> None:
        self.strategy = request.param

    @pytest.fixture(autouse=True, params=spaces.names())
    def _choose_space(self, request: pytest.FixtureRequest) -> None:
        self.space_name = request.param

    def space(self) -> SearchSpace:
        return small(self.space_name)
