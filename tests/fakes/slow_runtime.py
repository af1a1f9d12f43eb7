"""A runtime on the fake device whose blocks take real time, and whose tables are the same each time."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from devices import Device
from latency_tables import Conditions
from profilers import Runtime, Workload

#: Seconds of a block, and the file that is told of each.
BLOCK_S, LOG = "SLOW_RUNTIME_BLOCK_S", "SLOW_RUNTIME_LOG"

#: The first blocks of a workload find how many calls a block takes; they are over at once.
_QUICK_BLOCKS = 2


class _SlowSampler:
    """Calls of one workload, each of which lasts as long as its name decides, whatever the clock says."""

    def __init__(self, workload: Workload) -> None:
        self._name = str(workload.spec)
        self._latency_s = 2e-3 * (1 + len(self._name) % 7)
        self._blocks = 0

    def __call__(self, n: int) -> Sequence[float]:
        self._blocks += 1
        if self._blocks > _QUICK_BLOCKS:
            time.sleep(float(os.environ.get(BLOCK_S, "0")))
            self._write_down()
        return (self._latency_s,)

    def facts(self) -> Conditions:
        return {}

    def _write_down(self) -> None:
        if LOG in os.environ:
            with Path(os.environ[LOG]).open("a") as log:
                log.write(f"{os.getpid()} {time.time():.6f} {self._name}\n")


class SlowRuntime(Runtime):
    """Lets real time pass on the fake device, and writes down each block that did.

    Args:
        threads: Threads of one call.
        settings: None: it takes no further ones.
    """

    def version(self, device: Device) -> str:
        return "0"

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[_SlowSampler]:
        yield _SlowSampler(workload)
