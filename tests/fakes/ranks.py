"""What each process does that ``torchrun`` starts: steps, held against torch's own and against one process.

usage: torchrun --nproc-per-node 2 -m tests.fakes.ranks
"""

import copy
import os
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cars_hw import data
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.weights.distributed.team import TorchTeam, joined_team
from cars_hw.weights.distributed.trainer import DistributedTrainer, leading
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.training_plan import TrainingPlan

_PLAN = TrainingPlan(
    batch_size=32, learning_rate=0.1, weight_decay=0, clip_norm=1e9, crop_padding=1, recalibration_images=64
)
_STEPS = 12

Batch = tuple[Tensor, Tensor]
Gradients = dict[str, Tensor]


class _Lossy(nn.Module):
    """The mean loss of paths, as one module."""

    def __init__(self, supernet: SuperNet) -> None:
        super().__init__()
        self.supernet = supernet

    def forward(self, paths: Sequence[Architecture], images: Tensor, labels: Tensor) -> Tensor:
        losses = [nn.functional.cross_entropy(self.supernet(images, path), labels) for path in paths]
        return torch.stack(losses).mean()


class _Watched(DistributedTrainer):
    """Tells which images each rank has seen last."""

    seen: Batch

    def _next_batch(self) -> Batch:
        self.seen = super()._next_batch()
        return self.seen


def _in_turn(supernet: SuperNet, pairs: Sequence[tuple[Architecture, Batch]]) -> Gradients:
    """Return the mean gradient of pairs of a path and a batch, which this process runs one by one."""
    alone = copy.deepcopy(supernet).train()
    for path, (images, labels) in pairs:
        (nn.functional.cross_entropy(alone(images, path), labels) / len(pairs)).backward()
    return _gradients(alone)


def _by_torch(supernet: SuperNet, paths: Sequence[Architecture], batch: Batch) -> Gradients:
    """Return what torch's own wrapper makes of the paths of this rank and those of the others."""
    lossy = _Lossy(copy.deepcopy(supernet).train())
    wrapped = DistributedDataParallel(lossy, find_unused_parameters=True)
    wrapped(paths, *batch).backward()
    return _gradients(lossy.supernet)


def _gradients(supernet: SuperNet) -> Gradients:
    return {name: one.grad for name, one in supernet.named_parameters() if one.grad is not None}


def _batches(team: TorchTeam, own: Batch) -> list[Batch]:
    """Return the batches of all ranks."""
    found: list[Batch] = []
    for rank in range(team.size):
        batch = own[0].clone(), own[1].clone()
        for tensor in batch:
            if rank != team.rank:
                tensor.zero_()
            team.add_up(tensor)
        found.append(batch)
    return found


def _compare(team: TorchTeam, trainer: _Watched, paths: Sequence[Architecture], before: SuperNet) -> None:
    """Hold the gradient of the first step, which is the first momentum, against both others."""
    arrays = trainer.state().arrays
    momenta = {
        name.removeprefix("momentum/"): torch.from_numpy(np.array(array))
        for name, array in arrays.items()
        if name.startswith("momentum/")
    }
    batches = _batches(team, trainer.seen)
    pairs = [(path, batches[pair % team.size]) for pair, path in enumerate(paths)]
    by_torch = _by_torch(before, paths[team.rank :: team.size], trainer.seen)
    for name, expected in (("in turn", _in_turn(before, pairs)), ("DistributedDataParallel", by_torch)):
        assert momenta.keys() == expected.keys(), name
        for key, gradient in expected.items():
            scale = float(gradient.abs().max())
            torch.testing.assert_close(momenta[key], gradient, rtol=1e-5, atol=1e-5 * scale)
        if team.rank == 0:
            print(f"{len(momenta)} gradients as {name}")


def _lead(trainer: _Watched, team: TorchTeam, space: Nasbench201) -> None:
    rng = np.random.default_rng(0)
    for step in range(_STEPS):
        trainer.step([space.sample(rng) for _ in range(1 + step % 3)])
        if step % 4 == 3:
            trainer.accuracy(space.sample(rng))


def _same_everywhere(team: TorchTeam, trainer: DistributedTrainer) -> None:
    arrays = trainer.state().arrays
    statistics = (".running_mean", ".running_var", ".num_batches_tracked")  # of images that one rank has seen
    names = [name for name in arrays if not name.endswith(statistics)]
    own = torch.cat([torch.from_numpy(np.array(arrays[name], np.float64)).reshape(-1) for name in names])
    total = own.clone()
    team.add_up(total)
    assert torch.equal(total, own * team.size)


def main() -> None:
    """Compare the first step's gradients, then train on."""
    space = Nasbench201(deploy="search", channels=2, cells=1, image_size=8, image_channels=1, classes=10)
    digits = data.load("digits", fitness_images=100)
    rng = np.random.default_rng(5)
    paths = [space.sample(rng) for _ in range(4)]
    with joined_team() as team:
        made = partial(_Watched, space, digits, _PLAN, team=team, total_steps=_STEPS, device=team.device)
        trainer = made()
        before = copy.deepcopy(trainer.supernet)
        if team.rank:
            _follow_one(trainer)
        else:
            trainer.step(paths)
        _compare(team, trainer, paths, before)
        trainer = made()
        if team.rank:
            trainer.follow()
        else:
            with leading(team):
                _lead(trainer, team, space)
        _same_everywhere(team, trainer)
        if team.rank == 0:
            print(f"{team.size} ranks, {_STEPS} steps: alike to the bit")


def _follow_one(trainer: _Watched) -> None:
    """Do the next step that rank 0 says."""
    message, _ = trainer._team.hear()
    found = message["architectures"]
    assert isinstance(found, list)
    trainer.step([tuple(map(int, map(str, one))) for one in found if isinstance(one, list)])


if __name__ == "__main__":
    main()
    # Torch's own wrapper keeps the group, and so its threads; ending the interpreter beneath them may abort.
    sys.stdout.flush()
    os._exit(0)
