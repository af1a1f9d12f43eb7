"""Predictions as values: their deviation and their intervals at any level."""

import pytest

from latency_tables import Prediction, TableError
from latency_tables.prediction import interval_95


def test_a_deviation_that_is_not_given_is_that_of_the_upper_end() -> None:
    assert Prediction(5.0, (0.0, 5.0 + 1.96 * 3), ()).deviation_s == pytest.approx(3.0)
    assert Prediction(5.0, (4.0, 6.0), (), 0.25).deviation_s == 0.25


@pytest.mark.parametrize(("level", "deviations"), [(0.5, 0.674490), (0.9, 1.644854), (0.99, 2.575829)])
def test_an_interval_at_a_level_holds_as_many_deviations_as_that_of_a_gaussian(
    level: float, deviations: float
) -> None:
    found = Prediction(10.0, interval_95(10.0, 1.0), (), 1.0)
    assert found.interval_at(level) == pytest.approx((10 - deviations, 10 + deviations), rel=1e-4)


def test_sides_of_their_own_are_stretched_each() -> None:
    found = Prediction(10.0, (9.0, 13.0), ())
    assert found.interval_at(0.95) == pytest.approx(found.interval_s)
    low, high = found.interval_at(0.5)
    assert (10 - low) * 3 == pytest.approx(high - 10)


def test_no_interval_goes_below_zero_and_one_that_was_cut_there_is_not_taken_for_narrow() -> None:
    found = Prediction(1.0, interval_95(1.0, 1.0), (), 1.0)
    assert found.interval_s[0] == 0
    assert found.interval_at(0.99)[0] == 0
    assert found.interval_at(0.5)[0] == pytest.approx(1 - 0.674490, rel=1e-4)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95.0, float("nan")])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(TableError, match=r"try 0\.9"):
        Prediction(1.0, (0.5, 1.5), ()).interval_at(level)
