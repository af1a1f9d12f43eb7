"""Every strategy on real images, end to end; marked slow, on every space."""

from pathlib import Path

import pytest

from cars_hw import spaces, strategies
from cars_hw.spaces import SearchSpace
from cars_hw.testing import SearchContract
from tests.fakes.small_spaces import small

#: Between them they train on hard and on soft paths, draw weights anew and drop some.
_DIFFERENT = ("cars", "evnas", "g_evonas")


class TestEveryStrategy(SearchContract):
    @pytest.fixture(
        autouse=True,
        params=[
            pytest.param(name, marks=() if name in _DIFFERENT else pytest.mark.slow)
            for name in strategies.names()
        ],
    )
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.strategy = request.param

    def space(self) -> SearchSpace:
        return small("nasbench201")

    @pytest.mark.slow
    def test_a_search_killed_at_many_safe_points_resumes_bit_for_bit(self, tmp_path: Path) -> None:
        self.check_killed_at_many(12, tmp_path)


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
