"""Measurement and Failure: what became of one operation on one device; raw samples are kept, statistics derived."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType

import numpy as np

from devices._errors import TableError
from latency_tables.spec import OpSpec

#: The machine has slow modes that last tens of seconds; its undisturbed fast mode is the 10th percentile of the
#: block means. Over replicates on a noisy two-core host it spread ten times less than the median.
FAST_MODE_QUANTILE = 0.10

_RESAMPLES = 1000
_CONFIDENCE = 0.95
#: Seconds; a latency outside of these is a unit error, not a fast or slow operation.
_SHORTEST_S, _LONGEST_S = 1e-9, 3600.0

Conditions = Mapping[str, float | int | str | bool]


@dataclass(frozen=True)
class Measurement:
    """One fact: the raw samples of an operation's latency and the conditions they were taken under.

    Attributes:
        spec: What was measured.
        samples_s: Seconds per call, one value a block of ``conditions["inner_calls"]`` calls, in order of time; (n,).
        conditions: Facts about the measuring: inner calls, rounds, whether the wanted precision was reached, load.

    Raises:
        TableError: No samples, or one that is no latency (NaN, negative, zero, over an hour).
    """

    spec: OpSpec
    samples_s: tuple[float, ...]
    conditions: Conditions = field(default_factory=lambda: MappingProxyType({}), compare=False)

    def __post_init__(self) -> None:
        if not self.samples_s:
            raise TableError(f"a measurement of {self.spec} without samples; measure it again")
        for sample in self.samples_s:
            if not (math.isfinite(sample) and _SHORTEST_S <= sample <= _LONGEST_S):
                raise TableError(f"{sample!r} s is no latency of {self.spec}; measure it again")

    @cached_property
    def latency_s(self) -> float:
        """Seconds per call in the undisturbed fast mode: the 10th percentile of the samples."""
        return float(np.quantile(self.samples_s, FAST_MODE_QUANTILE))

    @cached_property
    def interval_s(self) -> tuple[float, float]:
        """95 % bootstrap interval of ``latency_s`` over the samples of this process, (low, high)."""
        return fast_mode_interval(self.samples_s)

    @property
    def median_s(self) -> float:
        """Median of the samples."""
        return float(np.median(self.samples_s))

    @property
    def half_width(self) -> float:
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


@dataclass(frozen=True)
class Failure:
    """An operation that could not be measured: a fact too, never a number."""

    spec: OpSpec
    status: FailureStatus
    reason: str


def fast_mode_interval(samples_s: tuple[float, ...]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the fast-mode quantile of ``samples_s``, (n,) seconds.

    The resampling is seeded by the number of samples alone, so equal samples always give an equal interval.
    """
    values = np.asarray(samples_s)
    rng = np.random.default_rng(len(values))
    resampled = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))]
    quantiles = np.quantile(resampled, FAST_MODE_QUANTILE, axis=1)
    low, high = np.quantile(quantiles, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(high)
