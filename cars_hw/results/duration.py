"""Durations as text, in the unit that suits them."""

import math


def duration_text(seconds: float) -> str:
    """Return a duration: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{max(1, math.ceil(seconds))} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36_000 else f"{seconds / 3600:.0f} h"
