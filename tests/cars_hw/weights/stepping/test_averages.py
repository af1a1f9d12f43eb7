"""Averages of weights: over whose steps, what is judged by them, and that they are saved."""

import copy

import numpy as np
import pytest
import torch

from cars_hw import data
from cars_hw.data import Data
from cars_hw.errors import CheckpointError
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.trainer import TrainerState
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan

_SPACE = Nasbench201(deploy="search", channels=4, cells=1, image_size=8, image_channels=1)
_DECAY = 0.8
_PATHS: list[Architecture] = [(3, 3, 3, 3, 3, 3), (2, 2, 2, 2, 2, 2), (3, 1, 3, 0, 4, 3), (2, 3, 2, 3, 1, 1)]


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", fitness_images=50)


def trainer(digits: Data, decay: float = _DECAY) -> SuperNetTrainer:
    plan = TrainingPlan(
        batch_size=16, learning_rate=0.3, recalibration_images=16, crop_padding=1, weight_averaging=decay
    )
    return SuperNetTrainer(_SPACE, digits, plan, total_steps=40, seed=1)


def trained(digits: Data, decay: float = _DECAY, steps: int = 8) -> SuperNetTrainer:
    made = trainer(digits, decay)
    for step in range(steps):
        made.step([_PATHS[step % len(_PATHS)]])
    return made


def test_each_weight_is_averaged_over_the_steps_that_move_it(digits: Data) -> None:
    made, expected = trainer(digits), dict[str, torch.Tensor]()
    for step in range(8):
        made.step([_PATHS[step % len(_PATHS)]])
        on_path = set(made.supernet.path(_PATHS[step % len(_PATHS)]).parameters)
        for name, weight in made.supernet.named_parameters():
            if weight in on_path:
                now = weight.detach().clone()
                expected[name] = _DECAY * expected[name] + (1 - _DECAY) * now if name in expected else now
    state = made.state()
    found = {name: one for name, one in state.arrays.items() if name.startswith("average/")}
    assert found.keys() == {f"average/{name}" for name in expected}
    for name, average in expected.items():
        assert found[f"average/{name}"] == pytest.approx(average.numpy(), abs=1e-6)


def test_a_network_is_judged_by_the_averages_of_its_weights(digits: Data) -> None:
    made, plain = trained(digits), trained(digits, 0.0)
    averages = made.state().arrays
    twin = copy.deepcopy(plain.supernet)
    with torch.no_grad():
        for name, weight in plain.supernet.named_parameters():
            if f"average/{name}" in averages:
                weight.copy_(torch.from_numpy(np.array(averages[f"average/{name}"])))
    for own, its in zip(twin.parameters(), made.supernet.parameters(), strict=True):
        assert torch.equal(own, its), "averaging changed the training itself"
    assert [made.accuracy(one) for one in _PATHS] == [plain.accuracy(one) for one in _PATHS]


def test_what_was_averaged_before_a_generation_judges_as_the_previous_weights(digits: Data) -> None:
    made = trained(digits)
    before = [made.accuracy(one) for one in _PATHS]
    made.remember()
    for step in range(12):
        made.step([_PATHS[step % len(_PATHS)]])
    assert [made.accuracy(one, "previous") for one in _PATHS] == before
    assert [made.accuracy(one) for one in _PATHS] != before


def test_averages_are_saved_with_an_evaluation_that_is_unfinished(digits: Data) -> None:
    made, twin = trained(digits), trainer(digits)
    states: list[TrainerState] = []
    made.between_batches = lambda: states.append(made.state_within())
    expected = made.accuracy(_PATHS[2])
    twin.restore(states[0])
    assert twin.accuracy(_PATHS[2]) == expected
    for one in (made, twin):
        one.step(_PATHS[:1])
    assert twin.state().arrays.keys() == made.state().arrays.keys()
    for name, array in made.state().arrays.items():
        assert np.array_equal(twin.state().arrays[name], array), name


def test_averages_of_another_shape_are_refused(digits: Data) -> None:
    state = trained(digits, steps=1).state()
    name = next(name for name in state.arrays if name.startswith("average/"))
    spoilt = TrainerState({**state.arrays, name: np.zeros((7, 7, 7), np.float32)}, state.values)
    with pytest.raises(CheckpointError, match="does not fit this space"):
        trainer(digits).restore(spoilt)


def test_averages_of_dropped_operations_are_forgotten(digits: Data) -> None:
    made = trained(digits)
    made.activate(_SPACE.restrict(((3,),) * 6))
    names = [name for name, _ in made.supernet.named_parameters()]
    kept = [name for name in made.state().arrays if name.startswith("average/")]
    assert kept
    assert {name.removeprefix("average/") for name in kept} <= set(names)
    made.reset(10)
    assert not [name for name in made.state().arrays if name.startswith("average/")]
