"""Training in other numbers, really in them on a CPU: what changes, what does not, and what is saved."""

import copy
import math

import numpy as np
import pytest
import torch

from cars_hw import data
from cars_hw.data import Data
from cars_hw.networks.architecture import Architecture
from cars_hw.trainer import TrainerState
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import Precision, TrainingPlan
from devices.foundation import ConfigError
from tests.fakes.small_spaces import small

_SPACE = small("nasbench201")
_PLAN = TrainingPlan(batch_size=32, learning_rate=0.1, crop_padding=1, recalibration_images=32)


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", fitness_images=60)


def _trainer(digits: Data, **changes: object) -> SuperNetTrainer:
    plan = TrainingPlan.checked("training", {**_PLAN.values(), **changes})
    return SuperNetTrainer(_SPACE, digits, plan, total_steps=40, seed=1)


def _path(n: int) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [_SPACE.sample(rng) for _ in range(n)]


def _losses(trainer: SuperNetTrainer, path: list[Architecture]) -> list[float]:
    return [float(loss) for loss in [trainer.step([architecture]) for architecture in path]]


def _scale(trainer: SuperNetTrainer, factor: float) -> None:
    state = trainer.state()
    arrays = {**state.arrays, "scale/factor": np.array(factor, dtype=np.float32)}
    trainer.restore(TrainerState(arrays, state.values))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_numbers_have_nearly_the_loss_and_lower_it_too(precision: Precision, digits: Data) -> None:
    [architecture], trainer = _path(1), _trainer(digits, precision=precision)
    if precision == "float16":  # its scale begins so large that the first steps overflow
        _scale(trainer, 1024.0)
    [exact] = _losses(_trainer(digits), [architecture])
    half = _losses(trainer, [architecture] * 20)
    assert half[0] != exact
    assert half[0] == pytest.approx(exact, rel=2e-3)
    assert np.mean(half[-5:]) < np.mean(half[:5]) - 0.2


def test_tf32_is_float32_where_there_is_no_gpu(digits: Data) -> None:
    path = _path(3)
    assert _losses(_trainer(digits, precision="tf32"), path) == _losses(_trainer(digits), path)


def test_weights_stay_in_float32_and_evaluations_compute_in_it(digits: Data) -> None:
    trainer = _trainer(digits, precision="bfloat16")
    [architecture] = _path(1)
    trainer.step([architecture])
    assert {array.dtype for name, array in trainer.state().arrays.items() if "tracked" not in name} == {
        np.dtype(np.float32)
    }
    exact = _trainer(digits)
    exact.restore(trainer.state())
    assert trainer.accuracy(architecture) == exact.accuracy(architecture)


def test_a_scaled_loss_that_overflows_is_skipped_and_halves_its_scale(digits: Data) -> None:
    trainer = _trainer(digits, precision="float16")
    _scale(trainer, 2.0**60)
    [architecture] = _path(1)
    before = trainer.state()
    assert math.isnan(float(trainer.step([architecture])))
    after = trainer.state()
    assert (trainer.ledger.steps, trainer.ledger.skipped_steps) == (0, 1)
    assert float(after.arrays["scale/factor"]) == 2.0**59
    for name, array in before.arrays.items():
        if name.startswith("weights/") and "running" not in name and "tracked" not in name:
            assert np.array_equal(array, after.arrays[name]), name


def test_a_restored_trainer_goes_on_bit_for_bit_with_its_scale(digits: Data) -> None:
    path, straight = _path(6), _trainer(digits, precision="float16")
    _losses(straight, path[:3])
    state = copy.deepcopy(straight.state())
    assert {name for name in state.arrays if name.startswith("scale/")} == {"scale/factor", "scale/taken"}
    resumed = _trainer(digits, precision="float16")
    resumed.restore(state)
    assert _losses(straight, path[3:]) == _losses(resumed, path[3:])
    for name, array in straight.state().arrays.items():
        assert np.array_equal(array, resumed.state().arrays[name]), name


def test_only_a_scaled_run_has_a_scale_in_its_state(digits: Data) -> None:
    trainer = _trainer(digits)
    _losses(trainer, _path(1))
    assert {name.partition("/")[0] for name in trainer.state().arrays} == {"weights", "momentum"}


def test_a_layout_changes_sums_by_rounding_alone(digits: Data) -> None:
    path = _path(4)
    default, contiguous = (_losses(_trainer(digits, layout=one), path) for one in ("auto", "contiguous"))
    assert contiguous == pytest.approx(default, rel=1e-4)


@pytest.mark.parametrize(
    "wrong", [{"precision": "float64"}, {"layout": "nchw"}, {"cuda_graphs": -1}, {"deterministic": "yes!"}]
)
def test_other_words_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainingPlan.checked("training", wrong)


def test_the_rate_of_a_step_is_that_of_the_steps_taken_before_it(digits: Data) -> None:
    """Steps that were skipped do not count, though nobody read that they were; a reset counts anew."""
    plan = {"momentum": 0.0, "weight_decay": 0.0, "clip_norm": 1e-3, "learning_rate": 1.0}
    trainer = _trainer(digits, **plan, final_learning_rate=0.0)
    [architecture] = _path(1)

    def moved() -> float:
        """Return how far a step went: its rate times the norm to which its gradient is clipped."""
        before = [one.detach().clone() for one in trainer.supernet.parameters()]
        trainer.step([architecture])
        pairs = zip(before, trainer.supernet.parameters(), strict=True)
        return math.sqrt(sum(float(((was - now.detach()) ** 2).sum()) for was, now in pairs)) / 1e-3

    def rate(taken: int, steps: int) -> float:
        return (1 + math.cos(math.pi * taken / steps)) / 2

    assert moved() == pytest.approx(rate(0, 40), rel=1e-2)
    stem = trainer.supernet.unit(_SPACE.graph(architecture).nodes[0])
    poison = stem.register_forward_pre_hook(lambda _, inputs: (inputs[0] * math.inf,))
    for _ in range(15):
        assert moved() == 0.0
    poison.remove()
    for taken in range(1, 6):
        assert moved() == pytest.approx(rate(taken, 40), rel=1e-2)
    trainer.reset(4)
    assert [moved() for _ in range(5)] == pytest.approx([rate(n, 4) for n in range(5)], rel=2e-2, abs=1e-3)
    assert trainer.ledger.skipped_steps == 15


def test_statistics_that_met_infinity_are_repaired_before_they_are_saved(digits: Data) -> None:
    trainer = _trainer(digits)
    [architecture] = _path(1)
    stem = trainer.supernet.unit(_SPACE.graph(architecture).nodes[0])
    poison = stem.register_forward_pre_hook(lambda _, inputs: (inputs[0] * math.inf,))
    loss = trainer.step([architecture])
    poison.remove()
    assert not all(torch.isfinite(buffer).all() for buffer in trainer.supernet.buffers())
    assert math.isnan(float(loss))
    trainer.remember()
    arrays = trainer.state_within().arrays
    assert any(name.startswith("previous/") for name in arrays)
    assert all(np.isfinite(array).all() for array in arrays.values())
