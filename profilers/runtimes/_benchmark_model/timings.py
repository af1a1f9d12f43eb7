"""Timings: what one run of ``benchmark_model`` reports of its speed, in whatever form."""

import math
from dataclasses import dataclass
from itertools import pairwise

from profilers.errors import GarbledOutputError

#: The tool reads its clock in whole microseconds, and so are all samples that it ever sees.
CLOCK_STEP_S = 1e-6

#: float32 in the protos; six significant digits in the text.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Timings:
    """The timed runs of one process, in seconds.

    Attributes:
        n: Timed runs, at least one.
        mean_s: Their mean.
        min_s: The shortest; 0 for a run below the step of the tool's clock.
        max_s: The longest.
        p5_s: 5th percentile; ``None`` in text that has none.
        median_s: Likewise.
        p95_s: Likewise.
        init_s: Until the model was ready.

    Raises:
        GarbledOutputError: The numbers contradict each other, or are no times.
    """

    n: int
    mean_s: float
    min_s: float
    max_s: float
    p5_s: float | None = None
    median_s: float | None = None
    p95_s: float | None = None
    init_s: float | None = None

    def __post_init__(self) -> None:
        times_s = [self.mean_s, self.min_s, self.max_s, self.p5_s, self.median_s, self.p95_s, self.init_s]
        known_s = [time_s for time_s in times_s if time_s is not None]
        if self.n < 1 or not all(math.isfinite(time_s) and time_s >= 0 for time_s in known_s):
            raise GarbledOutputError(f"benchmark_model reports {self}, which are no times; run it again")
        rising = [self.min_s, self.p5_s, self.median_s, self.p95_s, self.max_s]
        in_order = [time_s for time_s in rising if time_s is not None]
        spread = [*pairwise(in_order), (self.min_s, self.mean_s), (self.mean_s, self.max_s)]
        if self.mean_s <= 0 or any(low > high * (1 + _ROUNDING) for low, high in spread):
            raise GarbledOutputError(f"benchmark_model reports {self}, out of order; run it again")

    @property
    def latency_s(self) -> float:
        """The median, made as fine as the mean is.

        Whole microseconds are coarse for a small operation, and the mean of many of them is not, but one
        interrupt moves it. The mean therefore counts within half a step of the clock around the median.
        """
        if self.median_s is None:
            return self.mean_s
        half_s = CLOCK_STEP_S / 2
        return min(max(self.mean_s, self.median_s - half_s), self.median_s + half_s)

    def require_agreement(self, other: "Timings") -> None:
        """Check that ``other``, the same run in another form, has the same values to the step of the clock.

        Raises:
            GarbledOutputError: It does not: one of the two is of another run, or damaged.
        """
        pairs = [(self.min_s, other.min_s), (self.max_s, other.max_s), (self.mean_s, other.mean_s)]
        if self.n != other.n or not all(
            math.isclose(mine, its, rel_tol=1e-3, abs_tol=CLOCK_STEP_S) for mine, its in pairs
        ):
            raise GarbledOutputError(
                f"benchmark_model's file says {self}, its text {other}; they are not of one run"
            )
