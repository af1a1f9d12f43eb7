"""The shared weights: what a step moves, what it never touches, and what an evaluation means."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import backward
from torch.nn import functional

from cars_hw import data
from cars_hw.data import Data, ImageSet
from cars_hw.errors import CheckpointError
from cars_hw.ledger import Ledger
from cars_hw.spaces.darts import Darts
from cars_hw.trainer import TrainerState
from cars_hw.weights.stepping.sgd import Sgd
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan
from devices.foundation.errors import ConfigError

_PLAN = TrainingPlan(
    batch_size=32,
    learning_rate=0.1,
    crop_padding=1,
    recalibration_images=64,
    weight_decay=3e-4,
)


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", fitness_images=100)


@pytest.fixture(scope="module")
def space() -> Darts:
    return Darts(deploy="search", channels=2, cells=3, image_size=8, image_channels=1, classes=10)


def _trainer(
    space: Darts, digits: Data, plan: TrainingPlan = _PLAN, total_steps: int = 40
) -> SuperNetTrainer:
    return SuperNetTrainer(space, digits, plan, total_steps=total_steps, seed=1)


def test_training_lowers_the_loss_and_the_error(space: Darts, digits: Data) -> None:
    trainer = _trainer(space, digits)
    architecture = space.sample(np.random.default_rng(0))
    before = trainer.accuracy(architecture)
    losses = [float(trainer.step([architecture])) for _ in range(40)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3
    assert trainer.accuracy(architecture) > before + 0.2


def test_an_epoch_sees_every_image_in_batches_of_one_size(space: Darts, digits: Data) -> None:
    """The last one sees some images of the one before again: 1 697 images are 53 times 32, and one more."""
    trainer = _trainer(space, digits)
    n = len(digits.training.labels)
    assert trainer.steps_per_epoch == 54
    for epoch in range(2):
        batches = [trainer._batch(54 * epoch + i, size=32, n=n) for i in range(54)]
        assert {len(batch) for batch in batches} == {32}
        assert set(torch.cat(batches).tolist()) == set(range(n))


def test_a_step_follows_the_mean_gradient_of_its_architectures(space: Darts, digits: Data) -> None:
    plan = TrainingPlan(
        batch_size=32, learning_rate=1.0, momentum=0, weight_decay=0, clip_norm=1e9, crop_padding=0
    )
    rng = np.random.default_rng(1)
    first, second = space.sample(rng), space.sample(rng)

    def moved(*architectures: tuple[int, ...]) -> dict[str, torch.Tensor]:
        trainer = _trainer(space, digits, plan)
        before = {name: tensor.clone() for name, tensor in trainer.supernet.named_parameters()}
        trainer.step(architectures)
        return {name: before[name] - tensor.detach() for name, tensor in trainer.supernet.named_parameters()}

    one, other, both = moved(first), moved(second), moved(first, second)
    for name, step in both.items():
        torch.testing.assert_close(step, (one[name] + other[name]) / 2, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2])
def test_steps_are_to_the_bit_those_that_look_through_all_weights(n: int, space: Darts, digits: Data) -> None:
    rng, trainer, plain = np.random.default_rng(8), _trainer(space, digits), _trainer(space, digits)
    optimizer, taken = Sgd(momentum=_PLAN.momentum, weight_decay=_PLAN.weight_decay), torch.tensor(True)
    for _ in range(3):
        members = [space.sample(rng) for _ in range(n)]
        rate = torch.tensor(trainer.learning_rate)
        trainer.step(members)
        images, labels = plain._next_batch()
        for member in members:
            loss = functional.cross_entropy(plain.supernet(images, member), labels) / n
            backward(loss)
        moved = [weight for weight in plain.supernet.parameters() if weight.grad is not None]
        nn.utils.clip_grad_norm_(moved, _PLAN.clip_norm)
        optimizer.step(moved, rate, taken)
        plain.supernet.zero_grad()
    other = plain.supernet.state_dict()
    assert all(torch.equal(tensor, other[name]) for name, tensor in trainer.supernet.state_dict().items())


def test_a_step_leaves_all_other_weights_momenta_and_statistics_bit_equal(space: Darts, digits: Data) -> None:
    trainer = _trainer(space, digits)
    rng = np.random.default_rng(2)
    for _ in range(5):
        trainer.step([space.sample(rng)])
    before = trainer.state()
    architecture = space.sample(rng)
    trainer.step([architecture])
    after = trainer.state()
    live = {
        id(module)
        for node in space.graph(architecture).live.nodes
        for module in trainer.supernet.unit(node).modules()
    }
    owners = {name: id(module) for name, module in trainer.supernet.named_modules()}
    touched = [name for name in before.arrays if not np.array_equal(before.arrays[name], after.arrays[name])]
    assert touched
    for name in touched:
        assert owners[name.partition("/")[2].rpartition(".")[0]] in live


def test_a_loss_that_is_not_finite_is_skipped_and_counted(space: Darts, digits: Data) -> None:
    trainer = _trainer(space, digits)
    architecture = space.sample(np.random.default_rng(3))
    trainer.step([architecture])
    before = trainer.state()
    classifier = space.graph(architecture).nodes[-1]
    broken = trainer.supernet.unit(classifier).register_forward_hook(
        lambda *_: torch.full((32, 10), math.nan, requires_grad=True)
    )
    assert math.isnan(trainer.step([architecture]))
    broken.remove()
    after = trainer.state()
    assert (trainer.ledger.steps, trainer.ledger.skipped_steps) == (1, 1)
    for name, array in before.arrays.items():
        if "running" not in name and "num_batches" not in name:
            assert np.array_equal(array, after.arrays[name]), name
    assert math.isfinite(trainer.step([architecture]))


@pytest.mark.parametrize(("learning_rate", "diverges"), [(0.1, False), (1.0, True), (100.0, True)])
def test_the_ledger_tells_whether_training_diverged_with_no_step_skipped(
    space: Darts, digits: Data, learning_rate: float, diverges: bool
) -> None:
    plan = _PLAN.model_copy(update={"learning_rate": learning_rate})
    trainer, rng = _trainer(space, digits, plan), np.random.default_rng(0)
    losses = [float(trainer.step([space.sample(rng)])) for _ in range(20)]
    ledger = trainer.ledger
    assert ledger.skipped_steps == 0
    assert ledger.loss == pytest.approx(np.mean(losses))
    assert ledger.least_loss == pytest.approx(min(np.mean(losses[:n]) for n in range(5, 21)))
    assert (ledger.loss > 1.5 * math.log(10)) is diverges
    trainer.reset(10)
    loss = float(trainer.step([space.sample(rng)]))
    assert (ledger.loss_steps, ledger.loss, ledger.least_loss) == (1, loss, 0.0)


def test_a_ledger_of_an_earlier_version_is_read_as_one_that_knows_no_loss() -> None:
    ledger = Ledger(steps=3, loss_steps=3, loss=2.0)
    figures = ledger.to_json()
    old = {name: value for name, value in figures.items() if "loss" not in name}
    read = Ledger(loss=9.0)
    read.restore(old)
    assert (read.steps, read.loss_steps, read.loss, read.least_loss) == (3, 0, 0.0, 0.0)
    with pytest.raises(ValueError, match="not those of this version"):
        read.restore({name: value for name, value in old.items() if name != "steps"})


def test_weights_and_statistics_never_become_nan(space: Darts, digits: Data) -> None:
    trainer = _trainer(space, digits)
    architecture = space.sample(np.random.default_rng(4))
    stem = trainer.supernet.unit(space.graph(architecture).nodes[0])
    poison = stem.register_forward_pre_hook(lambda _, inputs: (inputs[0] * math.inf,))
    for _ in range(3):
        assert math.isnan(trainer.step([architecture]))
    poison.remove()
    assert trainer.ledger.skipped_steps == 3
    assert all(np.isfinite(array).all() for array in trainer.state().arrays.values())


def test_an_evaluation_uses_the_fitness_images_and_changes_nothing(space: Darts, digits: Data) -> None:
    trainer = _trainer(space, digits)
    architecture = space.sample(np.random.default_rng(5))
    for _ in range(3):
        trainer.step([architecture])
    before = trainer.state()
    accuracy = trainer.accuracy(architecture)
    network = trainer.network(architecture)
    images, labels = trainer.fitness
    with torch.inference_mode():
        assert accuracy == pytest.approx(float((network(images).argmax(1) == labels).float().mean()))
    after = trainer.state()
    assert all(np.array_equal(before.arrays[name], after.arrays[name]) for name in before.arrays)
    assert trainer.ledger.evaluations == 1
    assert trainer.ledger.evaluation_images == 164


def test_previous_weights_are_those_of_the_last_remember(space: Darts, digits: Data) -> None:
    trainer = _trainer(space, digits)
    architecture = space.sample(np.random.default_rng(6))
    with pytest.raises(RuntimeError, match="remember"):
        trainer.accuracy(architecture, "previous")
    for _ in range(2):
        trainer.remember()
        then = trainer.accuracy(architecture)
        for _ in range(15):
            trainer.step([architecture])
        assert trainer.accuracy(architecture, "previous") == then
    assert trainer.ledger.previous_evaluations == 2


def test_a_restored_trainer_goes_on_bit_for_bit(space: Darts, digits: Data) -> None:
    rng = np.random.default_rng(7)
    path = [space.sample(rng) for _ in range(8)]
    straight = _trainer(space, digits)
    for architecture in path[:4]:
        straight.step([architecture])
    state = copy.deepcopy(straight.state())
    resumed = SuperNetTrainer(space, digits, _PLAN, total_steps=40, seed=1)
    resumed.restore(state)
    for architecture in path[4:]:
        assert float(straight.step([architecture])) == float(resumed.step([architecture]))
    left, right = straight.state(), resumed.state()
    assert left.arrays.keys() == right.arrays.keys()
    assert all(np.array_equal(left.arrays[name], right.arrays[name]) for name in left.arrays)
    assert left.values["batches"] == right.values["batches"]


def test_the_state_of_another_space_is_refused(space: Darts, digits: Data) -> None:
    other = Darts(deploy="search", channels=4, cells=3, image_size=8, image_channels=1, classes=10)
    with pytest.raises(CheckpointError, match="does not fit this space"):
        _trainer(space, digits).restore(_trainer(other, digits).state())


def test_the_learning_rate_falls_along_a_cosine(space: Darts, digits: Data) -> None:
    plan = TrainingPlan(batch_size=8, learning_rate=0.1, final_learning_rate=0.02)
    trainer = _trainer(space, digits, plan, total_steps=4)
    architecture = space.sample(np.random.default_rng(8))
    rates = []
    for _ in range(6):
        trainer.step([architecture])
        rates.append(trainer.learning_rate)
    assert rates[1] == pytest.approx(0.02 + 0.08 * (1 + math.cos(math.pi / 2)) / 2)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.02)


def test_a_reset_lets_the_learning_rate_fall_anew_over_its_steps(space: Darts, digits: Data) -> None:
    plan = TrainingPlan(batch_size=8, learning_rate=0.1, final_learning_rate=0.02)
    trainer = _trainer(space, digits, plan, total_steps=100)
    architecture = space.sample(np.random.default_rng(8))
    trainer.step([architecture])
    trainer.reset(4)
    resumed = _trainer(space, digits, plan, total_steps=100)
    resumed.restore(trainer.state())
    for each in (trainer, resumed):
        rates = [each.learning_rate]
        for _ in range(5):
            each.step([architecture])
            rates.append(each.learning_rate)
        expected = [0.02 + 0.08 * (1 + math.cos(math.pi * share)) / 2 for share in (0, 0.25, 0.5, 0.75, 1, 1)]
        assert rates == pytest.approx(expected)


def test_a_state_that_does_not_know_the_learning_rate_goes_on_over_all_steps(
    space: Darts, digits: Data
) -> None:
    trainer, resumed = _trainer(space, digits), _trainer(space, digits)
    trainer.step([space.sample(np.random.default_rng(8))])
    state = trainer.state()
    old = {name: value for name, value in state.values.items() if not name.startswith("rate_")}
    resumed.restore(TrainerState(state.arrays, old))
    assert resumed.learning_rate == trainer.learning_rate


def test_recalibration_images_are_of_all_classes_even_where_the_data_are_sorted(
    space: Darts, digits: Data
) -> None:
    order = np.argsort(digits.training.labels, kind="stable")
    whole = digits.training
    ordered = ImageSet("sorted", whole.images[order], whole.labels[order], flips=False, source="")
    architecture = space.sample(np.random.default_rng(9))
    statistics = []
    for recalibration_images in (200, len(order)):
        plan = TrainingPlan(batch_size=32, recalibration_images=recalibration_images)
        trainer = SuperNetTrainer(space, Data(ordered, digits.fitness), plan, total_steps=1, seed=1)
        stem = trainer.network(architecture).get_submodule("units.stem.1")
        assert isinstance(stem.running_mean, torch.Tensor)
        statistics.append(stem.running_mean)
    torch.testing.assert_close(statistics[0], statistics[1], rtol=0.1, atol=0.02)


def test_images_that_do_not_fit_the_space_are_refused(space: Darts, digits: Data) -> None:
    with pytest.raises(ConfigError, match=r"takes images of \(1, 28, 28\)"):
        SuperNetTrainer(
            Darts(deploy="search", channels=2, cells=3, image_size=28, image_channels=1),
            digits,
            _PLAN,
            total_steps=40,
        )
    two = ImageSet("two", digits.training.images, digits.training.labels % 2, flips=False, source="")
    with pytest.raises(ConfigError, match="10 classes, two has 2"):
        SuperNetTrainer(space, Data(two, two), _PLAN, total_steps=40)
    with pytest.raises(ConfigError, match="batch_size 9999 exceeds"):
        SuperNetTrainer(space, digits, TrainingPlan(batch_size=9999), total_steps=1)


@pytest.mark.parametrize("device", ["gpu0", "", "meta", "cuda:99", "hpu", "xla"])
def test_a_torch_device_that_cannot_be_used_is_one_clear_error(
    space: Darts, digits: Data, device: str
) -> None:
    with pytest.raises(
        ConfigError, match=f"torch_device '{device}' cannot be used: .*write \"cpu\""
    ) as caught:
        SuperNetTrainer(space, digits, _PLAN, total_steps=40, device=device)
    assert "\n" not in str(caught.value)


def test_logits_that_are_nan_classify_no_image_rightly(space: Darts, digits: Data) -> None:
    trainer = _trainer(space, digits)
    with torch.no_grad():
        for weight in trainer.supernet.parameters():
            weight.fill_(float("nan"))
    assert trainer.accuracy(tuple(0 for _ in space.choices)) == 0.0
