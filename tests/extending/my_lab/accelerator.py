"""An accelerator beside this processor: work is queued, and is done when it is waited for."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from devices import DeviceError, DeviceInfo, DeviceState, HostDevice


class Accelerator(HostDevice):
    """A queue of work on one lane."""

    def __init__(self) -> None:
        self._queue: list[Callable[[], None]] = []
        self._state = DeviceState()

    @classmethod
    def connect(cls, address: str) -> Self:
        if address:
            raise DeviceError(f"there is one accelerator; leave its address {address[:64]!r} out")
        return cls()

    def info(self) -> DeviceInfo:
        return DeviceInfo("my_lab.accelerator", "an accelerator", "a queue", "none", cores=1)

    def state(self) -> DeviceState:
        return self._state

    @contextmanager
    def quiet(self, threads: int) -> Iterator[None]:
        if threads != 1:
            raise DeviceError(f"the accelerator has 1 lane, not {threads}; ask for 1 thread")
        self._state = replace(self._state, threads=1)
        try:
            yield
        finally:
            self._state = replace(self._state, threads=None)

    def submit(self, work: Callable[[], None]) -> None:
        """Queue ``work``, and return at once."""
        self._queue.append(work)

    def clock_s(self) -> float:
        return time.perf_counter()

    def synchronize(self) -> None:
        while self._queue:
            self._queue.pop(0)()
