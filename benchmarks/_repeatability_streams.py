"""Simulated streams of blocks, and how often the pooled intervals of what is kept of them hold the truth.

The policy is the profiler's own: two processes in turns, disturbed blocks kept apart, its rule to stop. Only
the latencies are drawn. The truth is the fast mode on an undisturbed machine of the average process.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from devices import Fake, ThreadUse
from latency_tables import Conditions, Measurement, OpSpec, pooled_intervals
from profilers import MeasurementPlan, Workload
from profilers._sampling.sampling import Sampling
from profilers.worker.contract import Block, Worker

#: Entries of a table, whose intervals are pooled.
_ENTRIES = 50

#: Rounds of a session, more than any entry takes.
_ROUNDS = 260

_PLAN = MeasurementPlan(spread_s=0.0)

#: The 10th percentile of a standard normal distribution.
_TENTH = -1.2815515655446004

#: A block that was disturbed takes longer by up to so much.
_LOST = 3.0


@dataclass(frozen=True)
class Stream:
    """How blocks of a session scatter, all relative.

    Attributes:
        within: Deviation of the logarithm of blocks of one process.
        between: That of processes of one entry.
        slow: Share of rounds in a slow mode, of half as much again, that lasts for some rounds.
        preempted: Share of blocks that something else disturbs.
        drift: By how much everything gets slower over 30 rounds.
    """

    within: float = 0.02
    between: float = 0.01
    slow: float = 0.0
    preempted: float = 0.0
    drift: float = 0.0


STREAMS = {
    "lognormal": Stream(),
    "slow_mode": Stream(slow=0.3),
    "preemption": Stream(preempted=0.4),
    "drift": Stream(drift=0.01),
    "between_processes": Stream(within=0.01, between=0.02),
}


def coverage(stream: Stream, n: int) -> float:
    """Return the share of ``n`` intervals that hold the truth."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(math.ceil(n / _ENTRIES)):
        truths_s, measured = _session(stream, rng)
        intervals = pooled_intervals(measured)
        held += sum(low_s <= truths_s[spec] <= high_s for spec, (low_s, high_s) in intervals.items())
    return held / (_ENTRIES * math.ceil(n / _ENTRIES))


def _session(stream: Stream, rng: Generator) -> tuple[dict[OpSpec, float], dict[OpSpec, Measurement]]:
    """Return the truth of each entry of a table, and what was measured of it."""
    machine = np.exp(np.arange(_ROUNDS) / 30 * stream.drift) * (1 + 0.5 * _slow_rounds(stream.slow, rng))
    truths_s, measured = {}, {}
    for i in range(_ENTRIES):
        spec, fast_s = OpSpec.of("simulated", (1, i + 1)), 10 ** rng.uniform(-5, -3)
        worker = _Simulated(stream, fast_s, machine, rng)
        measured[spec] = _measure(spec, worker)
        truths_s[spec] = fast_s * math.exp(_TENTH * stream.within)
    return truths_s, measured


def _measure(spec: OpSpec, worker: "_Simulated") -> Measurement:
    sampling = Sampling(spec, worker, 0, device=Fake(), plan=_PLAN)
    for rounds in range(_ROUNDS):
        worker.round = rounds
        (block,) = worker.run(rounds % worker.turns, [(0, sampling.calls)])
        entry = sampling.keep(block, {})
        if isinstance(entry, Measurement):
            return entry
    raise RuntimeError(f"{spec} was not measured within {_ROUNDS} rounds")


def _slow_rounds(share: float, rng: Generator) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which rounds are in a slow mode; one lasts for 5 rounds on average."""
    slow = np.zeros(_ROUNDS, dtype=bool)
    is_slow = rng.random() < share
    leave = 0.2
    enter = leave * share / (1 - share)
    for rounds in range(_ROUNDS):
        slow[rounds] = is_slow
        is_slow = rng.random() >= leave if is_slow else rng.random() < enter
    return slow


class _Simulated(Worker):
    """Two processes that draw what a block takes."""

    turns = 2

    def __init__(self, stream: Stream, fast_s: float, machine: Sequence[float], rng: Generator) -> None:
        self.round = 0
        self._stream, self._machine, self._rng = stream, machine, rng
        self._process_s = fast_s * np.exp(stream.between * rng.standard_normal(self.turns))

    def load(self, place: int, workload: Workload) -> None:
        """Nothing is loaded."""

    def run(self, turn: int, blocks: Sequence[tuple[int, int]]) -> Sequence[Block]:
        return [self._block(turn, n) for _, n in blocks]

    def facts(self, place: int) -> Conditions:
        return {}

    def unload(self, place: int) -> None:
        """Nothing was loaded."""

    def __exit__(self, *_: object) -> None:
        """Nothing is left."""

    def _block(self, turn: int, n: int) -> Block:
        stream, rng = self._stream, self._rng
        ran_s = (
            self._process_s[turn]
            * self._machine[self.round]
            * math.exp(stream.within * rng.standard_normal())
        )
        lost_s = ran_s * rng.uniform(0.1, _LOST) if rng.random() < stream.preempted else 0.0
        used = ThreadUse(switches=int(lost_s > 0), cpu_s=n * ran_s)
        return Block(float(ran_s + lost_s), n, used, turn)
