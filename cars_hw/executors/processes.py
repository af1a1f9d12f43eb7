"""Processes of this machine, of one thread each."""

import os
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any, TypeVar

from cars_hw.executors._answer import Answer
from cars_hw.executors._executor import (
    LOOK_S,
    MOST_DEATHS,
    NOTHING,
    Executor,
    Shared,
    Task,
    TaskError,
    WorkerLostError,
    go_on,
    require_plain,
    task_name,
)
from cars_hw.executors._processes.member import Member
from cars_hw.executors._processes.memory import SharedMemory
from cars_hw.executors._processes.worker import Given
from devices.foundation import ConfigError

_In = TypeVar("_In")
_Out = TypeVar("_Out")

#: A worker with torch takes up to a third of that, and what an evaluation needs.
_WORKER_BYTES = 1 << 30


class Processes(Executor):
    """Runs tasks in processes, which start when there is something to do and then stay until ``close``.

    What they share lies in memory once. They end with this process, however that ends.
    """

    def __init__(self, workers: int | None = None, address: str = "") -> None:
        super().__init__(workers, address)
        if address:
            raise ConfigError(f"{address[:64]!r}: processes has no address; they are of this machine")
        self._members: list[Member] = []
        self._memory: list[SharedMemory] = []
        self._maps = 0
        self._at_end = weakref.finalize(self, _end, self._members, self._memory)

    @property
    def workers(self) -> int:
        return self._asked_workers or _default_workers()

    def close(self) -> None:
        """End the processes; another ``map`` starts new ones."""
        _end(self._members, self._memory)

    def map(
        self,
        task: Task[_In, _Out],
        inputs: Sequence[_In],
        *,
        shared: Shared = NOTHING,
        while_waiting: Callable[[], None] = go_on,
    ) -> Iterator[tuple[int, _Out]]:
        name = task_name(task)
        for index, value in enumerate(inputs):
            require_plain(value, f"input {index}")
        while self._busy():  # with what nobody waits for any more; it may still read the memory
            self._next_answers(while_waiting)
        self._maps += 1
        places = self._shared_memory().write(shared)
        givens = [Given(name, value, self._maps, places) for value in inputs]
        left, deaths = deque(range(len(givens))), Counter[int]()
        try:
            self._give(left, givens)
            while self._busy():
                answers = self._next_answers(while_waiting)
                for index, answer in answers:
                    if isinstance(answer, str):
                        deaths[index] += 1
                        _require_hope(index, deaths[index], answer)
                        left.appendleft(index)
                self._give(left, givens)  # before who asks takes his time
                for index, answer in answers:
                    if isinstance(answer, Answer):
                        yield index, _value(answer)
        finally:
            self._forget()

    def _shared_memory(self) -> SharedMemory:
        if not self._memory:
            self._memory.append(SharedMemory())
        return self._memory[0]

    def _give(self, left: "deque[int]", givens: Sequence[Given]) -> None:
        """Give each member that rests something to do, and start members while there are too few."""
        while left:
            resting = next((member for member in self._members if member.index is None), None)
            if resting is None:
                if len(self._members) == self.workers:
                    return
                resting = Member(self._shared_memory().descriptor)
                self._members.append(resting)
            index = left.popleft()
            resting.give(index, givens[index])

    def _busy(self) -> list[Member]:
        return [member for member in self._members if member.index is not None]

    def _next_answers(self, while_waiting: Callable[[], None]) -> list[tuple[int, Answer | str]]:
        """Return what members that somebody waits for answer next; of one that ended, how it did."""
        busy = {member.connection: member for member in self._busy()}
        ready = wait(list(busy), timeout=LOOK_S)
        if not ready:
            while_waiting()
        found: list[tuple[int, Answer | str]] = []
        for connection, member in busy.items():
            if connection not in ready:
                continue
            index, is_wanted = member.index or 0, member.is_wanted
            answer = member.answer()
            if answer is None:
                self._members.remove(member)
            if is_wanted:
                found.append((index, member.end() if answer is None else answer))
            elif answer is None:
                member.end()
        return found

    def _forget(self) -> None:
        """Let nobody wait for what goes on."""
        for member in self._members:
            member.is_wanted = False


def _value(answer: Answer) -> Any:
    if answer.refusal:
        raise TaskError(answer.refusal)
    return answer.value


def _default_workers() -> int:
    """Return one for each core that this process may use, as far as the memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(cores, memory_bytes // _WORKER_BYTES))


def _require_hope(index: int, deaths: int, how: str) -> None:
    """Refuse to give out a task again that has ended too many workers, or has a defect, which is traced."""
    if how == "with status 1" or deaths >= MOST_DEATHS:
        remedy = "where memory is short, use fewer --workers; --workers 1 runs it in this process"
        if deaths == 1:
            raise WorkerLostError(f"a worker ended {how} at task {index}; {remedy}")
        raise WorkerLostError(f"{deaths} workers ended {how} at task {index}; {remedy}")


def _end(members: list[Member], memory: list[SharedMemory]) -> None:
    """End all that was started."""
    while members:
        members.pop().end(at_once=True)
    while memory:
        memory.pop().close()
