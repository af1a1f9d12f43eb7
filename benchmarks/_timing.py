"""CPU time of parts of a search, and medians of it."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from _rows import Row

#: From so many repetitions on, two values among them bound the median with 95 %.
TIMES = 9


def taken_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds of ``work``."""
    before_s = time.process_time()
    work()
    return time.process_time() - before_s


def median_row(claim: str, values: Sequence[float], goal: str, *, unit: str = "") -> Row:
    """Return the row of a median; with fewer than nine values, its interval is their range."""
    ordered = sorted(values)
    # How many lie below a median is binomial: 1.96 times its standard deviation on both sides.
    cut = int(len(ordered) / 2 - 0.98 * math.sqrt(len(ordered))) if len(ordered) >= TIMES else 0
    spread = (ordered[cut], ordered[-1 - cut])
    return Row(claim, float(np.median(ordered)), unit, goal, spread=spread, n=len(ordered))
