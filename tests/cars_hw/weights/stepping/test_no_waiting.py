"""The host does not wait: counted on a CPU, and run on a device from which nothing can be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from cars_hw import data, strategies
from cars_hw.data import Data
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives.error import Error
from cars_hw.objectives.parameters import Parameters
from cars_hw.search import Schedule, Search
from cars_hw.strategies._strategy import Strategy
from cars_hw.weights.augmentation import Augmentation
from cars_hw.weights.evaluation import Evaluation, Progress
from cars_hw.weights.normalised_images import NormalisedImages
from cars_hw.weights.option_gradients import option_gradients
from cars_hw.weights.placement import placed
from cars_hw.weights.stepping.arithmetic import Arithmetic
from cars_hw.weights.stepping.stepper import Stepper
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import Precision, TrainingPlan
from tests.fakes.small_spaces import small

_PLAN = TrainingPlan(
    batch_size=16,
    crop_padding=1,
    cutout=2,
    recalibration_images=32,
    recalibration_batch_size=16,
    evaluation_batch_size=16,
    clip_norm=1.0,
)
_SPACE = small("nasbench201")
_STEPS = 4

#: What brings values to the host, by the names of methods of tensors, and of operations below those.
_METHODS = frozenset(
    {"cpu", "numpy", "tolist", "item", "nonzero", "__bool__", "__float__", "__int__", "__index__"}
)
_OPERATIONS = frozenset(
    {"aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::is_nonzero", "aten::equal"}
)


class _Operations(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.name().partition(".")[0]
        if name == "aten::index" and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        ):
            name = "aten::nonzero"  # which choosing by truth values does
        if name in _OPERATIONS:
            self._found.append(name)
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = getattr(func, "__name__", "")
        if name in _METHODS:
            self._found.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def _counted() -> Iterator[list[str]]:
    """Yield what has been waited for so far: once for each operation, and for a method that runs none."""
    found: list[str] = []
    with _Methods(found), _Operations(found):
        yield found


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", fitness_images=40)


def _trainer(digits: Data) -> SuperNetTrainer:
    return SuperNetTrainer(_SPACE, digits, _PLAN, total_steps=100, seed=1)


def _searched(strategy: Strategy, trainer: SuperNetTrainer) -> Search:
    """Return a search after its first round, so that there is a population to train."""
    search = Search(trainer, strategy, [Error(trainer), Parameters(_SPACE)], Schedule(1, _STEPS, 1))
    next(search.run())
    return search


def test_what_is_counted_is_what_waits() -> None:
    with _counted() as found:
        tensor = torch.tensor([1.0, 0.0])
        float(tensor[0])
        if tensor[1] > 0:
            raise AssertionError
        tensor.cpu()
        tensor.tolist()
        tensor[tensor > 0]
    assert {"aten::_local_scalar_dense", "cpu", "tolist", "aten::nonzero"} <= set(found)


@pytest.mark.parametrize("name", [name for name in strategies.names() if name != "nse"])
def test_the_steps_of_a_generation_wait_for_nothing(name: str, digits: Data) -> None:
    trainer = _trainer(digits)
    strategy = strategies.load(name, _SPACE, np.random.default_rng(0), population_size=3)
    search = _searched(strategy, trainer)
    with _counted() as found:
        strategy.train(trainer, _STEPS)
    assert found == []
    assert trainer.ledger.tried_steps == 1 + _STEPS
    assert search.history


def test_nse_waits_once_for_each_gradient_of_options_and_for_none_of_its_steps(digits: Data) -> None:
    trainer = _trainer(digits)
    strategy = strategies.load("nse", _SPACE, np.random.default_rng(0), population_size=3)
    _searched(strategy, trainer)
    before = trainer.ledger.option_steps
    with _counted() as found:
        strategy.train(trainer, _STEPS)
    gradients = trainer.ledger.option_steps - before
    assert gradients > 0
    assert found == ["tolist"] * gradients


def test_an_evaluation_waits_once_at_its_end(digits: Data) -> None:
    trainer = _trainer(digits)
    batches: list[int] = []
    architecture = _SPACE.sample(np.random.default_rng(0))
    with _counted() as found:
        trainer.between_batches = lambda: batches.append(len(found))
        trainer.accuracy(architecture)
    assert batches == [0, 0, 0, 0]  # of five: two of recalibration, three that judge
    assert found == ["tolist"]


def test_the_losses_of_all_steps_are_read_in_one_copy(digits: Data) -> None:
    trainer = _trainer(digits)
    losses = [trainer.step([_SPACE.sample(np.random.default_rng(i))]) for i in range(3)]
    with _counted() as found:
        values = [float(loss) for loss in losses]
        assert trainer.ledger.loss == pytest.approx(np.mean(values))
    assert found == ["tolist"]


_META = torch.device("meta")


def _elsewhere(precision: Precision = "float32") -> tuple[SuperNet, Arithmetic]:
    """Return weights on a device that refuses to be read, and to compute with tensors of the host."""
    arithmetic = Arithmetic(_META, "float32")
    place = partial(placed, plan=TrainingPlan(), device=_META, is_half=precision != "float32")
    return SuperNet(_SPACE, place=place), arithmetic


def _images(digits: Data) -> NormalisedImages:
    return NormalisedImages(digits.training, digits.channel_mean, digits.channel_std, _META)


@pytest.mark.parametrize("soft_path", [False, True])
def test_a_step_needs_nothing_that_is_on_the_device(soft_path: bool, digits: Data) -> None:
    supernet, arithmetic = _elsewhere()
    images, rows = _images(digits), torch.arange(16)
    stepper = Stepper(supernet, _PLAN, arithmetic)
    stepper.go_by(lambda _: 0.1, 0)
    augment = Augmentation(2, 2, flip=True)
    batch = augment(images.batch(rows), torch.Generator().manual_seed(0))
    for _ in range(2):
        loss = stepper.step(_pair(), batch, images.labels_of(rows), soft_path=soft_path)
    assert (loss.device, batch.device) == (_META, _META)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        float(loss)


def test_an_evaluation_needs_nothing_that_is_on_the_device_until_it_is_settled(digits: Data) -> None:
    supernet, _ = _elsewhere()
    images = _images(digits)
    first, _ = _pair()
    evaluation = Evaluation(
        Progress(first, "current"),
        supernet.extract(first),
        [images.batch(slice(0, 32))],
        images,
        batch_size=512,
    )
    while not evaluation.is_done:
        evaluation.advance()
    assert evaluation.progress.batches > 2
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        evaluation.settle()


def test_gradients_of_options_are_read_from_the_device_they_are_on(digits: Data) -> None:
    supernet, _ = _elsewhere()
    images, rows = _images(digits), torch.arange(16)
    chosen, other = _pair()
    with pytest.raises((RuntimeError, NotImplementedError), match=r"tolist|meta"):
        option_gradients(supernet, chosen, other, images.batch(rows), images.labels_of(rows))


def _pair() -> list[Architecture]:
    rng = np.random.default_rng(3)
    return [_SPACE.sample(rng) for _ in range(2)]
