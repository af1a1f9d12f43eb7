import numpy as np
import pytest
from scipy.stats import kendalltau

from cars_hw.evolution.estimating import joined


def test_two_rankings_that_err_apart_rank_better_together() -> None:
    rng = np.random.default_rng(0)
    true = rng.standard_normal(200)
    losses, sizes = true + rng.standard_normal(200), 1e6 * np.exp(-true + rng.standard_normal(200))
    together = kendalltau(joined(losses, sizes, sizes), true).statistic
    assert together > kendalltau(losses, true).statistic + 0.05
    assert together > kendalltau(-sizes, true).statistic + 0.05


def test_the_lowest_loss_and_the_largest_size_are_the_best_and_units_do_not_matter() -> None:
    losses, sizes, usual = np.array([0.3, 0.9, 0.6]), np.array([3e6, 1e6, 2e6]), np.array([1.5e6, 2.5e6])
    assert joined(losses, sizes, usual).tolist() == [0.0, 1.0, 0.5]
    assert joined(100 * losses, sizes / 7, usual / 7).tolist() == [0.0, 1.0, 0.5]


def test_among_many_small_ones_a_large_one_stays_as_rare_as_it_is_in_the_space() -> None:
    sizes = np.array([1e6, 1e6, 1e6, 1e6, 9e6])
    usual = np.arange(1.0, 11.0) * 1e6
    first, *_, last = joined(np.full(5, 0.3), sizes, usual)
    assert first - last == pytest.approx(0.8 * 0.8, rel=1e-12)


def test_one_network_is_no_ranking() -> None:
    assert joined(np.array([0.3]), np.array([3.0]), np.array([3.0])).tolist() == [0.4]
