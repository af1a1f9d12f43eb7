"""In which batches an evaluation computes, and that its result does not depend on them."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cars_hw import data
from cars_hw.config import SearchConfig
from cars_hw.data import Data
from cars_hw.weights.evaluation import LARGEST_LOSS, images_within
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan
from devices.foundation import ConfigError
from tests.fakes.small_spaces import small

_PLAN = TrainingPlan(batch_size=16, crop_padding=1, recalibration_images=48, recalibration_batch_size=16)


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", fitness_images=64)


def _trainer(digits: Data, *, seed: int = 1, **plan: float) -> SuperNetTrainer:
    space = small("nasbench201")
    return SuperNetTrainer(space, digits, _PLAN.model_copy(update=plan), total_steps=20, seed=seed)


@pytest.mark.parametrize("name", ["darts", "mobilenet", "nasbench201", "nse"])
def test_the_largest_tensor_is_the_one_that_the_network_computes(name: str) -> None:
    space, seen = small(name), list[int]()
    network = SuperNet(space).extract(space.sample(np.random.default_rng(0))).eval()

    def look(module: nn.Module, inputs: object, output: Tensor) -> None:
        seen.append(output[0].numel())

    for module in network.modules():
        module.register_forward_hook(look)
    with torch.inference_mode():
        network(torch.randn(2, *space.image_shape))
    size_bytes = 4 * max(seen)
    assert images_within(network.graph.live, 10 * size_bytes) == 10
    assert images_within(network.graph.live, 10 * size_bytes - 1) == 9
    assert images_within(network.graph.live, 1) == 1


def test_a_soft_graph_has_a_largest_tensor_too() -> None:
    space = small("darts")
    soft = SuperNet(space).share(space.sample(np.random.default_rng(0)), soft_path=True)
    largest = max(math.prod(node.spec.input_shape[1:]) for node in soft.graph.nodes)
    assert 1 <= images_within(soft.graph, 400 * largest) <= 100


@pytest.mark.parametrize(("tensor_mib", "batches"), [(0.0, 1), (1.0, 1), (1e-6, 64)])
def test_batches_are_as_large_as_their_tensors_may_be(digits: Data, tensor_mib: float, batches: int) -> None:
    trainer, pauses = _trainer(digits, evaluation_tensor_mib=tensor_mib), list[int]()
    trainer.between_batches = lambda: pauses.append(1)
    found = trainer.accuracy(trainer.space.sample(np.random.default_rng(0)))
    assert 1 + len(pauses) == 3 + batches  # three of recalibration
    assert found == _trainer(digits).accuracy(trainer.space.sample(np.random.default_rng(0)))


def test_the_statistics_do_not_depend_on_the_batches_that_judge(digits: Data) -> None:
    trainers = [_trainer(digits, evaluation_batch_size=size) for size in (5, 64)]
    architecture = trainers[0].space.sample(np.random.default_rng(0))
    one, other = (trainer.network(architecture).state_dict() for trainer in trainers)
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert trainers[0].accuracy(architecture) == trainers[1].accuracy(architecture)


def test_with_the_settings_of_earlier_runs_the_statistics_are_theirs(digits: Data) -> None:
    """Their recalibration had the batches of the evaluation."""
    sizes = {"recalibration_batch_size": 0, "evaluation_tensor_mib": 0.0, "evaluation_batch_size": 24}
    before = _trainer(digits, seed=1, **sizes, quick_forms=False)
    now = _trainer(digits, recalibration_batch_size=24)
    architecture = before.space.sample(np.random.default_rng(0))
    one, other = (trainer.network(architecture).state_dict() for trainer in (before, now))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert (before.numerics, now.numerics) == (1, 2)


def test_an_evaluation_leaves_the_shared_weights_and_statistics_alone(digits: Data) -> None:
    trainer = _trainer(digits)
    rng = np.random.default_rng(0)
    trainer.step([trainer.space.sample(rng)])
    before = {name: tensor.clone() for name, tensor in trainer.supernet.state_dict().items()}
    trainer.accuracy(trainer.space.sample(rng))
    after = trainer.supernet.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert all(module.training for module in trainer.supernet.modules())


def test_a_share_of_the_fitness_images_judges_and_is_what_the_ledger_counts(digits: Data) -> None:
    trainer = _trainer(digits, fitness_share=0.25)
    architecture = trainer.space.sample(np.random.default_rng(0))
    for _ in range(3):
        trainer.step([architecture])
    accuracy = trainer.accuracy(architecture)
    images, labels = trainer.judging_images
    with torch.inference_mode():
        right = trainer.network(architecture)(images).argmax(1) == labels
    assert len(labels) == 16
    assert accuracy == float(right.double().mean())
    assert trainer.ledger.evaluation_images == 16 + 48
    assert len(trainer.fitness[1]) == 64


def test_a_share_of_the_recalibration_images_sets_the_statistics_until_all_judge(digits: Data) -> None:
    trainer = _trainer(digits, recalibration_share=0.5)
    architecture = trainer.space.sample(np.random.default_rng(0))
    for _ in range(3):
        trainer.step([architecture])
    fewer = _trainer(digits, recalibration_images=24)
    fewer.restore(trainer.state())
    assert trainer.accuracy(architecture) == fewer.accuracy(architecture)
    assert trainer.ledger.evaluation_images == 24 + 64
    assert trainer.is_sparing
    assert not fewer.is_sparing
    trainer.judge_by_all(True)
    trainer.accuracy(architecture)
    assert trainer.ledger.evaluation_images == 24 + 64 + 48 + 64
    all_of_them = _trainer(digits)
    all_of_them.restore(trainer.state())
    one, other = (found.network(architecture).state_dict() for found in (trainer, all_of_them))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_where_a_share_judges_the_loss_is_that_of_torch(digits: Data) -> None:
    trainer = _trainer(digits, fitness_share=0.5)
    architecture = trainer.space.sample(np.random.default_rng(0))
    trainer.step([architecture])
    trainer.accuracy(architecture)
    images, labels = trainer.judging_images
    with torch.inference_mode():
        loss = functional.cross_entropy(trainer.network(architecture)(images), labels)
    assert trainer.last_loss == pytest.approx(float(loss), abs=1e-4)
    one_by_one = _trainer(digits, fitness_share=0.5, evaluation_tensor_mib=1e-6)
    one_by_one.restore(trainer.state())
    one_by_one.accuracy(architecture)
    assert one_by_one.last_loss == pytest.approx(trainer.last_loss, abs=1e-5)


def test_logits_that_are_nan_lose_as_much_as_an_image_can(digits: Data) -> None:
    trainer = _trainer(digits, fitness_share=0.5)
    architecture = trainer.space.sample(np.random.default_rng(0))
    with torch.no_grad():
        for parameter in trainer.supernet.parameters():
            parameter.fill_(math.nan)
    assert trainer.accuracy(architecture) == 0.0
    assert trainer.last_loss == LARGEST_LOSS


def test_the_images_of_a_share_are_of_each_class_alike_and_drawn_by_the_seed(digits: Data) -> None:
    shares = [_trainer(digits, seed=seed, fitness_share=0.5).judging_images for seed in (1, 1, 2)]
    whole, _ = _trainer(digits).judging_images
    known = {image.numpy().tobytes() for image in whole}
    assert {image.numpy().tobytes() for image in shares[0][0]} < known
    assert torch.equal(shares[0][0], shares[1][0])
    assert not torch.equal(shares[0][0], shares[2][0])
    of_classes = torch.bincount(torch.from_numpy(digits.fitness.labels)) / 2 - torch.bincount(shares[0][1])
    assert of_classes.abs().max() <= 1


def test_the_smallest_share_is_one_image(digits: Data) -> None:
    _, labels = _trainer(digits, fitness_share=1e-6).judging_images
    assert len(labels) == 1


@pytest.mark.parametrize("share", [0, 1.01, float("nan")])
def test_a_share_that_is_none_is_one_line(share: float) -> None:
    with pytest.raises(ConfigError, match="fitness_share") as caught:
        SearchConfig.load(None, {"training.fitness_share": share})
    assert len(str(caught.value).splitlines()) == 1
