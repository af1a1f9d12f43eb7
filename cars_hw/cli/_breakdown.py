"""Where the milliseconds of a network go, as tables on the terminal."""

from collections.abc import Iterator, Sequence

from cars_hw.cli._output import print_table, show_line
from cars_hw.latency.network_breakdown import NetworkBreakdown, Part


def print_breakdown(found: NetworkBreakdown, rows: int) -> None:
    """Print the classes of units, the ``rows`` dearest units with what the others are together, and notes."""
    if found.parts:
        _print_parts(found, "class", found.by_class, has_sums=True)
        if rows:
            _print_parts(found, "unit", found.dearest(rows), has_sums=False)
    for note in found.notes:
        show_line(note)


def _print_parts(found: NetworkBreakdown, title: str, parts: Sequence[Part], *, has_sums: bool) -> None:
    rows = [_row(found, part) for part in parts]
    if has_sums:
        rows += [
            ["sum", "", "", _ms(found.predicted_s), "", _ms(found.profiled_s), ""],
            ["measured", "", "", _ms(found.at_table_speed_s), "", _ms(found.measured_s), ""],
        ]
    columns = [title, "units", "executed", "predicted ms", "%", "profiled ms", "% "]
    kept = [0, *([1] if has_sums else []), 2, *_columns(found)]
    print_table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _columns(found: NetworkBreakdown) -> Iterator[int]:
    if found.predicted_s is not None:
        yield from (3, 4)
    if found.profiled_s is not None:
        yield from (5, 6)


def _row(found: NetworkBreakdown, part: Part) -> list[str]:
    return [
        f"{part.name} *" if part.unmeasured else part.name,
        str(part.units or ""),
        _executed(part),
        _ms(part.predicted_s),
        _percent(found.predicted_share(part)),
        _ms(part.profiled_s),
        _percent(found.profiled_share(part)),
    ]


def _executed(part: Part) -> str:
    """Return how often it is executed: as predicted and as profiled, where these differ."""
    counts = dict.fromkeys(count for count in (part.predicted_count, part.profiled_count) if count)
    return ", ".join(map(str, counts))


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.4f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f}"
