"""MeasurementPlan: how long to measure, when to stop, and when a block counts."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from profilers.errors import ProfilingError

#: Each holds all models of a group.
_MOST_PROCESSES = 16


def _require_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ProfilingError(f"{name} of a measurement plan is {value!r}; it is a number above 0")


def _require_not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ProfilingError(f"{name} of a measurement plan is {value!r}; it is a number of at least 0")


def _require_processes(n: int) -> None:
    if not 0 <= n <= _MOST_PROCESSES:
        raise ProfilingError(f"{n} processes of a measurement plan; they are 0 to {_MOST_PROCESSES}")


@dataclass(frozen=True)
class Quality:
    """What is asked of latencies, whatever they are measured on.

    Attributes:
        precision: Relative half-width of the 95 % interval at which a workload is done.
        max_drift: How much slower than at its best, relative, a remote device may be. Clocks of phones step
            by 5 to 10 %, and two processes on a quiet one differ by 1 to 2 %.
        spread_s: Seconds over which the first rounds on this machine are spread. Slow modes of a shared
            machine last for seconds; a shorter spread may measure inside of one of them.
        keep_every_s: Longest, in seconds, that a block of an unfinished workload of a table is not yet on the
            disk; 0: it is there before the next one.
        processes: How many fresh processes of this machine, or of a board, measure in turns, if the runtime
            can; 0: this one, or one for each workload.
            Two differ by about 1 %, however many samples each has.

    Raises:
        ProfilingError: A value is out of bounds.
    """

    precision: float = 0.02
    max_drift: float = 0.05
    spread_s: float = 10.0
    keep_every_s: float = 30.0
    processes: int = 2

    def __post_init__(self) -> None:
        _require_positive("precision", self.precision)
        _require_positive("max_drift", self.max_drift)
        for name in ("spread_s", "keep_every_s"):
            _require_not_negative(name, getattr(self, name))
        _require_processes(self.processes)


#: What nobody asked for otherwise.
USUAL = Quality()


@dataclass(frozen=True)
class SentinelPlan:
    """When blocks count: while the device is ready, and as fast as at its best.

    A *sentinel* is one fixed workload that runs before and after every few blocks. Where either run is slow,
    or the device reports not to be ready, the blocks between are discarded, the device rests, and they are
    run anew.

    Attributes:
        blocks_between: Blocks between two runs of the sentinel. More of them cost less, and lose more.
        block_s: How long the sentinel runs.
        max_drift: How much slower than at its best, relative, the sentinel may be: see ``Quality``.
        rest_s: Seconds of rest before the next try; each further rest is longer, up to a minute.
        patience_s: Seconds of rest after which the workloads are given up as throttled. Batteries of four
            phones warmed with time constants of 4 to 11 minutes, and cool no faster.

    Raises:
        ProfilingError: A value is out of bounds.
    """

    blocks_between: int = 4
    block_s: float = 0.25
    max_drift: float = USUAL.max_drift
    rest_s: float = 5.0
    patience_s: float = 900.0

    def __post_init__(self) -> None:
        for name in ("block_s", "max_drift", "rest_s", "patience_s"):
            _require_positive(name, getattr(self, name))
        if self.blocks_between < 1:
            raise ProfilingError(
                f"blocks_between of a measurement plan is {self.blocks_between}; it is at least 1"
            )


@dataclass(frozen=True)
class MeasurementPlan:
    """How long to measure each workload, and when to stop.

    Attributes:
        block_s: Shortest block of calls that is timed as one; a shorter one would measure the clock.
        precision: Relative half-width of the 95 % interval at which a workload is done. A noisy shared host
            reproduces its fast mode within 1 to 3 %, so a narrower interval would promise too much.
        min_rounds: Blocks before the interval is checked for the first time.
        spread_s: Seconds over which the first ``min_rounds`` rounds are spread, by resting between them: a
            group that is measured within one slow mode of the machine would be wrong as a whole.
        max_rounds: Blocks after which the workload is done anyway.
        budget_s: Timed seconds that one workload may take. Those of the workloads that it is interleaved with
            do not count against it, and even the slowest gets one block.
        group_size: Workloads that are loaded and interleaved at once.
        seed: Seed of the order within the rounds.
        first_calls: Calls of the one block from whose mean the length of all further ones follows; 0: that
            length is found by doubling, which takes many blocks.
        sentinel: When blocks count; ``None``: always.
        keep_every_s: As in ``Quality``.
        processes: As in ``Quality``. They take turns, a round each.

    Raises:
        ProfilingError: A value is out of bounds.
    """

    block_s: float = 1e-3
    precision: float = USUAL.precision
    min_rounds: int = 10
    spread_s: float = USUAL.spread_s
    max_rounds: int = 80
    budget_s: float = 10.0
    group_size: int = 128
    seed: int = 0
    first_calls: int = 0
    sentinel: SentinelPlan | None = None
    keep_every_s: float = USUAL.keep_every_s
    processes: int = 0

    @classmethod
    def for_phones(cls, quality: Quality = USUAL) -> Self:
        """Return a plan of few and short processes: 200 operations fit 30 minutes of a phone's time.

        A block is a process, which takes a fifth of a second to start and to warm up. A group is small, for
        a phone that is lost costs what was measured of it.
        """
        return cls(
            block_s=0.75,
            precision=quality.precision,
            min_rounds=3,
            spread_s=0.0,
            max_rounds=5,
            budget_s=20.0,
            group_size=12,
            first_calls=3,
            sentinel=SentinelPlan(max_drift=quality.max_drift),
            keep_every_s=quality.keep_every_s,
        )

    @classmethod
    def for_boards(cls, quality: Quality = USUAL) -> Self:
        """Return a plan of blocks as short as on this machine, in processes of the board, with a sentinel.

        A group is small: its models are in the memory of each of these processes.
        """
        return cls(
            precision=quality.precision,
            spread_s=quality.spread_s,
            group_size=32,
            sentinel=SentinelPlan(block_s=0.1, max_drift=quality.max_drift),
            keep_every_s=quality.keep_every_s,
            processes=quality.processes,
        )

    def __post_init__(self) -> None:
        for name in ("block_s", "precision", "budget_s"):
            _require_positive(name, getattr(self, name))
        for name in ("spread_s", "keep_every_s"):
            _require_not_negative(name, getattr(self, name))
        if not 3 <= self.min_rounds <= self.max_rounds:
            raise ProfilingError(
                f"a measurement plan of {self.min_rounds} to {self.max_rounds} rounds; an interval takes at "
                "least 3, and min_rounds is at most max_rounds"
            )
        if self.group_size < 1 or self.seed < 0 or self.first_calls < 0:
            raise ProfilingError(
                f"group_size {self.group_size}, seed {self.seed}, first_calls {self.first_calls} of a plan; "
                "they are at least 1, 0 and 0"
            )
        _require_processes(self.processes)

    @cached_property
    def check_rounds(self) -> tuple[int, ...]:
        """Numbers of rounds after which the interval is checked: 10, 14, 20, 28, 40, 56, 80.

        Few and fixed, each a factor of the square root of 2 after the one before: a check after every round
        would stop at the first interval that is narrow by luck.
        """
        steps = int(2 * math.log2(self.max_rounds / self.min_rounds)) + 1
        rounds = {int(self.min_rounds * math.sqrt(2) ** step) for step in range(steps)}
        return tuple(sorted(rounds | {self.max_rounds}))
