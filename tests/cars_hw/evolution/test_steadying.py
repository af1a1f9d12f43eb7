"""Errors that are steadied by losses: against numpy's line, and against the truth."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cars_hw.candidate import Candidate
from cars_hw.evolution.steadying import Evaluated, steadied, steadied_candidates


def _drawn(n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0.2, 0.6, n), rng.uniform(0.5, 3.0, n)


def test_they_are_half_error_and_half_numpys_line() -> None:
    errors, losses = _drawn(40, seed=0)
    line = np.polyval(np.polyfit(losses, errors, 1), losses)
    np.testing.assert_allclose(steadied(errors, losses), (errors + line) / 2, rtol=1e-12)


def test_the_unit_of_the_losses_does_not_matter() -> None:
    errors, losses = _drawn(40, seed=1)
    np.testing.assert_allclose(steadied(errors, 1000 * losses - 7), steadied(errors, losses), rtol=1e-9)


@pytest.mark.parametrize("losses", [[], [0.7], [0.7, 0.7, 0.7]])
def test_where_losses_tell_nothing_errors_stay(losses: list[float]) -> None:
    errors = np.linspace(0.1, 0.3, len(losses))
    assert steadied(errors, np.array(losses)).tolist() == errors.tolist()


def test_none_is_below_zero() -> None:
    found = steadied(np.array([0.0, 0.0, 0.9, 0.1]), np.array([0.0, 0.5, 2.0, 1.8]))
    assert found.min() == 0.0


def test_they_come_nearer_to_the_truth_than_errors_on_few_images() -> None:
    """200 images each, right by chance with a probability that the loss tells as well."""
    rng = np.random.default_rng(2)
    truth = rng.uniform(0.3, 0.5, 100)
    doubt = np.clip(truth[:, None] + rng.normal(0.0, 0.2, (100, 200)), 0.01, 0.99)
    errors, losses = (rng.random(doubt.shape) < doubt).mean(axis=1), -np.log1p(-doubt).mean(axis=1)
    assert np.std(steadied(errors, losses) - truth) < 0.7 * np.std(errors - truth)


def test_members_keep_their_previous_errors_and_newcomers_have_a_line_of_their_own() -> None:
    errors, losses = _drawn(6, seed=3)
    before, losses_before = _drawn(6, seed=4)
    evaluated = [
        Evaluated(
            Candidate((i,), (errors[i], 7.0), before[i], (errors[i], 8.0)),
            losses[i],
            losses_before[i] if i >= 2 else None,
        )
        for i in range(6)
    ]
    found = steadied_candidates(evaluated)
    assert [one.costs[0] for one in found] == steadied(errors, losses).tolist()
    assert [one.previous_error for one in found[:2]] == before[:2].tolist()
    assert [one.previous_error for one in found[2:]] == steadied(before[2:], losses_before[2:]).tolist()
    assert all(one.limited == (one.costs[0], 8.0) and one.costs[1] == 7.0 for one in found)


def test_without_losses_candidates_stay_as_they_are() -> None:
    candidates = [Candidate((i,), (0.1 * i, 7.0), 0.2) for i in range(3)]
    assert steadied_candidates([Evaluated(one) for one in candidates]) == candidates
