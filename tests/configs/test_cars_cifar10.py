"""The configuration of CARS at the paper's scale, counted step by step without any training."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cars_hw import spaces, strategies
from cars_hw.assembly import make_schedule
from cars_hw.config import SearchConfig
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Objective
from cars_hw.results.spending import expenses
from cars_hw.search import Search
from cars_hw.strategies._strategy import unconstrained
from cars_hw.testing._tabular import CurveTrainer

CONFIG = SearchConfig.load(Path(__file__).parents[2] / "configs/cars-cifar10.toml")
TRAINING_IMAGES = 25_000


class Size(Objective):
    """Stands for parameters, whose arithmetic is tested elsewhere and takes a while."""

    name = "parameters"

    def __call__(self, architecture: Architecture, /) -> float:
        return float(sum(architecture))


def test_the_schedule_is_the_published_one() -> None:
    schedule = make_schedule(CONFIG, TRAINING_IMAGES)
    assert (schedule.warm_up_steps, schedule.steps, schedule.generations) == (9_800, 1_960, 45)
    assert schedule.total_steps == 98_000
    assert CONFIG.data.fitness_images == TRAINING_IMAGES


@pytest.mark.slow  # what the schedule comes to, the test above shows by default
def test_the_search_takes_98_000_single_path_steps_and_45_generations_of_128_members() -> None:
    trainer = CurveTrainer()
    space = spaces.load(CONFIG.space.name, **CONFIG.space.settings)
    rng = np.random.default_rng(CONFIG.search.seed)
    strategy = strategies.load(
        CONFIG.strategy.name, space, rng, violation=unconstrained, **CONFIG.strategy.settings
    )
    schedule, screening = make_schedule(CONFIG, TRAINING_IMAGES), CONFIG.search.screening
    search = Search(trainer, strategy, [Error(trainer), Size()], schedule, screening=screening)
    generations = list(search.run())

    assert [generation.index for generation in generations] == list(range(46))
    assert all(len(generation.population) == 128 for generation in generations)
    assert trainer.ledger.steps == len(trainer.stepped) == 98_000
    assert {len(paths) for paths in trainer.stepped} == {1}
    warm_up = Counter(path for [path] in trainer.stepped[:9_800])
    assert max(warm_up.values()) == 1
    assert trained_on_members(trainer, [{m.architecture for m in g.population} for g in generations])

    # Members and as many offspring each time, and the newcomers' errors before the generation's training.
    assert trainer.ledger.evaluations == 128 + 45 * (256 + 128)
    every, published = (expenses(generations[-1].ledger, len(generations))[i] for i in (1, 3))
    assert (every.count, published.count) == (17_408, 46)


def trained_on_members(trainer: CurveTrainer, populations: list[set[Architecture]]) -> bool:
    return all(
        path in population
        for generation, population in enumerate(populations[:-1])
        for [path] in trainer.stepped[9_800 + 1_960 * generation :][:1_960]
    )
