"""A run that was searched on a GPU, on a machine without one: read, exported, retrained and gone on with."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue

import cars_hw
from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.results.members import restored
from cars_hw.retraining.retrain import retrain
from cars_hw.runs import Run
from cars_hw.search import Search
from cars_hw.weights.retraining_plan import RetrainingPlan
from devices.foundation import ConfigError

_VALUES: dict[str, JsonValue] = {
    "space.name": "nasbench201",
    "space.deploy": "search",
    "space.channels": 2,
    "space.cells": 1,
    "space.image_size": 8,
    "space.image_channels": 1,
    "strategy.name": "cars",
    "strategy.population_size": 3,
    "strategy.members_per_step": 1,
    "data.name": "digits",
    "data.fitness_images": 60,
    "training.batch_size": 16,
    "training.crop_padding": 1,
    "training.recalibration_images": 16,
    "search.objectives": ["error", "parameters"],
    "search.warm_up_epochs": 0.05,
    "search.epochs_per_generation": 0.05,
    "search.generations": 2,
}


def _search(run: Run) -> Search:
    """Return a run's search as the machine with its device opens it: here, that computes on the CPU."""
    trainer = make_trainer(run.config, make_space(run.config), torch_device="cpu")
    return make_search(run, trainer)


def _run(folder: Path, device: str, rounds: int) -> tuple[Run, Search]:
    run = Run.create(folder, SearchConfig.load(None, {**_VALUES, "search.torch_device": device}))
    search = _search(run)
    generations: Iterator[object] = search.run()
    for _ in range(rounds):
        next(generations)
    return run, search


@pytest.fixture(scope="module")
def of_cuda(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _run(tmp_path_factory.mktemp("cuda") / "run", "cuda:99", 2)[0]


def test_it_is_read_and_exported(of_cuda: Run, tmp_path: Path) -> None:
    opened = restored(Run.open(of_cuda.path))
    [export] = opened.export_member("0", folder=tmp_path).values()
    assert export.path.is_file()
    assert opened.trainer.ledger.steps > 0
    shown = cars_hw.report_json(of_cuda)["configuration"]
    assert isinstance(shown, dict)
    assert isinstance(shown["search"], dict)
    assert shown["search"]["torch_device"] == "cuda:99"


def test_its_weights_begin_a_retraining(of_cuda: Run) -> None:
    plan = RetrainingPlan(preset="small", epochs=1, batch_size=512, warm_up_epochs=0, crop_padding=1)
    member = of_cuda.front()[0].architecture
    found = retrain(of_cuda, {"first": member}, plan, from_supernet=True)
    assert "weights of the search after generation 1" in found["first"].initial


def test_it_goes_on_without_its_device_as_it_would_have(tmp_path: Path) -> None:
    run, _ = _run(tmp_path / "moved", "cuda:99", 2)
    with pytest.raises(ConfigError, match=r"torch_device 'cuda:99' cannot be used: .*write \"cpu\""):
        cars_hw.open_search(run)
    moved = cars_hw.amended(run, {"search": {"torch_device": "cpu"}})
    assert "search.torch_device: cuda:99 -> cpu" in str(moved.amendments[0])
    gone_on = cars_hw.open_search(moved)
    list(gone_on.run())
    _, straight = _run(tmp_path / "straight", "cuda:99", 3)
    assert gone_on.strategy.population == straight.strategy.population
    arrays = gone_on.trainer.state().arrays
    for name, array in straight.trainer.state().arrays.items():
        assert np.array_equal(array, arrays[name]), name


def test_a_device_that_is_not_there_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    run, _ = _run(tmp_path / "run", "cpu", 1)
    with pytest.raises(ConfigError, match="torch_device 'cuda:99' cannot be used"):
        cars_hw.amended(run, {"search": {"torch_device": "cuda:99"}})
    assert Run.open(run.path).amendments == ()
    back = cars_hw.amended(cars_hw.amended(run, {"search": {"torch_device": "cpu:0"}}), _to("cpu"))
    assert [change.after for one in back.amendments for change in one.changes] == ["cpu:0", "cpu"]
    with pytest.raises(CheckpointError, match=r"training\.precision"):
        cars_hw.amended(back, {"training": {"precision": "bfloat16"}})


def _to(device: str) -> dict[str, JsonValue]:
    return {"search": {"torch_device": device}}
