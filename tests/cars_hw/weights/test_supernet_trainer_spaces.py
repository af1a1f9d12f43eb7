"""The trainer on a moving space and on soft paths: what it keeps, what it forgets, and what it resumes."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cars_hw import data
from cars_hw.data import Data
from cars_hw.errors import ArchitectureError, CheckpointError
from cars_hw.spaces.darts import Darts
from cars_hw.trainer import TrainerState
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan

_PLAN = TrainingPlan(batch_size=16, learning_rate=0.1, crop_padding=1, recalibration_images=32)
SPACE = Darts(deploy="search", channels=2, cells=3, image_size=8, image_channels=1, classes=10)
#: Convolutions are gone from every edge, and from the last node all edges but two.
SMALLER = SPACE.restrict([(0,) if d % 12 == 9 else options[:3] for d, options in enumerate(SPACE.allowed)])
ANY = SPACE.sample(np.random.default_rng(0))
KEPT = SMALLER.sample(np.random.default_rng(1))


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", fitness_images=50)


def _trainer(digits: Data) -> SuperNetTrainer:
    return SuperNetTrainer(SPACE, digits, _PLAN, total_steps=40, seed=1)


def _train(trainer: SuperNetTrainer, space: Darts, n: int = 3) -> list[float]:
    rng = np.random.default_rng(7)
    return [float(trainer.step([space.sample(rng)])) for _ in range(n)]


def _live_bytes() -> int:
    """Return the size of all tensors that something still refers to."""
    gc.collect()
    return sum(thing.nbytes for thing in gc.get_objects() if type(thing) in (Tensor, nn.Parameter))


@pytest.mark.slow
def test_what_a_restriction_drops_is_gone_from_memory_with_its_momentum(digits: Data) -> None:
    trainer = _trainer(digits)
    trainer.activate(SPACE, soft_path=True)
    trainer.step([ANY])
    trainer.remember()
    kept = {(node.slot, node.spec) for node in SMALLER.all_nodes("search")}
    dropped = [node for node in SPACE.all_nodes("search") if (node.slot, node.spec) not in kept]
    units = nn.ModuleList(trainer.supernet.unit(node) for node in dropped)
    # Weights, their momentum and the previous weights; statistics, and the previous ones.
    expected = 3 * sum(p.nbytes for p in units.parameters()) + 2 * sum(b.nbytes for b in units.buffers())
    references = [weakref.ref(tensor) for tensor in (*units.parameters(), *units.buffers())]
    del units
    had = trainer.state()  # first: the step's loss, and rates for the next ones, are on the device till then
    before = _live_bytes()
    trainer.activate(SMALLER)
    trainer.remember()
    assert before - _live_bytes() == expected > 0
    assert len(references) > 300
    assert not any(reference() for reference in references)
    for name, array in trainer.state().arrays.items():
        assert np.array_equal(array, had.arrays[name]), name


def test_training_goes_on_in_a_restricted_space_as_if_it_had_always_been_that(digits: Data) -> None:
    moved = _trainer(digits)
    _train(moved, SMALLER)
    moved.activate(SMALLER)
    stayed = _trainer(digits)
    _train(stayed, SMALLER)
    assert _train(moved, SMALLER) == _train(stayed, SMALLER)
    assert moved.accuracy(KEPT) == stayed.accuracy(KEPT)


def test_new_operations_are_trained_from_fresh_weights_without_momentum(digits: Data) -> None:
    trainer = _trainer(digits)
    _train(trainer, SPACE)
    trainer.activate(SMALLER)
    trainer.activate(SPACE)
    state, small = trainer.state(), set(_names(SMALLER, digits))
    momenta = {name.removeprefix("momentum/") for name in state.arrays if name.startswith("momentum/")}
    assert momenta
    assert momenta <= small
    before = trainer.state()
    losses = _train(trainer, SPACE, 10)
    assert all(np.isfinite(losses))
    after = trainer.state()
    new = [name for name in _names(SPACE, digits) if name not in small]
    assert any(not np.array_equal(before.arrays[f"weights/{n}"], after.arrays[f"weights/{n}"]) for n in new)


def _names(space: Darts, digits: Data) -> list[str]:
    trainer = _trainer(digits)
    trainer.activate(space)
    return [name for name, _ in trainer.supernet.named_parameters()]


def test_another_space_forgets_the_previous_weights_and_the_same_space_nothing(digits: Data) -> None:
    trainer = _trainer(digits)
    trainer.remember()
    trainer.activate(SPACE.restrict(SPACE.allowed))
    trainer.accuracy(KEPT, "previous")
    trainer.activate(SMALLER)
    with pytest.raises(RuntimeError, match="remember"):
        trainer.accuracy(KEPT, "previous")
    trainer.remember()
    assert trainer.accuracy(KEPT, "previous") == trainer.accuracy(KEPT)


def test_a_dropped_operation_is_neither_trained_nor_judged(digits: Data) -> None:
    trainer = _trainer(digits)
    trainer.activate(SMALLER)
    for use in (lambda: trainer.step([ANY]), lambda: trainer.accuracy(ANY), lambda: trainer.network(ANY)):
        with pytest.raises(ArchitectureError, match="dropped"):
            use()


def test_a_reset_forgets_all_that_was_learnt(digits: Data) -> None:
    trainer = _trainer(digits)
    _train(trainer, SPACE)
    trainer.remember()
    trainer.reset(3)
    state = trainer.state()
    assert not [name for name in state.arrays if name.startswith("momentum/")]
    assert state.values["resets"] == 1
    with pytest.raises(RuntimeError, match="remember"):
        trainer.accuracy(KEPT, "previous")
    assert all(np.isfinite(_train(trainer, SPACE)))


def test_a_soft_step_moves_every_operation(digits: Data) -> None:
    trainer = _trainer(digits)
    trainer.activate(SPACE, soft_path=True)
    before = trainer.state()
    trainer.step([ANY])
    after = trainer.state()
    for name, _ in trainer.supernet.named_parameters():
        assert not np.array_equal(before.arrays[f"weights/{name}"], after.arrays[f"weights/{name}"]), name


@pytest.mark.slow
def test_soft_and_hard_accuracies_are_those_of_their_networks(digits: Data) -> None:
    trainer = _trainer(digits)
    trainer.activate(SPACE, soft_path=True)
    for _ in range(5):
        trainer.step([ANY])
    soft = trainer.accuracy(ANY)
    network = trainer.supernet.extract(ANY, soft_path=True)
    images, labels = trainer.fitness
    trainer.activate(SPACE)
    hard = trainer.accuracy(ANY)
    with torch.inference_mode():
        predicted = trainer.network(ANY)(images).argmax(1)
    assert hard == pytest.approx((predicted == labels).float().mean().item())
    assert sum(p.numel() for p in network.parameters()) > SPACE.graph(ANY).parameters()
    trainer.activate(SPACE, soft_path=True)
    assert trainer.accuracy(ANY) == soft


def test_evnas_validation_in_training_mode_is_not_repeated(digits: Data) -> None:
    """The released code of EvNAS validates in training mode, so that validation moves statistics."""
    trainer = _trainer(digits)
    trainer.activate(SPACE, soft_path=True)
    trainer.step([ANY])
    before = trainer.state()
    trainer.accuracy(ANY)
    after = trainer.state()
    assert all(np.array_equal(array, after.arrays[name]) for name, array in before.arrays.items())


def test_evnas_augmented_validation_is_not_repeated(digits: Data) -> None:
    """The released code of EvNAS judges on randomly augmented images: the same weights, another fitness."""
    trainer = _trainer(digits)
    trainer.activate(SPACE, soft_path=True)
    trainer.step([ANY])
    assert len({trainer.accuracy(ANY) for _ in range(3)}) == 1


def test_option_gradients_change_nothing_but_the_batch_number_and_the_ledger(digits: Data) -> None:
    trainer = _trainer(digits)
    _train(trainer, SPACE)
    before = trainer.state()
    first, second = (trainer.option_gradients(ANY, KEPT) for _ in range(2))
    after = trainer.state()
    assert first.loss != second.loss
    assert all(np.array_equal(array, after.arrays[name]) for name, array in before.arrays.items())
    assert after.values["batches"] == before.values["batches"]
    assert (trainer.ledger.option_steps, trainer.ledger.steps) == (2, 3)
    assert trainer.ledger.training_images == 5 * 16


@pytest.mark.parametrize("soft_path", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_restored_trainer_goes_on_in_the_space_of_its_state(digits: Data, soft_path: bool) -> None:
    def finish(trainer: SuperNetTrainer) -> TrainerState:
        trainer.activate(SMALLER, soft_path=soft_path)
        trainer.option_gradients(KEPT, SMALLER.sample(np.random.default_rng(5)))
        _train(trainer, SMALLER)
        trainer.activate(SPACE, soft_path=soft_path)
        _train(trainer, SPACE)
        trainer.reset(5)
        _train(trainer, SPACE)
        return trainer.state()

    straight = _trainer(digits)
    straight.activate(SMALLER, soft_path=soft_path)
    straight.reset(9)
    _train(straight, SMALLER)
    straight.option_gradients(KEPT, SMALLER.sample(np.random.default_rng(4)))
    saved = straight.state()
    resumed = _trainer(digits)
    resumed.restore(saved)
    assert resumed.space.allowed == SMALLER.allowed
    left, right = finish(straight), finish(resumed)
    assert left.arrays.keys() == right.arrays.keys()
    assert all(np.array_equal(left.arrays[name], right.arrays[name]) for name in left.arrays)
    assert (left.values["rate_start"], left.values["rate_steps"]) == (9, 5)
    assert left.values["fitness_batches"] == right.values["fitness_batches"] == 2


@pytest.fixture(scope="module")
def untrained(digits: Data) -> TrainerState:
    """The state of a trainer that has not begun."""
    return _trainer(digits).state()


@pytest.mark.parametrize(
    "damage",
    [
        {"allowed": None},
        {"allowed": [[0]]},
        {"allowed": [[9]] * 24},
        {"allowed": [[]] * 24},
        {"allowed": [["x"]] * 24},
        {"resets": "many"},
        {"fitness_batches": None},
    ],
    ids=str,
)
def test_a_damaged_state_is_refused(digits: Data, untrained: TrainerState, damage: dict[str, object]) -> None:
    values = {**untrained.values, **damage}
    with pytest.raises(CheckpointError, match="does not fit this space"):
        _trainer(digits).restore(TrainerState(untrained.arrays, values))  # type: ignore[arg-type]
