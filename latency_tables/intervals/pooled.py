"""Pooled intervals: how far another process would be off, learnt from all entries of about one duration.

Two processes that measure one operation differ by more than their samples tell (0.9 to 1.4 % where they
scatter by less), and two values alone say next to nothing of by how much: Student's t has one degree of
freedom then, 12.7. So the variance between processes is one for a *duration class*, a decade of latencies:

    y = log of a process's 10th percentile; w its deviation by the bootstrap; k processes of an entry
    between = (sum over entries of sum (y - mean)^2 - (k - 1) mean w^2) / sum (k - 1), at least 0
    variance of an entry = between * sum of squared weights + (half of interval_s / 1.96)^2

An entry whose processes differ by so much more that chance gives it once in a thousand has its own variance,
and does not count for the others. The degrees of freedom of the sum are Satterthwaite's.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from latency_tables.measurement import Measurement, fast_mode, fast_mode_interval
from latency_tables.spec import OpSpec

Interval = tuple[float, float]

#: Standard deviations on each side that hold 95 % of a Gaussian, and the share below the upper one.
_NORMAL_95, _BELOW = 1.96, 0.975

#: Chance of a process pair that differs as much, above which an entry has the variance of its class.
_SIGNIFICANT = 1e-3

#: Fewer degrees of freedom than these are no class of their own: all of the table's are pooled then.
_FEWEST_FREEDOMS = 8

#: A process that gave fewer, because it was interrupted, tells nothing of how processes differ.
_FEWEST_SAMPLES = 5

#: So many entries tell the variance of any table well enough, and cost no second.
_MOST_ENTRIES = 1000


@dataclass(frozen=True)
class _Spread:
    """How the processes of an entry differ, relative to its latency.

    Attributes:
        latency_s: Of the entry.
        freedoms: Its processes but one.
        squares: Sum of squared deviations of their logarithms from the mean.
        within: Mean variance of one of them by its samples.
    """

    latency_s: float
    freedoms: int
    squares: float
    within: float

    @property
    def variance(self) -> float:
        """Variance of one process, whatever it is from."""
        return self.squares / self.freedoms


@dataclass(frozen=True)
class _Pool:
    """The variance between processes, and by how many degrees of freedom it is known."""

    between: float
    freedoms: int

    def differs(self, spread: _Spread) -> bool:
        """Tell whether processes of an entry differ significantly more than this says."""
        from scipy.special import fdtri  # takes a tenth of a second, which not every table needs

        usual = self.between + spread.within
        limit = float(fdtri(spread.freedoms, self.freedoms, 1 - _SIGNIFICANT))
        return spread.variance > usual * limit


class _PooledIntervals(Mapping[OpSpec, Interval]):
    def __init__(self, measurements: Mapping[OpSpec, Measurement]) -> None:
        self._measurements = measurements
        self._known: dict[OpSpec, Interval] = {}

    @cached_property
    def _pools(self) -> Mapping[int | None, _Pool]:
        """The pool of each duration class, and of all together; none where nothing tells of processes."""
        classes = defaultdict[int | None, list[_Spread]](list)
        for spread in _spreads(self._measurements):
            classes[None].append(spread)
            classes[_duration_class(spread.latency_s)].append(spread)
        return {name: _pool(found) for name, found in classes.items()}

    def __getitem__(self, spec: OpSpec) -> Interval:
        if spec not in self._known:
            self._known[spec] = self._interval(self._measurements[spec])
        return self._known[spec]

    def __iter__(self) -> Iterator[OpSpec]:
        return iter(self._measurements)

    def __len__(self) -> int:
        return len(self._measurements)

    def _interval(self, measured: Measurement) -> Interval:
        pools = self._pools
        if not pools:
            return measured.interval_s
        pool = pools.get(_duration_class(measured.latency_s), pools[None])
        if pool.freedoms < _FEWEST_FREEDOMS:
            pool = pools[None]
        spread = _spread(measured)
        between = pool.between
        if spread is not None and pool.differs(spread):
            between = max(between, spread.variance - spread.within)
        n = len(measured.samples_s)
        weights = [len(samples) / n for samples in measured.processes_s]
        from_processes = between * math.fsum(weight**2 for weight in weights)
        within = (measured.relative_half_width / _NORMAL_95) ** 2
        variance = from_processes + within
        if variance == 0:
            return measured.interval_s
        freedoms = variance**2 / (from_processes**2 / pool.freedoms + within**2 / max(1, n - len(weights)))
        from scipy.special import stdtrit

        margin = float(stdtrit(freedoms, _BELOW)) * math.sqrt(variance)
        return measured.latency_s * math.exp(-margin), measured.latency_s * math.exp(margin)


def pooled_intervals(measurements: Mapping[OpSpec, Measurement]) -> Mapping[OpSpec, Interval]:
    """Return the 95 % interval of each latency, (low, high), for whatever process measures it.

    Where no entry tells of which process its samples are, these are the entries' own, ``interval_s``.

    Args:
        measurements: Of one table or session. What is common to them is learnt when it is first asked for.
    """
    return _PooledIntervals(measurements)


def _spreads(measurements: Mapping[OpSpec, Measurement]) -> Iterator[_Spread]:
    for measured in islice(measurements.values(), _MOST_ENTRIES):
        spread = _spread(measured)
        if spread is not None:
            yield spread


def _spread(measured: Measurement) -> _Spread | None:
    """Return how the processes of an entry differ; ``None`` where it has one."""
    processes = [samples for samples in measured.processes_s if len(samples) >= _FEWEST_SAMPLES]
    if len(processes) < 2:
        return None
    logs = [math.log(fast_mode(samples)) for samples in processes]
    mean = math.fsum(logs) / len(logs)
    within = math.fsum(map(_variance_within, processes)) / len(processes)
    squares = math.fsum((log - mean) ** 2 for log in logs)
    return _Spread(measured.latency_s, len(logs) - 1, squares, within)


def _variance_within(samples_s: tuple[float, ...]) -> float:
    low_s, high_s = fast_mode_interval(samples_s)
    return ((high_s - low_s) / 2 / _NORMAL_95 / fast_mode(samples_s)) ** 2


def _pool(spreads: list[_Spread]) -> _Pool:
    """Return what the entries have in common, without those that differ significantly from the others."""
    pool = _common(spreads)
    usual = [spread for spread in spreads if not pool.differs(spread)]
    return _common(usual) if usual else pool


def _common(spreads: list[_Spread]) -> _Pool:
    freedoms = sum(spread.freedoms for spread in spreads)
    squares = math.fsum(spread.squares - spread.freedoms * spread.within for spread in spreads)
    return _Pool(max(0.0, squares / freedoms), freedoms)


def _duration_class(latency_s: float) -> int:
    return math.floor(math.log10(latency_s))
