"""Evaluations by workers: the same results to the bit, whatever ends meanwhile; and when workers start."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.executors import Executor
from cars_hw.executors.in_process import InProcess
from cars_hw.executors.processes import Processes
from cars_hw.judges import ExecutorJudges
from cars_hw.ledger import Ledger, Weights
from cars_hw.networks.architecture import Architecture
from cars_hw.runs import Run
from cars_hw.saving.record import Generation
from cars_hw.search import Search
from cars_hw.trainer import Asked
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from tests.fakes.configurations import TINIEST
from tests.fakes.worker_processes import children

_CONFIG = f"""{TINIEST}
[search]
objectives = ["error", "parameters"]
warm_up_epochs = 0.05
epochs_per_generation = 0.05
generations = 1
[strategy]
population_size = 4
"""


@pytest.fixture
def config(tmp_path: Path) -> SearchConfig:
    path = tmp_path / "config.toml"
    path.write_text(_CONFIG)
    return SearchConfig.load(path)


def _trainer(config: SearchConfig) -> SuperNetTrainer:
    trainer = make_trainer(config, make_space(config))
    rng = np.random.default_rng(0)
    for step in range(6):
        if step == 3:
            trainer.remember()
        trainer.step([trainer.space.sample(rng)])
    return trainer


def _asked(members: Sequence[Architecture]) -> list[Asked]:
    of: tuple[Weights, ...] = ("current", "previous")
    return [(member, weights) for member in members for weights in of]


@pytest.mark.parametrize("kind", ["whole", "restricted", "soft", "share"])
def test_workers_judge_as_the_trainer_does_itself(kind: str, config: SearchConfig, workers: Executor) -> None:
    trainer = _trainer(_by_half(config) if kind == "share" else config)
    space = trainer.space
    if kind == "restricted":
        space = space.restrict([options[1:] for options in space.allowed])
    trainer.activate(space, soft_path=kind == "soft")
    trainer.remember()
    trainer.step([space.sample(np.random.default_rng(1))])
    members = [space.sample(np.random.default_rng(seed)) for seed in range(4)]
    here = [(trainer.accuracy(*one), trainer.last_loss) for one in _asked(members)]
    trainer.judges = ExecutorJudges(workers)
    trainer.expect(_asked(members))
    assert [(trainer.accuracy(*one), trainer.last_loss) for one in _asked(members)] == here
    assert len(set(here)) > 2
    assert trainer.ledger.evaluations == 2 * len(here)


def test_what_was_judged_is_forgotten_when_the_weights_move(config: SearchConfig) -> None:
    trainer = _trainer(config)
    member = trainer.space.sample(np.random.default_rng(0))
    trainer.judges = ExecutorJudges(InProcess())
    trainer.expect([(member, "current")])
    before = trainer.accuracy(member)
    for _ in range(20):
        trainer.step([member])
    after = trainer.accuracy(member)
    trainer.judges = None
    assert after == trainer.accuracy(member) != before


def _by_half(config: SearchConfig) -> SearchConfig:
    """Return the configuration with half of the images to judge by."""
    shares = {"fitness_share": 0.5, "recalibration_share": 0.5}
    return config.model_copy(update={"training": config.training.model_copy(update=shares)})


def _search(config: SearchConfig, folder: Path, executor: Executor | None) -> Search:
    trainer = make_trainer(config, make_space(config))
    trainer.judges = None if executor is None else ExecutorJudges(executor)
    return make_search(Run.create(folder, config), trainer)


def _outcome(search: Search, generations: Sequence[Generation]) -> object:
    ledger = search.trainer.ledger
    counts = (ledger.steps, ledger.evaluations, ledger.previous_evaluations, ledger.evaluation_images)
    return [(one.population, one.front) for one in generations], counts


def test_a_search_that_ended_inside_a_generation_goes_on_with_or_without_workers(
    config: SearchConfig, workers: Executor, tmp_path: Path
) -> None:
    config = _by_half(config)
    straight = _search(config, tmp_path / "a", None)
    expected = _outcome(straight, list(straight.run()))
    first = _search(config, tmp_path / "b", workers)
    assert list(first.run(max_evaluations=3)) == []
    assert str(first.kept) == "generation 0 up to training step 5, 3 architectures evaluated"
    second = _search(config, tmp_path / "b", None)
    assert second.resume()
    done = list(second.run(max_evaluations=8))
    third = _search(config, tmp_path / "b", workers)
    assert third.resume()
    done += third.run(max_evaluations=18)  # two of the last four, which are judged on all images
    fourth = _search(config, tmp_path / "b", None)
    assert fourth.resume()
    done += fourth.run()
    assert _outcome(fourth, done) == expected


def test_a_search_asked_to_end_does_not_wait_for_its_workers(
    config: SearchConfig, workers: Executor, tmp_path: Path
) -> None:
    with Processes(2) as starting:  # which takes them a second or two
        search = _search(config, tmp_path / "a", starting)
        rounds = search.run()
        trainer = search.trainer
        assert isinstance(trainer, SuperNetTrainer)
        trainer.ledger.listener = lambda ledger: search.request_end() if ledger.tried_steps == 5 else None
        assert list(rounds) == []
    assert search.ended_by == "request"


def test_a_worker_that_is_killed_with_a_task_loses_nothing(config: SearchConfig) -> None:
    trainer = _trainer(config)
    members = [trainer.space.sample(np.random.default_rng(seed)) for seed in range(3)]
    here = [trainer.accuracy(member) for member in members]
    killed: list[int] = []

    def kill_one() -> None:
        if not killed and (found := children()):
            killed.append(found[0])
            os.kill(found[0], signal.SIGKILL)

    with Processes(2) as executor:
        trainer.judges, trainer.between_batches = ExecutorJudges(executor), kill_one
        trainer.expect([(member, "current") for member in members])
        assert [trainer.accuracy(member) for member in members] == here
    assert killed


@pytest.mark.parametrize(
    ("spent_s", "generations", "is_started"),
    [
        (2.3, 1, False),
        (2.5, 1, True),  # two evaluations made, three expected, 6 s in all
        (1.0, 3, False),
        (1.1, 3, True),  # nine are expected
    ],
)
def test_workers_start_when_evaluations_take_longer_than_starting_them(
    spent_s: float, generations: int, is_started: bool, config: SearchConfig
) -> None:
    trainer, ledger = _trainer(config), Ledger()
    members = [trainer.space.sample(np.random.default_rng(seed)) for seed in range(3)]
    judges = ExecutorJudges(InProcess(), ledger=ledger, generations=generations)
    trainer.judges = judges
    trainer.expect([(member, "current") for member in members])
    for _ in range(2):
        ledger.add_evaluation(132, spent_s / 2, weights="current")
    assert (judges.judge((members[0], "current"), _nothing) is not None) == is_started


def test_what_was_not_announced_is_left_to_the_trainer(config: SearchConfig) -> None:
    trainer = _trainer(config)
    first, other = (trainer.space.sample(np.random.default_rng(seed)) for seed in range(2))
    judges = ExecutorJudges(InProcess())
    trainer.judges = judges
    assert judges.judge((first, "current"), _nothing) is None
    trainer.expect([(first, "current")])
    assert judges.judge((other, "current"), _nothing) is None
    assert judges.judge((first, "current"), _nothing) is not None


def _nothing() -> None:
    """Wait."""
