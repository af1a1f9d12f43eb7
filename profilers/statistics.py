"""How much to sample: pure functions of what was sampled so far."""

import math
from collections.abc import Callable

from latency_tables import Measurement
from profilers.errors import ProfilingError
from profilers.plan import MeasurementPlan

#: A block of this many calls that is still too short was timed by a clock that stands still.
MOST_CALLS = 1 << 20

#: One hiccup of the machine during a probe would make every block too short; two in a row are rarer.
PROBES = 2


def inner_calls(probe: Callable[[int], float], block_s: float, *, least: int = 1) -> int:
    """Return the smallest power of two of calls, from ``least`` on, that lasts at least ``block_s`` seconds.

    Args:
        probe: Runs so many calls and returns their mean latency in seconds.
        block_s: Seconds that a block must last.
        least: A power of two.

    Raises:
        ProfilingError: The clock of ``probe`` does not advance.
    """
    n = least
    while not n * min(probe(n) for _ in range(PROBES)) >= block_s:
        n *= 2
        if n > MOST_CALLS:
            raise ProfilingError(
                f"{MOST_CALLS} calls seem to last under {block_s} s; the clock does not advance"
            )
    return n


def calls_lasting(block_s: float, latency_s: float) -> int:
    """Return how many calls of ``latency_s`` seconds last ``block_s`` seconds, at least one."""
    return max(1, min(MOST_CALLS, math.ceil(block_s / latency_s))) if latency_s > 0 else MOST_CALLS


def is_precise(first: Callable[[int], Measurement], n: int, plan: MeasurementPlan) -> bool:
    """Tell whether the plan checks the interval now, and it is narrow now and at the check before.

    At two checks in a row, because one narrow interval among seven checks is too often luck.

    Args:
        first: Returns so many of the first samples as if they were all.
        n: How many there are.
        plan: When it is checked.
    """
    if n not in plan.check_rounds[1:] or first(n).relative_half_width > plan.precision:
        return False
    before = plan.check_rounds[plan.check_rounds.index(n) - 1]
    return first(before).relative_half_width <= plan.precision
