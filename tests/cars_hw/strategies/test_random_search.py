"""Random search: an archive of the front, of bounded size."""

from typing import Any

import numpy as np
import pytest

from cars_hw.candidate import Candidate
from cars_hw.strategies.random_search import RandomSearch
from cars_hw.testing._tabular import CurveTrainer, TinySpace, evaluate, play
from devices.foundation.errors import ConfigError


def random_search(population_size: int) -> RandomSearch:
    return RandomSearch(TinySpace(), np.random.default_rng(0), population_size=population_size)


def test_the_archive_is_the_front_of_what_was_evaluated() -> None:
    strategy, trainer = random_search(20), CurveTrainer()
    play(strategy, trainer, 2, steps=20)
    asked = evaluate(strategy, trainer)
    strategy.tell(asked)
    best = min(asked, key=lambda candidate: candidate.costs)
    assert best in strategy.population
    assert set(strategy.front()) == set(strategy.population)


def test_each_round_evaluates_the_archive_again_and_fresh_ones() -> None:
    strategy, trainer = random_search(20), CurveTrainer()
    play(strategy, trainer, 3)
    archive = [member.architecture for member in strategy.population]
    asked = strategy.ask()
    assert list(asked[: len(archive)]) == archive
    assert len(set(asked)) == len(archive) + 20


def test_the_archive_does_not_outgrow_the_population() -> None:
    strategy = random_search(5)
    strategy.tell([Candidate((0, 0, 0, i), (float(i), 30.0 - i)) for i in range(30)])
    errors = [member.costs[0] for member in strategy.population]
    assert len(errors) == 5
    assert {0.0, 29.0} <= set(errors)


def test_it_needs_no_previous_errors() -> None:
    strategy, trainer = random_search(10), CurveTrainer()
    play(strategy, trainer, 3)
    assert trainer.ledger.evaluations > 0
    assert trainer.ledger.previous_evaluations == 0


@pytest.mark.parametrize("population_size", [0, 2.5, True, "12"])
def test_a_population_size_that_is_no_count_is_refused(population_size: Any) -> None:
    with pytest.raises(
        ConfigError, match=f"random_search: population_size is {population_size!r}; it should be"
    ):
        random_search(population_size)


def test_a_strategy_shows_its_space_and_its_population_also_before_the_first_round() -> None:
    strategy = random_search(5)
    name = strategy.space.name
    assert repr(strategy) == f"<random_search on {name}: no population yet>"
    strategy.tell([Candidate((0, 0, 0, i), (float(i), 30.0 - i)) for i in range(30)])
    assert repr(strategy) == f"<random_search on {name}: population of 5>"
