"""Learning rates by steps that only the device has counted."""

import pytest
import torch

from cars_hw.weights.stepping import rates
from cars_hw.weights.stepping.rates import Rates

_CPU = torch.device("cpu")


def _taken(made: Rates, outcomes: list[bool]) -> list[float]:
    found = []
    for is_taken in outcomes:
        found.append(float(made.next()))
        made.add(torch.tensor(is_taken))
    return found


def test_a_skipped_step_does_not_count() -> None:
    made = Rates(_CPU)
    made.begin(lambda taken: 100.0 + taken, 7)
    assert _taken(made, [True, False, False, True, True]) == [107, 108, 108, 108, 109]


def test_a_new_beginning_forgets_what_was_counted() -> None:
    made = Rates(_CPU)
    made.begin(float, 0)
    _taken(made, [True, False, True])
    made.begin(lambda taken: -float(taken), 2)
    assert _taken(made, [True, True]) == [-2, -3]


def test_rates_never_run_out() -> None:
    """More are sent when those that were sent are used up, for however many steps may have been skipped."""
    made = Rates(_CPU)
    made.begin(float, 0)
    outcomes = [n % 3 > 0 for n in range(2 * rates._AHEAD + 5)]
    expected = [sum(outcomes[:n]) for n in range(len(outcomes))]
    assert _taken(made, outcomes) == pytest.approx(expected)
