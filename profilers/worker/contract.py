"""The protocol of measuring: what a worker is asked, and what it answers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from devices import DeviceTimeoutError, ThreadUse
from latency_tables import Conditions, TableError
from profilers.errors import ProfilingError
from profilers.runtimes._runtime import Workload

#: What ends one workload and leaves the others alone. A ``TableError`` is a clock that gave no latency;
#: a time-out, a program that hangs on this workload.
MEASURING_ERRORS = (ProfilingError, TableError, DeviceTimeoutError)
MeasuringError = ProfilingError | TableError | DeviceTimeoutError

#: A thread that was taken off its processor, but ran for all but this share of the block, was not disturbed:
#: every system interrupts a block of 100 ms, for some microseconds.
_MOST_LOST = 0.005


@dataclass(frozen=True)
class Block:
    """What a block of calls gave.

    Attributes:
        latency_s: Seconds per call.
        calls: How many calls.
        used: What the thread had of its processor meanwhile; ``None`` where that is not known.
        process: Number of the process that ran it, among those of a worker; ``None``: this one.
        disturbance: What the hardware reported by which it does not count.
    """

    latency_s: float
    calls: int = 1
    used: ThreadUse | None = None
    process: int | None = None
    disturbance: str | None = None

    @property
    def is_undisturbed(self) -> bool:
        """Whether nothing else ran there meanwhile and nothing slowed it down, as far as that is known."""
        if self.disturbance is not None:
            return False
        if self.used is None or not self.used.switches:
            return True
        block_s = self.latency_s * self.calls
        return block_s - self.used.cpu_s <= _MOST_LOST * block_s


class Worker(ABC):
    """Loads workloads, and runs blocks of their calls; decides nothing.

    A context manager: leaving it unloads everything.

    Attributes:
        turns: How many processes take turns, a round each.
        most_s: Longest, in seconds, that one message of blocks is to take; 0: a message has one block.
    """

    turns: int = 1
    most_s: float = 0.0

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unload everything."""

    @abstractmethod
    def load(self, place: int, workload: Workload) -> None:
        """Load ``workload`` under the number ``place``, which nothing else has.

        Raises:
            UnsupportedOperationError: The runtime cannot execute it.
            ProfilingError: It does not run, or gives wrong numbers.
            DeviceError: The device was lost, or lacks what the runtime needs.
        """

    @abstractmethod
    def run(self, turn: int, blocks: Sequence[tuple[int, int]]) -> Sequence[Block | MeasuringError]:
        """Run blocks in the order given, one after another.

        Args:
            turn: Which process runs them: 0 to ``turns`` - 1.
            blocks: Of each the number of what was loaded, and of its calls.

        Returns:
            For each what it gave, or what ended its workload.

        Raises:
            DeviceError: The device was lost.
        """

    @abstractmethod
    def facts(self, place: int) -> Conditions:
        """Return what is kept with an entry beside the latencies."""

    @abstractmethod
    def unload(self, place: int) -> None:
        """Forget what has the number ``place``, if anything; its memory may stay until the end."""
