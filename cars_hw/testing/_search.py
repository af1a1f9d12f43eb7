"""A search on real images, end to end: killed, resumed, exported."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cars_hw import spaces
from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.ledger import Ledger
from cars_hw.record import Generation
from cars_hw.results.members import restored
from cars_hw.runs import Run
from cars_hw.search import Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.testing._tables import write_table
from cars_hw.trainer import TrainerState

_GENERATIONS = 3
_POPULATION = 4
_IMAGES = 60
_SMALL = {"deploy": "search", "image_channels": 1, "image_size": 8, "channels": 2, "cells": 1}

#: Steps from a batch of images on which a search is killed: in generation 2, of 5 steps each.
_KILLED_AFTER = 5 + 5 + 3


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
        straight = _prepared(Run.create(tmp_path / "straight", config))
        expected = [_outcome(generation) for generation in straight.run()]
        assert len(expected) == _GENERATIONS + 1

        killed = Run.create(tmp_path / "killed", config)
        _kill(_prepared(killed))
        resumed = _prepared(Run.open(killed.path, allow_plugins=config.outside_names()))
        assert resumed.resume()
        assert resumed.history[-1].index == 1
        assert [_outcome(generation) for generation in resumed.run()] == expected[2:]
        assert [_outcome(generation) for generation in resumed.history] == expected
        assert resumed.strategy.state() == straight.strategy.state()
        _assert_equal(resumed.trainer.state(), straight.trainer.state())

        opened = restored(killed)
        trainer, record = opened.trainer, opened.record
        _assert_equal(trainer.state(), straight.trainer.state())
        generation = record.history[-1]
        names = generation.objectives
        assert names == ("error", "parameters", "latency_ms")
        for member in generation.front:
            assert all(np.isfinite(member.costs))
            assert member.costs[1] == space.graph(member.architecture, "deploy").parameters()
        export = opened.export_member("0", folder=tmp_path)
        session = onnxruntime.InferenceSession(str(export.path), providers=["CPUExecutionProvider"])
        (logits,) = session.run(None, {session.get_inputs()[0].name: trainer.fitness[0][:1].numpy()})
        assert logits.shape == (1, space.classes)


class _Killed(BaseException):
    """What no part of a search may catch: as sudden as a signal."""


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
            "search.warm_up_epochs": 0.05,
            "search.epochs_per_generation": 0.05,
            "search.generations": _GENERATIONS,
            "latency.table": str(table),
        },
    )


def _prepared(run: Run) -> Search:
    return make_search(run, make_trainer(run.config, make_space(run.config)))


def _kill(search: Search) -> None:
    """Run the search until it is killed in the middle of a generation's training."""

    def strike(ledger: Ledger) -> None:
        if ledger.steps == _KILLED_AFTER:
            raise _Killed

    search.trainer.ledger.listener = strike
    with pytest.raises(_Killed):
        list(search.run())


def _outcome(generation: Generation) -> tuple[object, ...]:
    return generation.index, generation.population, generation.front


def _assert_equal(left: TrainerState, right: TrainerState) -> None:
    assert left.arrays.keys() == right.arrays.keys()
    for name, array in left.arrays.items():
        assert np.array_equal(array, right.arrays[name]), name
    for name in left.values.keys() - {"ledger"}:
        assert left.values[name] == right.values[name], name
