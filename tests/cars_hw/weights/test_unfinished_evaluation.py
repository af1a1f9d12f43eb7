"""An evaluation that is interrupted between two batches goes on there, bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest

from cars_hw import data, spaces
from cars_hw.data import Data
from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json, Weights
from cars_hw.networks.architecture import Architecture
from cars_hw.testing._tabular import Killed
from cars_hw.trainer import PausableTrainer, TrainerState
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan

#: Three batches of recalibration, then four that judge.
_PLAN = TrainingPlan(
    batch_size=16,
    learning_rate=0.1,
    crop_padding=1,
    recalibration_images=48,
    evaluation_batch_size=16,
    recalibration_batch_size=16,
)
_BATCHES = 7


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", fitness_images=64)


def _trainer(digits: Data, share: float = 1.0) -> SuperNetTrainer:
    space = spaces.load("nasbench201", deploy="search", channels=2, cells=1, image_size=8, image_channels=1)
    plan = _PLAN.model_copy(update={"fitness_share": share})
    return SuperNetTrainer(space, digits, plan, total_steps=20, seed=1)


def _trained(digits: Data, share: float = 1.0) -> tuple[SuperNetTrainer, list[tuple[int, ...]]]:
    trainer, rng = _trainer(digits, share), np.random.default_rng(0)
    architectures = [trainer.space.sample(rng) for _ in range(3)]
    trainer.step(architectures)
    trainer.remember()
    trainer.step(architectures[:2])
    return trainer, architectures


def _killed_after(n: int) -> Callable[[], None]:
    """Return what kills after so many batches."""
    done = [0]

    def between_batches() -> None:
        done[0] += 1
        if done[0] == n:
            raise Killed

    return between_batches


def _assert_same(one: TrainerState, other: TrainerState) -> None:
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        assert np.array_equal(array, other.arrays[name]), name
    assert _exact(one) == _exact(other)


def _exact(state: TrainerState) -> dict[str, object]:
    """Return the values but for seconds."""
    ledger = state.values["ledger"]
    assert isinstance(ledger, dict)
    exact = {name: figure for name, figure in ledger.items() if not name.endswith("_s")}
    return {**state.values, "ledger": exact}


_ALL = [
    pytest.param(n, weights, soft_path, marks=[] if is_quick else pytest.mark.slow)
    for n in range(1, _BATCHES)
    for weights in ("current", "previous")
    for soft_path in (False, True)
    for is_quick in [(n, weights, soft_path) in {(2, "current", False), (5, "previous", True)}]
]


@pytest.mark.parametrize(("n", "weights", "soft_path"), _ALL)
def test_it_goes_on_where_it_was(n: int, weights: Weights, soft_path: bool, digits: Data) -> None:
    straight, (first, other, *_) = _trained(digits)
    straight.activate(straight.space, soft_path=soft_path)
    expected = [straight.accuracy(first, weights), straight.accuracy(other, weights)]
    killed, _ = _trained(digits)
    killed.activate(killed.space, soft_path=soft_path)
    killed.between_batches = _killed_after(n)
    with pytest.raises(Killed):
        killed.accuracy(first, weights)
    assert killed.ledger.evaluations == 0
    resumed, left = _trainer(digits), list[int]()
    resumed.activate(resumed.space, soft_path=soft_path)
    resumed.restore(killed.state_within())
    resumed.between_batches = lambda: left.append(1)
    assert resumed.accuracy(first, weights) == expected[0]
    assert len(left) == _BATCHES - 1 - n
    assert resumed.accuracy(other, weights) == expected[1]
    _assert_same(resumed.state_within(), straight.state_within())


def test_one_on_all_images_goes_on_and_is_not_taken_for_one_on_a_share(digits: Data) -> None:
    straight, (first, *_) = _trained(digits, 0.5)
    by_share = straight.accuracy(first)
    straight.judge_by_all(True)
    by_all = straight.accuracy(first)
    killed, _ = _trained(digits, 0.5)
    killed.judge_by_all(True)
    killed.between_batches = _killed_after(5)
    with pytest.raises(Killed):
        killed.accuracy(first)
    resumed, left = _trainer(digits, 0.5), list[int]()
    resumed.restore(killed.state_within())
    resumed.judge_by_all(True)
    resumed.between_batches = lambda: left.append(1)
    assert resumed.accuracy(first) == by_all
    assert resumed.ledger.evaluation_images == 48 + 64
    assert len(left) == _BATCHES - 1 - 5
    resumed.restore(killed.state_within())
    resumed.judge_by_all(False)
    assert resumed.accuracy(first) == by_share
    assert resumed.ledger.evaluation_images == 48 + 32


_DEEDS: dict[str, Callable[[SuperNetTrainer, Architecture], object]] = {
    "another evaluation": lambda trainer, other: trainer.accuracy(other),
    "a step": lambda trainer, other: trainer.step([other]),
    "remember": lambda trainer, _: trainer.remember(),
    "reset": lambda trainer, _: trainer.reset(3),
}


@pytest.mark.parametrize(
    "deed", [name if name == "a step" else pytest.param(name, marks=pytest.mark.slow) for name in _DEEDS]
)
def test_whatever_comes_between_begins_it_anew(deed: str, digits: Data) -> None:
    straight, (first, other, *_) = _trained(digits)
    killed, _ = _trained(digits)
    killed.between_batches = _killed_after(5)
    with pytest.raises(Killed):
        killed.accuracy(first)
    found = []
    for trainer in (straight, killed):
        _DEEDS[deed](trainer, other)
        found.append([trainer.accuracy(first), float(trainer.step([first]))])
    assert found[0] == found[1]
    _assert_same(killed.state_within(), straight.state_within())


def test_a_state_between_generations_has_neither_previous_weights_nor_an_evaluation(
    unfinished: TrainerState, idle: SuperNetTrainer
) -> None:
    parts = {name.partition("/")[0] for name in unfinished.arrays}
    assert parts == {"weights", "momentum", "previous", "evaluation"}
    idle.restore(unfinished)
    _assert_same(idle.state_within(), unfinished)
    assert {name.partition("/")[0] for name in idle.state().arrays} == {"weights", "momentum"}
    assert "evaluation" not in idle.state().values
    assert isinstance(idle, PausableTrainer)


@pytest.mark.parametrize(
    "damage",
    [
        {"architecture": [0, 0]},
        {"weights": "next"},
        {"batches": 99},
        {"batches": -1},
        {"right": 0.5},
        {"seconds": None},
    ],
    ids=str,
)
def test_a_damaged_evaluation_is_refused(
    damage: dict[str, Json], unfinished: TrainerState, idle: SuperNetTrainer
) -> None:
    evaluation = unfinished.values["evaluation"]
    assert isinstance(evaluation, dict)
    values = {**unfinished.values, "evaluation": {**evaluation, **damage}}
    with pytest.raises(CheckpointError, match="does not fit"):
        idle.restore(TrainerState(unfinished.arrays, values))
    idle.restore(unfinished)


@pytest.fixture(scope="module")
def idle(digits: Data) -> SuperNetTrainer:
    return _trainer(digits)


@pytest.fixture(scope="module")
def unfinished(digits: Data) -> TrainerState:
    """The state after the fourth batch of an evaluation."""
    trainer, (first, *_) = _trained(digits)
    trainer.between_batches = _killed_after(4)
    with pytest.raises(Killed):
        trainer.accuracy(first)
    return trainer.state_within()
