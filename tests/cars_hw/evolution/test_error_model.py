"""The model of the error: it learns what there is to learn, and follows shifts and scales."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cars_hw.evolution.domination import Costs
from cars_hw.evolution.error_model import ErrorModel, Options, fence

N, DECISIONS, OPTIONS = 120, 6, 4


def problem(seed: int, n: int = N) -> tuple[Options, Costs, NDArray[np.float64]]:
    """Return options, ranks of a cost, and errors that the options and the cost explain."""
    rng = np.random.default_rng(seed)
    options = rng.integers(0, OPTIONS, (n, DECISIONS))
    ranks = rng.random((n, 1))
    errors = 0.3 - 0.02 * (options == 1).sum(axis=1) + 0.03 * (options[:, 0] == 2) - 0.1 * ranks[:, 0]
    return options, ranks, errors


def test_it_ranks_what_it_has_not_seen() -> None:
    options, ranks, errors = problem(0)
    model = ErrorModel(options[:80], ranks[:80], errors[:80])
    mean, deviation = model.predict(options[80:], ranks[80:])
    assert np.corrcoef(mean, errors[80:])[0, 1] > 0.9
    assert (deviation > 0).all()


def test_it_is_surer_of_what_it_has_seen() -> None:
    options, ranks, errors = problem(1)
    model = ErrorModel(options[:60], ranks[:60], errors[:60])
    _, seen = model.predict(options[:60], ranks[:60])
    _, unseen = model.predict(options[60:], ranks[60:])
    assert seen.mean() < unseen.mean()


def test_the_guess_follows_the_unit_of_the_errors() -> None:
    options, ranks, errors = problem(2)
    mean, deviation = ErrorModel(options, ranks, errors).predict(options, ranks)
    scaled, wider = ErrorModel(options, ranks, 100 * errors + 7).predict(options, ranks)
    assert scaled == pytest.approx(100 * mean + 7)
    assert wider == pytest.approx(100 * deviation)


def test_a_few_errors_far_off_do_not_spoil_the_others() -> None:
    options, ranks, errors = problem(3)
    spoilt = errors.copy()
    spoilt[:5] = 0.9
    mean, _ = ErrorModel(options[:80], ranks[:80], spoilt[:80]).predict(options[80:], ranks[80:])
    assert np.corrcoef(mean, errors[80:])[0, 1] > 0.8


def test_errors_that_are_all_equal_are_guessed_so() -> None:
    options, ranks, _ = problem(4, 10)
    mean, _ = ErrorModel(options, ranks, np.full(10, 0.25)).predict(options, ranks)
    assert mean == pytest.approx(0.25)


def test_the_fence_is_a_multiple_of_the_middle_half_above_it() -> None:
    assert fence(np.array([0.0, 1.0, 2.0, 3.0, 4.0])) == pytest.approx(3.0 + 1.5 * 2.0)
