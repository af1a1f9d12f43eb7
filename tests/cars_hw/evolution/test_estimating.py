import numpy as np
from scipy.stats import kendalltau

from cars_hw.evolution.estimating import joined


def test_two_rankings_that_err_apart_rank_better_together() -> None:
    rng = np.random.default_rng(0)
    true = rng.standard_normal(200)
    losses, sizes = true + rng.standard_normal(200), 1e6 * np.exp(-true + rng.standard_normal(200))
    together = kendalltau(joined(losses, sizes), true).statistic
    assert together > kendalltau(losses, true).statistic + 0.05
    assert together > kendalltau(-sizes, true).statistic + 0.05


def test_the_lowest_loss_and_the_largest_size_are_the_best_and_units_do_not_matter() -> None:
    losses, sizes = np.array([0.3, 0.9, 0.6]), np.array([3e6, 1e6, 2e6])
    assert joined(losses, sizes).tolist() == [0.0, 1.0, 0.5]
    assert joined(100 * losses, sizes / 7).tolist() == [0.0, 1.0, 0.5]


def test_one_network_is_no_ranking() -> None:
    assert joined(np.array([0.3]), np.array([3.0])).tolist() == [0.0]
