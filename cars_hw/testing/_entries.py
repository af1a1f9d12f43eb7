"""What became of workloads, for tests that expect the same of all of them."""

from collections.abc import Iterable

from latency_tables import Entry, Failure, Measurement


def measured(entries: Iterable[Entry]) -> list[Measurement]:
    """Return ``entries``, all of which have to be measurements; a failure ends the test with its reason."""
    found = []
    for entry in entries:
        assert isinstance(entry, Measurement), f"{entry.spec} failed: {entry.status}: {entry.reason}"
        found.append(entry)
    return found


def failed(entries: Iterable[Entry]) -> list[Failure]:
    """Return ``entries``, all of which have to be failures; a measurement ends the test with its latency."""
    found = []
    for entry in entries:
        assert isinstance(entry, Failure), f"{entry.spec} was measured: {entry.latency_s * 1e3:.4g} ms"
        found.append(entry)
    return found
