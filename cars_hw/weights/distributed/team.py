"""Team: the processes that train together, each one rank of a group that ``torchrun`` has started.

Rank 0 leads: what it says, the others do. They wait for its word, hours where it evaluates meanwhile, and end
with it: ``torchrun`` ends all processes where one has failed.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import torch
from pydantic import JsonValue
from torch import Tensor
from torch import distributed as torch_distributed

from cars_hw.weights.placement import usable_device
from devices.foundation import ConfigError

#: What ``torchrun`` sets, beside the address of rank 0.
_SET = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

#: Longer than any evaluation of a population: who waits for a rank that has failed is ended by ``torchrun``.
_LIMIT = timedelta(days=7)


class Team(Protocol):
    """Processes that all call the same of these, in the same order."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        ...

    @property
    def size(self) -> int:
        """How many processes there are."""
        ...

    @property
    def device(self) -> str:
        """Where this process computes, as torch names it."""
        ...

    def add_up(self, tensor: Tensor) -> None:
        """Put the sum over all ranks in the place of ``tensor``, the same to the bit on each."""
        ...

    def tell(self, message: Mapping[str, object], tensors: Sequence[Tensor] = ()) -> None:
        """Tell the others, as rank 0, what to do, with tensors on the CPU."""
        ...

    def hear(self) -> tuple[dict[str, JsonValue], list[Tensor]]:
        """Return what rank 0 tells next."""
        ...


@dataclass(frozen=True)
class TorchTeam:
    """The group of processes that torch keeps. Fulfils ``Team``.

    Attributes:
        rank: The number of this process, from 0.
        size: How many there are.
        device: Where this one computes, as torch names it.
    """

    rank: int
    size: int
    device: str

    def add_up(self, tensor: Tensor) -> None:
        """Put the sum over all ranks in the place of ``tensor``."""
        torch_distributed.all_reduce(tensor)

    def tell(self, message: Mapping[str, object], tensors: Sequence[Tensor] = ()) -> None:
        """Tell the others; of each tensor its type and shape are told before."""
        kinds = [(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)) for tensor in tensors]
        content = json.dumps({"message": dict(message), "tensors": kinds}).encode()
        self._send(torch.tensor(len(content)))
        self._send(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        for tensor in tensors:
            if tensor.numel():
                self._send(tensor.contiguous())

    def hear(self) -> tuple[dict[str, JsonValue], list[Tensor]]:
        """Return what rank 0 tells next."""
        size = torch.tensor(0)
        self._send(size)
        content = torch.empty(int(size), dtype=torch.uint8)
        self._send(content)
        told = json.loads(content.numpy().tobytes())
        tensors = [torch.empty(shape, dtype=getattr(torch, kind)) for kind, shape in told["tensors"]]
        for tensor in tensors:
            if tensor.numel():
                self._send(tensor)
        return told["message"], tensors

    def _send(self, tensor: Tensor) -> None:
        """Have every rank hold what rank 0 holds of ``tensor``."""
        torch_distributed.broadcast(tensor, src=0)


@contextmanager
def joined_team(device: str = "cpu") -> Iterator[TorchTeam]:
    """Join the group that ``torchrun`` has started, and leave it at the end.

    GPUs by CUDA speak to one another by NCCL, processors by Gloo.

    Args:
        device: Where each process computes: with ``"cuda"``, each on the card of its number on its machine.

    Raises:
        ConfigError: No ``torchrun`` has started this process, or this machine has no such device.
    """
    missing = [name for name in _SET if not os.environ.get(name)]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} not set, as torchrun does; start with `torchrun --nproc-per-node N FILE`"
        )
    is_cuda = device == "cuda"
    own = f"cuda:{os.environ['LOCAL_RANK']}" if is_cuda else device
    if is_cuda:
        torch.cuda.set_device(usable_device(own))
    usable_device(own)
    torch_distributed.init_process_group("cpu:gloo,cuda:nccl" if is_cuda else "gloo", timeout=_LIMIT)
    try:
        yield TorchTeam(torch_distributed.get_rank(), torch_distributed.get_world_size(), own)
    finally:
        torch_distributed.destroy_process_group()
