"""DistributedTrainer: a SuperNet's weights, trained by several processes as by one with larger batches.

Rank 0 leads a search as if it were alone; the others follow, see ``follow``. A step of B architectures by W
ranks trains max(B, W) pairs of a path and a batch of images: rank r runs the paths r, r + W, ... on the batch
that is its own, and where there are fewer paths than ranks, they begin again. The step goes along the mean
gradient of all pairs, which is what one process gets that runs them in turn; batch normalisation sees the
images of one rank at a time. So CARS' mini-batch of architectures is run side by side, and W ranks see W
batches a step.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor

from cars_hw.data import Data
from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from cars_hw.trainer import TrainerState
from cars_hw.weights.distributed.stepper import DistributedStepper
from cars_hw.weights.distributed.team import Team
from cars_hw.weights.stepping.readings import Reading
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan
from devices.foundation import ConfigError

_ARCHITECTURES = TypeAdapter(list[tuple[int, ...]])

#: So many bytes of a digest are exact as a sum of 64-bit integers over all ranks.
_DIGEST_BYTES = 6


@contextmanager
def leading(team: Team) -> Iterator[None]:
    """Lead, as rank 0; when left, let the others end.

    Where it is left by an error, nothing is told: they may be in the middle of a step, and wait for this one.
    ``torchrun`` ends them when this process has ended.
    """
    yield
    team.tell({"do": "end"})


class DistributedTrainer(SuperNetTrainer):
    """A ``SuperNetTrainer`` whose steps all ranks of a team take together; rank 0 judges.

    All ranks make one with the same arguments. Then, inside of ``leading``, that of rank 0 is used as any
    other trainer, and the others call ``follow``.

    Args:
        space: Whose architectures share the weights.
        data: Training and fitness images.
        plan: How to train; a batch of it is one rank's.
        team: The ranks.
        total_steps: Steps over which the learning rate falls, where no ``reset`` says otherwise.
        seed: Seed of initialisation, batches and augmentation.
        device: Where this rank computes, as torch names it.

    Raises:
        ConfigError: As of ``SuperNetTrainer``; or not all ranks begin with the same.
    """

    def __init__(  # noqa: PLR0913  (those of SuperNetTrainer, and the team)
        self,
        space: SearchSpace,
        data: Data,
        plan: TrainingPlan,
        *,
        team: Team,
        total_steps: int,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__(space, data, plan, total_steps=total_steps, seed=seed, device=device)
        self._team, self.ranks = team, team.size
        self._stepper = DistributedStepper(self.supernet, plan, self._arithmetic, team)
        self._stepper.go_by(self._rate_after, 0)
        self._require_equal_ranks()

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which all ranks together see as many images as there are."""
        return math.ceil(len(self._training) / (self.plan.batch_size * self._team.size))

    def follow(self) -> None:
        """Do what rank 0 does, as another rank, until that leaves ``leading``."""
        while True:
            message, tensors = self._team.hear()
            match message:
                case {"do": "end"}:
                    return
                case {"do": "step", "architectures": list(architectures)}:
                    self.step(_ARCHITECTURES.validate_python(architectures))
                case {"do": "activate", "allowed": list(allowed), "soft_path": bool(soft_path)}:
                    options = tuple(_ARCHITECTURES.validate_python(allowed))
                    self.activate(self._whole_space.restrict(options), soft_path=soft_path)
                case {"do": "reset", "steps": int(steps)}:
                    self.reset(steps)
                case {"do": "restore", "values": dict(values), "names": list(names)}:
                    arrays = {str(name): one.numpy() for name, one in zip(names, tensors, strict=True)}
                    self.restore(TrainerState(arrays, values))
                case _:
                    raise ConfigError(f"rank 0 asks for {str(message)[:80]}; start all with one version")

    def activate(self, space: SearchSpace, *, soft_path: bool = False) -> None:
        """Keep weights for the operations of ``space`` alone, on all ranks."""
        self._say({"do": "activate", "allowed": space.allowed, "soft_path": soft_path})
        super().activate(space, soft_path=soft_path)

    def reset(self, steps: int) -> None:
        """Draw all weights anew, on all ranks."""
        self._say({"do": "reset", "steps": steps})
        super().reset(steps)

    def step(self, architectures: Sequence[Architecture]) -> Reading:
        """Take one step along the mean gradient of all ranks: see the head of this file.

        Returns:
            The mean loss over all pairs, as ``SuperNetTrainer.step`` does.
        """
        self._say({"do": "step", "architectures": list(architectures)})
        n = max(len(architectures), self._team.size)
        return super().step([architectures[pair % len(architectures)] for pair in range(n)])

    def state(self) -> TrainerState:
        """Return what ``SuperNetTrainer.state`` does, and the number of ranks."""
        state = super().state()
        ranks: dict[str, Json] = {"ranks": self._team.size}
        return TrainerState(state.arrays, {**state.values, **ranks})

    def restore(self, state: TrainerState) -> None:
        """Continue, on all ranks, as the trainer that returned ``state`` would have.

        Raises:
            CheckpointError: The state is of another space or trainer, or of another number of ranks.
        """
        ranks = state.values.get("ranks", 1)
        if ranks != self._team.size:
            raise CheckpointError(
                f"the checkpoint is of {ranks} training processes, not of {self._team.size}; start as many"
            )
        if self._leads:
            names = [name for name in state.arrays if not name.startswith(("previous/", "evaluation/"))]
            values = {name: value for name, value in state.values.items() if name != "evaluation"}
            arrays = [torch.from_numpy(np.array(state.arrays[name])) for name in names]
            self._team.tell({"do": "restore", "values": values, "names": names}, arrays)
        super().restore(state)

    @property
    def _leads(self) -> bool:
        return self._team.rank == 0

    def _say(self, message: Mapping[str, object]) -> None:
        if self._leads:
            self._team.tell(message)

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        """Return augmented training images (b, c, h, w) of this rank, and their labels (b,)."""
        step = self._batches
        self._batches = step * self._team.size + self._team.rank
        batch = super()._next_batch()
        self._batches = step + 1
        return batch

    def _require_equal_ranks(self) -> None:
        """Compare with the mean over all ranks: where two differ, one differs from that.

        Raises:
            ConfigError: This rank or another one differs.
        """
        found = self._digest()
        total = found.clone()
        self._team.add_up(total)
        differing = (total != found * self._team.size).any().to(torch.int64)
        self._team.add_up(differing)
        if differing:
            raise ConfigError(
                "not all training processes begin with the same weights, plan and images; start all with the "
                "same configuration, seed, data and versions"
            )

    def _digest(self) -> Tensor:
        """Return numbers (n,) that are others for other weights, plans or images."""
        digest = hashlib.sha256(f"{self.plan!r} {self.seed} {self.data.digest()}".encode())
        for name, tensor in self.supernet.state_dict().items():
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        content = digest.digest()
        parts = range(0, len(content) - _DIGEST_BYTES + 1, _DIGEST_BYTES)
        numbers = [int.from_bytes(content[start : start + _DIGEST_BYTES]) for start in parts]
        return torch.tensor(numbers, dtype=torch.int64)
