"""Pace: how long one device still needs, by what its loads, blocks and finished workloads took so far.

An estimate, never a promise: a workload that is far slower than those before is known when its turn comes.
"""

import math
from collections import deque
from statistics import median

from latency_tables import Measurement, OpSpec
from profilers.plan import MeasurementPlan
from profilers.progress.report import Step

#: Of this many durations, the latest, the median is taken.
_REMEMBERED = 64


class Pace:
    """How fast one device goes.

    Args:
        plan: How it measures.
        now_s: The clock's time.

    Attributes:
        rounds: Blocks kept of each workload that is loaded now.
    """

    def __init__(self, plan: MeasurementPlan, now_s: float) -> None:
        self.rounds: dict[OpSpec, int] = {}
        self._plan, self._last_s = plan, now_s
        self._rounds_of_group = self._turns = 0
        self._loads_s = deque[float](maxlen=_REMEMBERED)
        self._blocks_s = deque[float](maxlen=_REMEMBERED)
        self._needed = deque[int](maxlen=_REMEMBERED)

    def take(self, step: Step, now_s: float) -> None:
        """Learn from a step that ended at ``now_s``."""
        if step.entry is not None:  # the time of its last block counts with its round's
            self.rounds.pop(step.entry.spec, None)
            if isinstance(step.entry, Measurement):
                self._needed.append(len(step.entry.samples_s))
            return
        spent_s, self._last_s = max(0.0, now_s - self._last_s), now_s
        if not self.rounds:
            self._rounds_of_group = 0
        if step.rounds.keys() - self.rounds.keys():
            self._loads_s.append(spent_s)
        else:
            self._end_round(spent_s)
        self.rounds = dict(step.rounds)
        self._turns = len(self.rounds)

    def left_s(self, waiting: int) -> float | None:
        """Return the seconds for what is loaded and for ``waiting`` further workloads.

        ``None`` before the first round has ended.
        """
        if not self._blocks_s:
            return 0.0 if not (waiting or self.rounds) else None
        block_s = median(self._blocks_s)
        blocks = sum(self._blocks_left(n) for n in self.rounds.values())
        pauses = self._pauses_left() if self.rounds else 0
        load_s = median(self._loads_s) if self._loads_s else 0.0
        later_s = waiting * (load_s + self._typical() * block_s) + self._groups(waiting) * self._plan.spread_s
        return blocks * block_s + pauses * self._pause_s() + later_s

    def _end_round(self, spent_s: float) -> None:
        """Learn what a block took; the profiler pauses before each of the first rounds but one."""
        self._rounds_of_group += 1
        if 1 < self._rounds_of_group <= self._plan.min_rounds:
            spent_s = max(0.0, spent_s - self._pause_s())
        if self._turns:
            self._blocks_s.append(spent_s / self._turns)

    def _pause_s(self) -> float:
        return self._plan.spread_s / (self._plan.min_rounds - 1)

    def _pauses_left(self) -> int:
        """Return the pauses of this group that are left: one before each of its first rounds but one."""
        return max(0, self._plan.min_rounds - max(1, self._rounds_of_group))

    def _earliest(self) -> int:
        """Return the fewest blocks that end a workload."""
        return (self._plan.check_rounds[1:] or self._plan.check_rounds)[0]

    def _typical(self) -> float:
        """Return the blocks that a workload takes: those of the finished ones, or the fewest possible."""
        return median(self._needed) if self._needed else self._earliest()

    def _blocks_left(self, kept: int) -> float:
        """Return how many blocks a workload still takes that has ``kept``.

        One that missed its first chance is noisy: it takes half as many again, at least to the next check.
        """
        if kept < self._earliest():
            return max(1, self._typical() - kept)
        check = next((n for n in self._plan.check_rounds if n > kept), self._plan.max_rounds)
        return max(1, check - kept, min(kept / 2, self._plan.max_rounds - kept))

    def _groups(self, waiting: int) -> int:
        """Return how many groups are still to begin."""
        room = self._plan.group_size - len(self.rounds) if self.rounds and not self._rounds_of_group else 0
        return math.ceil(max(0, waiting - room) / self._plan.group_size)
