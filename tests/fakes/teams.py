"""A team of ranks that are threads of this process, one of which runs at a time."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import TypeVar

import torch
from pydantic import JsonValue
from torch import Tensor

_Found = TypeVar("_Found")

#: Much longer than any rank computes: a rank that is left alone fails instead of hanging.
_LIMIT_S = 60.0


class _Meeting:
    """Where the ranks meet.

    Args:
        size: How many ranks there are.
    """

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=_LIMIT_S)
        self.turn = threading.Lock()
        self.brought: list[Tensor] = [torch.tensor(0)] * size
        self.told: list[Queue[tuple[str, list[Tensor]] | None]] = [Queue() for _ in range(size)]

    def end(self) -> None:
        """End all ranks, as ``torchrun`` does where one has failed."""
        self.barrier.abort()
        for queue in self.told:
            queue.put(None)


class PlayedTeam:
    """One rank. Fulfils ``Team``."""

    device = "cpu"

    def __init__(self, rank: int, meeting: _Meeting) -> None:
        self.rank, self.size, self._meeting = rank, len(meeting.brought), meeting

    def add_up(self, tensor: Tensor) -> None:
        self._meeting.brought[self.rank] = tensor.clone()
        self._wait()
        total = sum(self._meeting.brought[1:], start=self._meeting.brought[0])
        self._wait()
        tensor.copy_(total)

    def tell(self, message: Mapping[str, object], tensors: Sequence[Tensor] = ()) -> None:
        assert self.rank == 0
        for queue in self._meeting.told[1:]:
            queue.put((json.dumps(message), [tensor.clone() for tensor in tensors]))

    def hear(self) -> tuple[dict[str, JsonValue], list[Tensor]]:
        self._meeting.turn.release()
        try:
            told = self._meeting.told[self.rank].get(timeout=_LIMIT_S)
        finally:
            self._meeting.turn.acquire()
        if told is None:
            raise threading.BrokenBarrierError
        return json.loads(told[0]), told[1]

    def _wait(self) -> None:
        self._meeting.turn.release()
        try:
            self._meeting.barrier.wait()
        finally:
            self._meeting.turn.acquire()


def together(size: int, work: Callable[[PlayedTeam], _Found]) -> list[_Found]:
    """Return what ``work`` gives on each rank; where one fails, its error.

    Args:
        size: How many ranks there are.
        work: What each of them does.
    """
    meeting = _Meeting(size)

    def ranked(rank: int) -> _Found:
        with meeting.turn:
            try:
                return work(PlayedTeam(rank, meeting))
            except BaseException:
                meeting.end()
                raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(ranked, rank) for rank in range(size)]
        errors = [error for future in futures if (error := future.exception()) is not None]
        for error in errors:
            if not isinstance(error, threading.BrokenBarrierError):
                raise error
        return [future.result() for future in futures]
