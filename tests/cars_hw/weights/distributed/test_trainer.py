"""Several ranks train as one process does that runs the same paths on the same images in turn."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from cars_hw import data
from cars_hw.data import Data
from cars_hw.errors import CheckpointError
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.trainer import TrainerState
from cars_hw.weights.distributed.trainer import DistributedTrainer, leading
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan
from devices.foundation.errors import ConfigError
from tests.fakes.teams import PlayedTeam, together

#: The first momentum is the first gradient.
_PLAN = TrainingPlan(
    batch_size=32, learning_rate=0.1, weight_decay=0, clip_norm=1e9, crop_padding=1, recalibration_images=64
)

Arrays = dict[str, NDArray[np.generic]]


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", fitness_images=100)


@pytest.fixture(scope="module")
def space() -> Nasbench201:
    return Nasbench201(deploy="search", channels=2, cells=1, image_size=8, image_channels=1, classes=10)


@pytest.fixture(scope="module")
def paths(space: Nasbench201) -> list[Architecture]:
    rng = np.random.default_rng(3)
    return [space.sample(rng) for _ in range(3)]


def below(prefix: str, state: TrainerState) -> Arrays:
    return {name: array for name, array in state.arrays.items() if name.startswith(prefix)}


def weights(state: TrainerState) -> Arrays:
    """Return what all ranks have in common: not the statistics of the images that each has seen."""
    statistics = (".running_mean", ".running_var", ".num_batches_tracked")
    return {name: array for name, array in below("weights/", state).items() if not name.endswith(statistics)}


def led(
    space: Nasbench201,
    digits: Data,
    size: int,
    work: Callable[[DistributedTrainer], None],
    *,
    plan: TrainingPlan = _PLAN,
    seeds: Sequence[int] = (1, 1, 1),
) -> list[TrainerState]:
    """Return the states of all ranks after ``work`` by the leading one."""

    def ranked(team: PlayedTeam) -> TrainerState:
        trainer = DistributedTrainer(
            space, digits, plan, team=team, total_steps=10, seed=seeds[team.rank], device="cpu"
        )
        if team.rank:
            trainer.follow()
        else:
            with leading(team):
                work(trainer)
        return trainer.state()

    return together(size, ranked)


def gradient(space: Nasbench201, digits: Data, path: Architecture, batch: int) -> tuple[Arrays, float]:
    """Return the gradient and the loss that one process gets of one path on the batch of one number."""
    trainer = SuperNetTrainer(space, digits, _PLAN, total_steps=10, seed=1)
    state = trainer.state()
    trainer.restore(TrainerState(state.arrays, {**state.values, "batches": batch}))
    loss = float(trainer.step([path]))
    return below("momentum/", trainer.state()), loss


@pytest.mark.parametrize(("n", "pairs"), [(2, 2), (3, 3), (1, 2)])
def test_two_ranks_give_the_gradient_of_one_process_that_runs_their_pairs_in_turn(
    space: Nasbench201, digits: Data, paths: list[Architecture], n: int, pairs: int
) -> None:
    losses: list[float] = []
    states = led(space, digits, 2, lambda trainer: losses.append(float(trainer.step(paths[:n]))))
    each = [gradient(space, digits, paths[pair % n], batch=pair % 2) for pair in range(pairs)]
    names = {name for found, _ in each for name in found}
    for state in states:
        found = below("momentum/", state)
        assert found.keys() == names
        for name in names:
            terms = [one[name].astype(np.float64) for one, _ in each if name in one]
            expected = np.sum(terms, axis=0) / pairs
            scale = np.abs(expected).max()
            np.testing.assert_allclose(found[name].astype(np.float64), expected, rtol=1e-5, atol=1e-5 * scale)
    assert losses == [pytest.approx(np.mean([loss for _, loss in each]), rel=1e-6)]


def test_ranks_stay_alike_to_the_bit_whatever_the_leading_one_does(
    space: Nasbench201, digits: Data, paths: list[Architecture]
) -> None:
    part = space.restrict(tuple(options[:2] for options in space.allowed))
    chosen = tuple(options[0] for options in part.allowed)

    def work(trainer: DistributedTrainer) -> None:
        for path in paths:
            trainer.step([path])
        trainer.remember()
        trainer.activate(part)
        trainer.step([chosen])
        trainer.accuracy(chosen)
        trainer.reset(4)
        trainer.activate(space, soft_path=True)
        trainer.step(paths[:2])
        trainer.option_gradients(paths[0], paths[1])

    first, *others = led(space, digits, 2, work)
    for other in others:
        for found, wanted in ((weights(other), weights(first)), (below("mom", other), below("mom", first))):
            assert found.keys() == wanted.keys()
            for name, array in found.items():
                np.testing.assert_array_equal(array, wanted[name], strict=True)
        assert other.values["resets"] == 1


def test_each_rank_sees_images_of_its_own(
    space: Nasbench201, digits: Data, paths: list[Architecture]
) -> None:
    def work(trainer: DistributedTrainer) -> None:
        trainer.step(paths[:1])
        assert trainer.steps_per_epoch == 27  # 54 batches of 32
        assert trainer.ledger.training_images == 2 * 32

    one, other = led(space, digits, 2, work)
    means = [below("weights/", state) for state in (one, other)]
    assert any((means[0][name] != means[1][name]).any() for name in means[0] if "running_mean" in name)


def test_a_restored_team_goes_on_as_the_one_that_was_saved_would_have(
    space: Nasbench201, digits: Data, paths: list[Architecture]
) -> None:
    plan = _PLAN.model_copy(update={"weight_decay": 1e-3, "clip_norm": 1.0})
    saved: list[TrainerState] = []

    def work(trainer: DistributedTrainer) -> None:
        for path in paths[:2]:
            trainer.step([path])
        trainer.accuracy(paths[0])
        saved.append(trainer.state_within())
        trainer.step(paths)

    def later(trainer: DistributedTrainer) -> None:
        trainer.step(paths[2:])  # what is forgotten
        trainer.restore(saved[0])
        trainer.step(paths)

    through, resumed = (led(space, digits, 2, each, plan=plan) for each in (work, later))
    for one, other in zip(through, resumed, strict=True):
        for name, array in weights(one).items():
            np.testing.assert_array_equal(array, weights(other)[name], strict=True)
        assert one.values["batches"] == other.values["batches"] == 3


def test_a_state_of_another_number_of_ranks_is_refused(space: Nasbench201, digits: Data) -> None:
    states = led(space, digits, 2, lambda trainer: None)
    alone = SuperNetTrainer(space, digits, _PLAN, total_steps=10, seed=1).state()
    with pytest.raises(CheckpointError, match="of 2 training processes, not of 3; start as many"):
        led(space, digits, 3, lambda trainer: trainer.restore(states[0]))
    with pytest.raises(CheckpointError, match="of 1 training processes, not of 2; start as many"):
        led(space, digits, 2, lambda trainer: trainer.restore(alone))


def test_ranks_that_begin_differently_are_refused(space: Nasbench201, digits: Data) -> None:
    with pytest.raises(ConfigError, match="not all training processes begin with the same"):
        led(space, digits, 3, lambda trainer: None, seeds=(1, 1, 2))


class _Silent:
    """A team that keeps what it is told."""

    rank, size, device = 0, 2, "cpu"

    def __init__(self) -> None:
        self.told: list[Mapping[str, object]] = []

    def add_up(self, tensor: Tensor) -> None:
        raise AssertionError("nothing is trained")

    def tell(self, message: Mapping[str, object], tensors: Sequence[Tensor] = ()) -> None:
        self.told.append(message)

    def hear(self) -> tuple[dict[str, JsonValue], list[Tensor]]:
        raise AssertionError("rank 0 tells")


def test_the_others_are_let_go_at_the_end_but_not_by_an_error_in_the_middle_of_a_step() -> None:
    team = _Silent()
    with pytest.raises(ConfigError, match="enough"), leading(team):
        raise ConfigError("enough")
    assert team.told == []
    with leading(team):
        pass
    assert team.told == [{"do": "end"}]


def test_what_only_another_version_asks_for_is_refused(space: Nasbench201, digits: Data) -> None:
    def ranked(team: PlayedTeam) -> None:
        trainer = DistributedTrainer(space, digits, _PLAN, team=team, total_steps=10, seed=1)
        if team.rank:
            trainer.follow()
        else:
            team.tell({"do": "dance"})

    with pytest.raises(ConfigError, match=r"rank 0 asks for .*dance.*; start all with one version"):
        together(2, ranked)
