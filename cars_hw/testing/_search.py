"""A search on real images, end to end: killed, resumed, exported."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cars_hw import spaces
from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.results.members import restored
from cars_hw.runs import Run
from cars_hw.saving.record import Generation
from cars_hw.search import Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.testing._tables import write_table
from cars_hw.testing._tabular import Killed, KillingClock
from cars_hw.trainer import TrainerState

_GENERATIONS = 3
_POPULATION = 4
_IMAGES = 60
_SMALL = {"deploy": "search", "image_channels": 1, "image_size": 8, "channels": 2, "cells": 1}


class SearchContract:
    """Tests that a strategy searches a space on images, and that what it finds is exported.

    Seconds to minutes. It takes the data set digits: ``pip install 'cars-hw[demo]'``.

        class TestMySearch(SearchContract):
            strategy = "my_lab.my_strategy"

            def space(self) -> SearchSpace:
                return spaces.load("my_lab.my_space", cells=2, channels=4)

    Attributes:
        strategy: The name of a plug-in.
    """

    strategy: str = "random_search"

    def space(self) -> SearchSpace:
        """Return a small space for images of one channel and ten classes, searched as it is deployed."""
        return spaces.load("nasbench201", **_SMALL)

    def test_a_killed_search_resumes_bit_for_bit_and_exports(self, tmp_path: Path) -> None:
        space = self.space()
        config = _configuration(self.strategy, space, tmp_path)
        clock = _CountingClock()
        straight = _prepared(Run.create(tmp_path / "straight", config), clock)
        expected = [_outcome(generation) for generation in straight.run()]
        assert len(expected) == _GENERATIONS + 1
        killed = Run.create(tmp_path / "killed", config)
        _check_killed(killed, clock.looks * 5 // 8, straight)

        opened = restored(killed)
        trainer, record = opened.trainer, opened.record
        _assert_equal(trainer.state(), straight.trainer.state())
        generation = record.history[-1]
        names = generation.objectives
        assert names == ("error", "parameters", "latency_ms")
        for member in generation.front:
            assert all(np.isfinite(member.costs))
            assert member.costs[1] == space.graph(member.architecture, "deploy").parameters()
        [export] = opened.export_member("0", folder=tmp_path).values()
        session = onnxruntime.InferenceSession(str(export.path), providers=["CPUExecutionProvider"])
        (logits,) = session.run(None, {session.get_inputs()[0].name: trainer.fitness[0][:1].numpy()})
        assert logits.shape == (1, space.classes)

    def check_killed_at_many(self, n: int, folder: Path) -> None:
        """Check that a search killed at each of ``n`` safe points, evenly spread, resumes bit for bit."""
        config = _configuration(self.strategy, self.space(), folder)
        clock = _CountingClock()
        straight = _prepared(Run.create(folder / "straight", config), clock)
        list(straight.run())
        for safe_point in np.linspace(1, clock.looks - 4, n).astype(int):
            run = Run.create(folder / f"killed{safe_point}", config)
            _check_killed(run, int(safe_point), straight)


class _CountingClock:
    """A clock that stands still, and counts the looks at it: one at the start, one at each safe point."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return 0.0


def _configuration(strategy: str, space: SearchSpace, folder: Path) -> SearchConfig:
    """Return a search of ``space`` on digits, and write the latency table that it needs."""
    table = write_table(folder / "table.jsonl", space)
    settings = {f"space.{name}": value for name, value in space.settings.values().items()}
    return SearchConfig.load(
        None,
        {
            "space.name": space.name,
            **settings,
            "strategy.name": strategy,
            "strategy.population_size": _POPULATION,
            "data.name": "digits",
            "data.fitness_images": _IMAGES,
            "data.image_size": space.image_shape[1],
            "training.batch_size": 16,
            "training.crop_padding": 1,
            "training.recalibration_images": 16,
            "training.evaluation_batch_size": 32,
            "search.warm_up_epochs": 0.05,
            "search.epochs_per_generation": 0.05,
            "search.generations": _GENERATIONS,
            "latency.table": str(table),
        },
    )


def _prepared(run: Run, clock: Callable[[], float] = time.monotonic) -> Search:
    return make_search(run, make_trainer(run.config, make_space(run.config)), clock=clock)


def _check_killed(run: Run, safe_point: int, straight: Search) -> None:
    """Check that a search that is saved at a safe point, and killed at the next, ends as ``straight`` did."""
    with pytest.raises(Killed):
        list(_prepared(run, KillingClock(safe_point)).run())
    resumed = _prepared(Run.open(run.path, allow_plugins=run.config.outside_names()))
    assert resumed.resume()
    assert len(resumed.history) < len(straight.history)
    list(resumed.run())
    assert [_outcome(generation) for generation in resumed.history] == [
        _outcome(generation) for generation in straight.history
    ]
    assert resumed.strategy.state() == straight.strategy.state()
    _assert_equal(resumed.trainer.state(), straight.trainer.state())


def _outcome(generation: Generation) -> tuple[object, ...]:
    return generation.index, generation.population, generation.front


def _assert_equal(left: TrainerState, right: TrainerState) -> None:
    assert left.arrays.keys() == right.arrays.keys()
    for name, array in left.arrays.items():
        assert np.array_equal(array, right.arrays[name]), name
    for name in left.values.keys() - {"ledger"}:
        assert left.values[name] == right.values[name], name
