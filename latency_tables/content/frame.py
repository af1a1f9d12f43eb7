"""Frames of entries, one row each, for pandas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from latency_tables.measurement import Entry, Failure
from latency_tables.spec import OpSpec
from latency_tables.units.text import unit_text

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("kind", "spec", "latency_ms", "low_ms", "high_ms", "median_ms", "n", "status", "reason")


def frame_of(
    entries: Iterable[Entry], intervals: Mapping[OpSpec, tuple[float, float]], *, of_units: bool
) -> pd.DataFrame:
    """Return one row per entry; a failure has no latencies, but a status and a reason.

    Args:
        entries: In the order of the rows.
        intervals: The 95 % interval of each latency, (low, high) in seconds.
        of_units: Add a last column, ``unit``: each key as people read it.
    """
    import pandas as pd  # takes half a second, which a search need not spend

    columns = [*_COLUMNS, *(["unit"] if of_units else [])]
    return pd.DataFrame((_row(entry, intervals) for entry in entries), columns=columns)


def _row(entry: Entry, intervals: Mapping[OpSpec, tuple[float, float]]) -> dict[str, object]:
    row: dict[str, object] = {"kind": entry.spec.kind, "spec": str(entry.spec), "unit": unit_text(entry.spec)}
    if isinstance(entry, Failure):
        return row | {"n": 0, "status": str(entry.status), "reason": entry.reason}
    low_s, high_s = intervals[entry.spec]
    return row | {
        "latency_ms": entry.latency_s * 1e3,
        "low_ms": low_s * 1e3,
        "high_ms": high_s * 1e3,
        "median_ms": entry.median_s * 1e3,
        "n": len(entry.samples_s),
        "status": "measured",
        "reason": "",
    }
