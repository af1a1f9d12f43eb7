"""Every strategy on real images, end to end: search, kill, resume, export; marked slow, on every space."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cars_hw import spaces, strategies
from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.ledger import Ledger
from cars_hw.record import Generation
from cars_hw.results.members import restored
from cars_hw.runs import Run
from cars_hw.search import Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.trainer import TrainerState
from tests.fakes.small_spaces import small
from tests.fakes.tables import write_table

GENERATIONS = 3
POPULATION = 4
_IMAGES = 60

#: Steps from a batch of images on which a search is killed: in generation 2, of 5 steps each.
_KILLED_AFTER = 5 + 5 + 3


class Killed(BaseException):
    """What no part of a search may catch: as sudden as a signal."""


def configuration(strategy: str, space: SearchSpace, folder: Path) -> SearchConfig:
    """Return a search of ``space`` on digits, and write the latency table that it needs."""
    table = write_table(folder / "table.jsonl", space)
    settings = {f"space.{name}": value for name, value in space.settings.values().items()}
    return SearchConfig.load(
        None,
        {
            "space.name": space.name,
            **settings,
            "strategy.name": strategy,
            "strategy.population_size": POPULATION,
            "data.name": "digits",
            "data.fitness_images": _IMAGES,
            "data.image_size": space.image_shape[1],
            "training.batch_size": 16,
            "training.crop_padding": 1,
            "training.recalibration_images": 16,
            "search.warm_up_epochs": 0.05,
            "search.epochs_per_generation": 0.05,
            "search.generations": GENERATIONS,
            "latency.table": str(table),
        },
    )


def prepared(run: Run) -> Search:
    return make_search(run, make_trainer(run.config, make_space(run.config)))


def kill(search: Search) -> None:
    """Run the search until it is killed in the middle of a generation's training."""

    def strike(ledger: Ledger) -> None:
        if ledger.steps == _KILLED_AFTER:
            raise Killed

    search.trainer.ledger.listener = strike
    with pytest.raises(Killed):
        list(search.run())


def outcome(generation: Generation) -> tuple[object, ...]:
    return generation.index, generation.population, generation.front


def assert_equal(left: TrainerState, right: TrainerState) -> None:
    assert left.arrays.keys() == right.arrays.keys()
    for name, array in left.arrays.items():
        assert np.array_equal(array, right.arrays[name]), name
    for name in left.values.keys() - {"ledger"}:
        assert left.values[name] == right.values[name], name


def search_kill_resume_and_export(strategy: str, space: SearchSpace, folder: Path) -> None:
    config = configuration(strategy, space, folder)
    straight = prepared(Run.create(folder / "straight", config))
    expected = [outcome(generation) for generation in straight.run()]
    assert len(expected) == GENERATIONS + 1

    killed = Run.create(folder / "killed", config)
    kill(prepared(killed))
    resumed = prepared(Run.open(killed.path))
    assert resumed.resume()
    assert resumed.history[-1].index == 1
    assert [outcome(generation) for generation in resumed.run()] == expected[2:]
    assert [outcome(generation) for generation in resumed.history] == expected
    assert resumed.strategy.state() == straight.strategy.state()
    assert_equal(resumed.trainer.state(), straight.trainer.state())

    opened = restored(killed)
    trainer, record = opened.trainer, opened.record
    assert_equal(trainer.state(), straight.trainer.state())
    generation = record.history[-1]
    names = generation.objectives
    assert names == ("error", "parameters", "latency_ms")
    for member in generation.front:
        assert all(np.isfinite(member.costs))
        assert member.costs[1] == space.graph(member.architecture, "deploy").parameters()
    export = opened.export_member("0", folder=folder)
    session = onnxruntime.InferenceSession(str(export.path), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: trainer.fitness[0][:1].numpy()})
    assert logits.shape == (1, space.classes)


@pytest.mark.parametrize("strategy", strategies.names())
def test_a_killed_search_resumes_bit_for_bit_and_exports(strategy: str, tmp_path: Path) -> None:
    search_kill_resume_and_export(strategy, small("nasbench201"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("space", spaces.names())
@pytest.mark.parametrize("strategy", strategies.names())
def test_every_strategy_searches_every_space(strategy: str, space: str, tmp_path: Path) -> None:
    search_kill_resume_and_export(strategy, small(space), tmp_path)
