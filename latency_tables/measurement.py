"""Measurement and Failure: what became of one operation. Raw samples are kept, statistics derived."""

import itertools
import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Self

import numpy as np

from latency_tables.errors import TableError
from latency_tables.spec import OpSpec

#: The machine has slow modes that last tens of seconds; its undisturbed fast mode is the 10th percentile of
#: the block means, which varies far less from one process to the next than their median.
FAST_MODE_QUANTILE = 0.10

#: Condition of an entry that several processes measured: how many of its samples each gave, one process after
#: another: ``"20+21"``.
PROCESS_BLOCKS = "process_blocks"

_RESAMPLES = 1000
_CONFIDENCE = 0.95
#: Seconds; a latency outside of these is a unit error, not a fast or slow operation.
_SHORTEST_S, _LONGEST_S = 1e-9, 3600.0

_BLOCKS = re.compile(r"[0-9]{1,7}(\+[0-9]{1,7}){0,63}")

Condition = float | int | str | bool
_OTHERS = (str, int)
Conditions = Mapping[str, Condition]

#: Samples as C doubles; names of conditions, and their values.
_Packed = tuple[bytes, tuple[str, ...], tuple[Condition, ...]]


@dataclass(frozen=True)
class Measurement:
    """One fact: the raw samples of an operation's latency and the conditions they were taken under.

    Attributes:
        spec: The operation that was measured.
        samples_s: ``(n,)`` seconds per call, in order of time; one value a block of
            ``conditions["inner_calls"]`` calls. Those of several processes, one process after another.
        conditions: Facts about the measuring: inner calls, rounds, load, whether the wanted precision was
            reached. Two measurements that differ only in them are equal.

    Raises:
        TableError: No samples, one that is no latency (NaN, negative, zero, over an hour), or a condition
            that is neither a finite number nor a text, or numbers of blocks that are not the samples'.
    """

    spec: OpSpec
    samples_s: tuple[float, ...]
    conditions: Conditions = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not self.samples_s:
            raise TableError(f"a measurement of {self.spec} without samples; measure it again")
        if not _are_latencies(self.samples_s):
            odd = next(sample for sample in self.samples_s if not _SHORTEST_S <= sample <= _LONGEST_S)
            raise TableError(f"{odd!r} s is no latency of {self.spec}; measure it again")
        if not _are_conditions(self.conditions.values()):
            name = next(name for name, value in self.conditions.items() if not _are_conditions([value]))
            raise TableError(
                f"condition {name}={self.conditions[name]!r:.80} of {self.spec} is no finite number or text"
            )
        if PROCESS_BLOCKS in self.conditions:
            _require_blocks(self.spec, self.conditions[PROCESS_BLOCKS], len(self.samples_s))
        object.__setattr__(self, "conditions", dict(self.conditions))  # the caller's may change later

    @classmethod
    def of_processes(
        cls, spec: OpSpec, samples_s: Sequence[Sequence[float]], conditions: Conditions | None = None
    ) -> Self:
        """Return what several processes measured of one operation.

        Args:
            spec: The operation.
            samples_s: Of each process the seconds per call, in order of time; at least one each.
            conditions: As above.
        """
        blocks = "+".join(str(len(samples)) for samples in samples_s)
        joined = tuple(sample for samples in samples_s for sample in samples)
        return cls(spec, joined, {**(conditions or {}), PROCESS_BLOCKS: blocks})

    def __repr__(self) -> str:
        return f"<{self.spec}: {self.latency_s * 1e3:.4g} ms, {len(self.samples_s)} samples>"

    @property
    def processes_s(self) -> tuple[tuple[float, ...], ...]:
        """The samples of each process that gave some; all together where that is not known."""
        if PROCESS_BLOCKS not in self.conditions:
            return (self.samples_s,)
        ends = list(itertools.accumulate(_blocks(self.conditions[PROCESS_BLOCKS])))
        return tuple(self.samples_s[start:end] for start, end in itertools.pairwise([0, *ends]))

    @cached_property
    def latency_s(self) -> float:
        """Seconds per call in the undisturbed fast mode: the 10th percentile of the samples.

        Each sample is the mean of a block of calls. Neither their mean nor their median, which slow modes
        shift; ``median_s`` is beside it. Of several processes it is the mean of their ``fast_mode``, each
        with the weight of its samples: together they would give the faster one's.
        """
        if PROCESS_BLOCKS not in self.conditions:
            return float(np.quantile(self.samples_s, FAST_MODE_QUANTILE))
        n = len(self.samples_s)
        return math.fsum(len(samples) / n * fast_mode(samples) for samples in self.processes_s)

    @cached_property
    def interval_s(self) -> tuple[float, float]:
        """95 % bootstrap interval of ``latency_s`` over the samples of each process, (low, high).

        It does not know that another process would differ: see ``pooled_intervals``.
        """
        if PROCESS_BLOCKS not in self.conditions:
            return fast_mode_interval(self.samples_s)
        halves = []
        for samples in self.processes_s:
            low_s, high_s = fast_mode_interval(samples)
            halves.append(len(samples) / len(self.samples_s) * (high_s - low_s) / 2)
        half_s = math.hypot(*halves)
        return self.latency_s - half_s, self.latency_s + half_s

    def every_other(self, start: int) -> "Measurement":
        """Return what the even (``start`` 0) or odd (1) samples of each process give."""
        halves = [samples[start::2] for samples in self.processes_s]
        if len(halves) == 1:
            return Measurement(self.spec, halves[0])
        return Measurement.of_processes(self.spec, [half for half in halves if half])

    @property
    def median_s(self) -> float:
        """Median of the samples."""
        return float(np.median(self.samples_s))

    @property
    def relative_half_width(self) -> float:
        """Half the interval, relative to ``latency_s``."""
        low, high = self.interval_s
        return (high - low) / 2 / self.latency_s


class FailureStatus(StrEnum):
    """Why an operation has no latency."""

    UNSUPPORTED = "unsupported"
    FELL_BACK = "fell_back"
    THROTTLED = "throttled"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    WRONG_OUTPUT = "wrong_output"
    UNTIMED = "untimed"


@dataclass(frozen=True)
class Failure:
    """An operation that could not be measured: a fact too, never a number."""

    spec: OpSpec
    status: FailureStatus
    reason: str


Entry = Measurement | Failure


class Measurements(Mapping[OpSpec, Measurement]):
    """Measurements by their specs, in an eighth of their memory: each is made anew when it is asked for.

    The samples are kept as bytes, and names and texts of conditions once for all measurements.
    """

    def __init__(self) -> None:
        self._packed: dict[OpSpec, _Packed] = {}
        self._texts: dict[str, str] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def put(self, measured: Measurement) -> None:
        """Keep ``measured``, in place of an earlier one of its spec, as the last one."""
        first = self._texts.setdefault
        names = tuple(measured.conditions)
        names = self._names.setdefault(names, names)
        values = [
            first(value, value) if isinstance(value, str) else value for value in measured.conditions.values()
        ]
        self._packed.pop(measured.spec, None)
        samples = array("d", measured.samples_s).tobytes()
        self._packed[measured.spec] = samples, names, tuple(values)

    def discard(self, spec: OpSpec) -> None:
        """Remove the measurement of ``spec``, if there is one."""
        self._packed.pop(spec, None)

    def __getitem__(self, spec: OpSpec) -> Measurement:
        samples, names, values = self._packed[spec]
        samples_s = array("d")
        samples_s.frombytes(samples)
        return Measurement(spec, tuple(samples_s), dict(zip(names, values, strict=True)))

    def __contains__(self, spec: object) -> bool:
        return spec in self._packed

    def __iter__(self) -> Iterator[OpSpec]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def _are_latencies(samples_s: Sequence[float]) -> bool:
    """Tell whether all are; a sum is NaN where one of them is, which a minimum may overlook."""
    return min(samples_s) >= _SHORTEST_S and max(samples_s) <= _LONGEST_S and not math.isnan(sum(samples_s))


def _are_conditions(values: Iterable[Condition]) -> bool:
    for value in values:  # a loop: tables have millions of them
        if not (math.isfinite(value) if isinstance(value, float) else isinstance(value, _OTHERS)):
            return False
    return True


def _blocks(text: Condition) -> list[int]:
    return list(map(int, str(text).split("+")))


def _require_blocks(spec: OpSpec, text: Condition, n: int) -> None:
    """Check that ``text`` tells of which process each of ``n`` samples is.

    Raises:
        TableError: It does not.
    """
    is_list = isinstance(text, str) and _BLOCKS.fullmatch(text) is not None
    if not is_list or min(_blocks(text)) < 1 or sum(_blocks(text)) != n:
        raise TableError(f"{PROCESS_BLOCKS}={text!r:.80} of {spec} does not divide its {n} samples")


def fast_mode(samples_s: Sequence[float]) -> float:
    """Return the latency in the undisturbed fast mode of one of several processes, by its (n,) samples.

    The 10th percentile, estimated without bias: of the few samples that a process may have, the usual
    estimate would be too high by a quarter of their deviation (type 8 of Hyndman and Fan 1996, not 7).
    """
    return float(np.quantile(samples_s, FAST_MODE_QUANTILE, method="median_unbiased"))


def fast_mode_interval(samples_s: tuple[float, ...]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the fast-mode quantile of ``samples_s``, (n,) seconds.

    A resample is not drawn in full. Its quantile lies between its k-th and (k+1)-th smallest values, whose
    places among the sorted samples are uniform order statistics: U(k) ~ Beta(k, n-k+1), and U(k+1) cuts what
    is left above it by Beta(1, n-k). That is the same distribution, for the memory of two draws.

    The resampling is seeded by the number of samples alone, so equal samples always give an equal interval.
    """
    n = len(samples_s)
    if n == 1:
        return samples_s[0], samples_s[0]
    fraction, whole = math.modf(FAST_MODE_QUANTILE * (n - 1))
    k = int(whole) + 1
    rng = np.random.default_rng(n)
    lower = rng.beta(k, n - k + 1, _RESAMPLES)
    upper = lower + (1 - lower) * rng.beta(1, n - k, _RESAMPLES)
    values = np.append(np.sort(samples_s), max(samples_s))  # a draw may round to 1.0
    below_s, above_s = values[(n * lower).astype(int)], values[(n * upper).astype(int)]
    resampled = below_s + fraction * (above_s - below_s)
    low, high = np.quantile(resampled, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(high)
